"""The model as MLflow's pyfunc. MLflow copies this file beside the bundle and runs it to load the model.

predict takes the target columns, oldest row first, with a DatetimeIndex or a column `timestamp` (UTC where it names no
zone) and, for several series, a column `series`. It returns a row per series and step: `series` (if it was given),
`timestamp`, `step`, each target, and each target's median as `<target>-median`. What a reader of the forecast should
know about the rows comes as Python warnings.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from forecasting.bundle import Bundle, load_bundle
from forecasting.calendar import nanoseconds
from forecasting.prediction import forecast, forecast_frame
from forecasting.windows import RawWindow, build_window


class ForecastModel(PythonModel):  # type: ignore[misc] # mlflow has no types
    """A bundle behind MLflow's interface."""

    def load_context(self, context: PythonModelContext) -> None:
        """Open the bundle; its files are checked against its manifest."""
        self.bundle = load_bundle(Path(context.artifacts["bundle"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Forecast what follows the last row of each series.

        Raises:
            WindowRejected: rows cannot be used by this model; the text says which.
        """
        del context, params  # MLflow's interface has them
        if "series" not in model_input:
            return _block(self.bundle, model_input, None)
        blocks = [_block(self.bundle, rows, str(one)) for one, rows in model_input.groupby("series", sort=False)]
        return pd.concat(blocks, ignore_index=True)


def _block(bundle: Bundle, frame: pd.DataFrame, series: str | None) -> pd.DataFrame:
    targets = bundle.spec.targets
    rows = frame[list(targets)].to_numpy(dtype="float64", na_value=float("nan"))
    answer = forecast(bundle, build_window(bundle.spec, RawWindow(rows, targets, _times(frame), series=series)))
    for caution in answer.cautions:
        warnings.warn(f"{series or bundle.spec.name}: {caution.detail}", stacklevel=2)
    return forecast_frame(answer, targets, series)


def _times(frame: pd.DataFrame) -> list[int] | None:
    times = frame.get("timestamp", frame.index)
    if "timestamp" not in frame and not isinstance(times, pd.DatetimeIndex):
        return None
    return [int(time) for time in nanoseconds(pd.DatetimeIndex(pd.to_datetime(times, utc=True)))]


set_model(ForecastModel())

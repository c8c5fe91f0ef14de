"""The model as MLflow's pyfunc. MLflow copies this file beside the bundle and runs it to load the model.

predict takes the columns of targets, past and known covariates, oldest row first, with a DatetimeIndex or a column
`timestamp` (UTC where it names no zone), for several series a column `series` and, if training had any, static columns.
Rows behind the last one with a target or a past covariate hold the known covariates of the steps to come. It returns a
row per series and step: `series` (if it was given), `timestamp`, `step`, each target, its median as `<target>-median`
and the ends of its intervals as `<target>-lo-90` and `<target>-hi-90`; the parameter `levels` asks for others. What a
reader of the forecast should know about the rows comes as Python warnings.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from forecasting.bundle import Bundle, Spec, load_bundle
from forecasting.calendar import nanoseconds
from forecasting.history import History, history_window
from forecasting.prediction import forecast, forecast_frame
from forecasting.statics import StaticValue
from forecasting.windows import build_window


class ForecastModel(PythonModel):  # type: ignore[misc] # mlflow has no types
    """A bundle behind MLflow's interface."""

    def load_context(self, context: PythonModelContext) -> None:
        """Open the bundle; its files are checked against its manifest."""
        self.bundle = load_bundle(Path(context.artifacts["bundle"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Forecast what follows the newest row of each series.

        Raises:
            WindowRejected: rows cannot be used by this model, or a level is not calibrated; the text says which.
        """
        del context  # MLflow's interface has it
        asked = (params or {}).get("levels")
        levels = None if asked is None else [int(level) for level in asked]
        if "series" not in model_input:
            return _block(self.bundle, model_input, None, levels)
        groups = model_input.groupby("series", sort=False)
        return pd.concat([_block(self.bundle, rows, str(one), levels) for one, rows in groups], ignore_index=True)


def _block(bundle: Bundle, frame: pd.DataFrame, series: str | None, levels: list[int] | None) -> pd.DataFrame:
    spec = bundle.spec
    values = frame[list(spec.columns.row)].to_numpy(dtype="float64", na_value=float("nan"))
    history = History(values, _times(frame), series, _static(spec, frame))
    answer = forecast(bundle, build_window(spec, history_window(spec, history)), levels)
    for caution in answer.cautions:
        warnings.warn(f"{series or spec.name}: {caution.detail}", stacklevel=2)
    return forecast_frame(answer, spec.targets, series)


def _static(spec: Spec, frame: pd.DataFrame) -> dict[str, StaticValue]:
    """Return the newest value of each static column that is there; None where all are missing."""
    found = {name: frame[name].dropna() for name in spec.columns.static if name in frame}
    return {name: _plain(values.iloc[-1]) if len(values) else None for name, values in found.items()}


def _plain(value: Any) -> StaticValue:
    return value if isinstance(value, str) else float(value)


def _times(frame: pd.DataFrame) -> Int[np.ndarray, " rows"] | None:
    times = frame.get("timestamp", frame.index)
    if "timestamp" not in frame and not isinstance(times, pd.DatetimeIndex):
        return None
    return nanoseconds(pd.DatetimeIndex(pd.to_datetime(times, utc=True)))


set_model(ForecastModel())

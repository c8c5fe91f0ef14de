"""The model as MLflow's pyfunc. MLflow copies this file beside the bundle and runs it to load the model.

predict takes a table as `forecasting.frames` describes it. It returns a row per series and step: `series` (if it was
given), `timestamp`, `step`, each target, its median as `<target>-median` and the ends of its intervals as
`<target>-lo-90` and `<target>-hi-90`; the parameter `levels` asks for others. What a reader of the forecast should know
about the rows comes as Python warnings.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from forecasting.bundle import Bundle, load_bundle
from forecasting.frames import table_windows
from forecasting.prediction import Window, forecast, forecast_frame


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
        windows = table_windows(self.bundle.spec, model_input)
        return pd.concat([_answer(self.bundle, window, levels) for window in windows], ignore_index=True)


def _answer(bundle: Bundle, window: Window, levels: list[int] | None) -> pd.DataFrame:
    answer = forecast(bundle, window, levels)
    for caution in answer.cautions:
        warnings.warn(f"{window.series or bundle.spec.name}: {caution.detail}", stacklevel=2)
    return forecast_frame(answer, bundle.spec.targets, window.series)


set_model(ForecastModel())

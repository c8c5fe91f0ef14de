"""File in, file out: forecast what follows the last rows of each series of a file."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from forecasting.bundle import Bundle
from forecasting.calendar import nanoseconds
from forecasting.errors import DataError, NoSuchSource
from forecasting.prediction import Caution, forecast, forecast_frame
from forecasting.project import Project
from forecasting.reading import read_history
from forecasting.series import Series, rfc3339
from forecasting.windows import RawWindow, build_window

LOOKBACKS = 10
"""Rows a series is forecast from, in lookbacks: far more than a forecast depends on."""


def forecast_file(project: Project, bundle: Bundle, path: Path) -> tuple[pd.DataFrame, dict[str, tuple[Caution, ...]]]:
    """Return the forecasts of all series as one table, and by series what its reader should know.

    Raises:
        NoSuchSource: there is no such file.
        DataError: the rows cannot be used by this model.
    """
    if not path.is_file():
        message = f"there is no file {path}; give a csv or csv.gz file with the columns of the project"
        raise NoSuchSource(message)
    if bundle.spec.targets != tuple(project.data.targets):
        message = (
            f"the project's targets are {', '.join(project.data.targets)}; "
            f"the model forecasts {', '.join(bundle.spec.targets)}: use the project it was trained with"
        )
        raise DataError(message)
    panel, _ = read_history(project, path)
    frames, cautions = [], {}
    for one in panel:
        name = one.id if bundle.spec.panel else None
        answer = forecast(bundle, build_window(bundle.spec, _newest(one, bundle, name)))
        frames.append(forecast_frame(answer, bundle.spec.targets, name))
        cautions[one.id] = answer.cautions
    table = pd.concat(frames, ignore_index=True)
    return table.assign(timestamp=table["timestamp"].map(rfc3339)), cautions


def _newest(one: Series, bundle: Bundle, name: str | None) -> RawWindow:
    rows = slice(max(len(one) - LOOKBACKS * bundle.spec.lookback, 0), None)
    times = [int(time) for time in nanoseconds(one.index[rows])]
    return RawWindow(one.values[rows], bundle.spec.targets, times, series=name)

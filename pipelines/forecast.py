"""File in, file out: forecast what follows the last rows of each series of a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from forecasting.bundle import Bundle
from forecasting.calendar import nanoseconds
from forecasting.columns import Columns
from forecasting.errors import DataError, NoSuchSource, WindowRejected
from forecasting.history import History, history_window
from forecasting.prediction import Caution, WindowForecast, forecast, forecast_frame
from forecasting.project import Project
from forecasting.reading import read_history
from forecasting.series import Series, rfc3339
from forecasting.windows import build_window

LOOKBACKS = 10
"""Rows a series is forecast from, in lookbacks: far more than a forecast depends on."""

ROLES = ("targets", "past", "known", "static")


def forecast_file(
    project: Project, bundle: Bundle, path: Path, levels: Sequence[int] | None = None
) -> tuple[pd.DataFrame, dict[str, tuple[Caution, ...]]]:
    """Return the forecasts of all series as one table, and by series what its reader should know.

    A series is forecast from its last row with a target or a past covariate; the rows behind it hold the covariates
    that are known in advance. `levels` are those of the intervals (default: see `prediction.forecast`).

    Raises:
        NoSuchSource: there is no such file.
        DataError: the rows cannot be used by this model, or it has no such level.
    """
    if not path.is_file():
        message = f"there is no file {path}; give one with the columns of the project, as csv, csv.gz or Parquet"
        raise NoSuchSource(message)
    _refuse_other_columns(project.data.columns, bundle.spec.columns)
    panel, _ = read_history(project, path)
    answers = {one.id: _forecast(bundle, one, levels) for one in panel}
    frames = [forecast_frame(answer, bundle.spec.targets, _name(bundle, one)) for one, answer in answers.items()]
    table = pd.concat(frames, ignore_index=True)
    cautions = {one: answer.cautions for one, answer in answers.items()}
    return table.assign(timestamp=table["timestamp"].map(rfc3339)), cautions


def _refuse_other_columns(project: Columns, model: Columns) -> None:
    for role in ROLES:
        ours, theirs = getattr(project, role), getattr(model, role)
        if ours != theirs:
            message = (
                f"data.{role} of the project is {', '.join(ours) or 'empty'}; the model has "
                f"{', '.join(theirs) or 'none'}: use the project it was trained with"
            )
            raise DataError(message)


def _name(bundle: Bundle, series: str) -> str | None:
    return series if bundle.spec.panel else None


def _forecast(bundle: Bundle, one: Series, levels: Sequence[int] | None) -> WindowForecast:
    spec = bundle.spec
    history = History(one.values, nanoseconds(one.index), _name(bundle, one.id), one.static)
    try:
        raw = history_window(spec, history, LOOKBACKS * spec.lookback)
        return forecast(bundle, build_window(spec, raw), levels)
    except WindowRejected as error:
        message = f"series {one.id}: {error}"
        raise DataError(message) from error

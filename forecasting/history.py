"""From the rows of a file or a frame to a request: what has come, and the covariates known of the steps to come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from forecasting.bundle import Spec
from forecasting.errors import WindowRejected
from forecasting.statics import StaticValue
from forecasting.stepping import Times, times_after
from forecasting.windows import RawWindow, Values


@dataclass(frozen=True)
class History:
    """A series as files and frames hold it: what has come, and behind it known covariates of the steps to come.

    `static` has None where a value is not known; that is left to what is known from training.
    """

    values: Values
    times: Times | None
    series: str | None = None
    static: Mapping[str, StaticValue] = field(default_factory=dict)


def history_window(spec: Spec, history: History, most: int | None = None) -> RawWindow:
    """Cut a history behind its newest row, the last one with a target or a past covariate; at most `most` rows of it.

    Raises:
        WindowRejected: nothing has come; or known covariates are there of too few steps, or of others than the next.
    """
    values, times = history.values, history.times
    came = np.flatnonzero(~np.isnan(values[:, : spec.columns.seen]).all(axis=1))
    if not len(came):
        message = f"no row has a value of {', '.join(spec.targets)}; give at least one"
        raise WindowRejected(message)
    newest = int(came[-1]) + 1
    rows = slice(max(newest - most, 0) if most else 0, newest)
    return RawWindow(
        values[rows],
        spec.columns.row,
        None if times is None else times[rows].tolist(),
        series=history.series,
        known_future=_known_behind(spec, history, newest) if spec.columns.known else None,
        static={name: value for name, value in history.static.items() if value is not None},
    )


def _known_behind(spec: Spec, history: History, newest: int) -> Values:
    values, times = history.values, history.times
    ahead = slice(newest, newest + spec.horizon)
    if (rows := len(values) - newest) < spec.horizon:
        message = (
            f"{rows} rows of known covariates follow the last row with a target; this model needs {spec.horizon}, "
            f"one a step to come, with {', '.join(spec.columns.known)}"
        )
        raise WindowRejected(message)
    if times is not None and (times[ahead] != times_after(spec.calendar, int(times[newest - 1]), spec.horizon)).any():
        message = "the rows of known covariates behind the last row with a target are not those of the next steps"
        raise WindowRejected(message)
    return values[ahead, spec.columns.seen :]

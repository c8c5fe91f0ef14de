"""The times of rows on the grid of a stream: which steps a push takes, and which it leaves out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Int

from forecasting.calendar import Calendar
from forecasting.errors import WindowRejected
from forecasting.series import rfc3339
from forecasting.stepping import EARLIEST, LATEST, fixed_step, times_between, times_until


class Bounds(NamedTuple):
    """What rows of a stream must keep to: the model's grid, how far it forecasts, how many steps may be left out."""

    calendar: Calendar
    horizon: int
    most_gaps: int


def refuse_order(times: Int[np.ndarray, " rows"]) -> None:
    """Raise `WindowRejected` where times are out of range, or not ascending."""
    for place in np.flatnonzero((times < EARLIEST) | (times >= LATEST))[:1].tolist():
        message = "the time is outside the years 1800 to 2199"
        raise WindowRejected(message, f"/timestamps/{place}")
    for place in (np.flatnonzero(times[1:] <= times[:-1]) + 1)[:1].tolist():
        message = f"timestamp {place} is not after the one before it; send rows oldest first, each time once"
        raise WindowRejected(message, f"/timestamps/{place}")


def grid_of(bounds: Bounds, last: int | None, times: Int[np.ndarray, " new"]) -> Int[np.ndarray, " steps"]:
    """Return the times of the grid from behind `last` to the last of `times`, all of which must be on it."""
    calendar, most_gaps = bounds.calendar, bounds.most_gaps
    step = fixed_step(calendar)
    first, end = int(times[0]) if last is None else last, int(times[-1])
    if (end - first) // (step or calendar.step // 2) > most_gaps + 2 * len(times):
        raise _too_many(most_gaps)
    if last is None and step is None:
        _on_calendar(calendar, first)
    grid = times_between(calendar, first, end)[0 if last is None else 1 :]
    lacking = np.flatnonzero(~np.isin(times, grid))
    if len(lacking):
        message = (
            f"timestamp {lacking[0]} is not on the stream's grid, freq {calendar.freq!r} in {calendar.timezone}"
            f"{'' if last is None else f', behind {utc(last)}'}"
        )
        raise WindowRejected(message, f"/timestamps/{lacking[0]}")
    if len(grid) - len(times) > most_gaps:
        raise _too_many(most_gaps)
    return grid


def _on_calendar(calendar: Calendar, time: int) -> None:
    try:
        times_until(calendar, time, 1)
    except WindowRejected as error:
        raise WindowRejected(str(error).replace("last_timestamp", "timestamp 0"), "/timestamps/0") from error


def _too_many(most: int) -> WindowRejected:
    message = f"the timestamps leave out more than {most} steps; check them, or delete the stream and begin it again"
    return WindowRejected(message, "/timestamps")


def utc(time: int) -> str:
    """Return a time in UTC nanoseconds as RFC 3339."""
    return rfc3339(pd.Timestamp(time, tz="UTC"))

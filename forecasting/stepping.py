"""Times of a model's rows, as UTC nanoseconds: those up to a row, those after it, those between two.

Steps of a fixed length are integer arithmetic, for this is on the way of every request; steps of a day and longer
follow the local calendar.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
from jaxtyping import Int

from forecasting.calendar import Calendar, nanoseconds
from forecasting.errors import WindowRejected
from forecasting.series import is_calendar, localize

EARLIEST = pd.Timestamp("1800-01-01", tz="UTC").value
LATEST = pd.Timestamp("2200-01-01", tz="UTC").value

Times = Int[np.ndarray, " rows"]


@lru_cache(maxsize=256)
def fixed_step(calendar: Calendar) -> int | None:
    """Return the length of a step in nanoseconds, or None where steps follow the calendar."""
    return None if is_calendar(calendar.freq) else calendar.step


def times_until(calendar: Calendar, last: int, rows: int) -> Times:
    """Return the times of `rows` rows, the last of them at `last`.

    Raises:
        WindowRejected: `last` is not on the model's calendar, or the first row would lie before 1800.
    """
    step = fixed_step(calendar)
    if step is None:
        times = _walk(calendar, end=_local(calendar, last), periods=rows)
        if not len(times) or times[-1] != last:
            message = f"last_timestamp is no time of the model's grid, freq {calendar.freq!r} in {calendar.timezone}"
            raise WindowRejected(message, "/last_timestamp")
        return times
    _refuse_out_of_range(last - step * (rows - 1))
    return last - step * np.arange(rows - 1, -1, -1, dtype=np.int64)


def times_after(calendar: Calendar, last: int, steps: int) -> Times:
    """Return the times of the `steps` rows after `last`.

    Raises:
        WindowRejected: the last of them would lie after 2199.
    """
    step = fixed_step(calendar)
    if step is None:
        times = _walk(calendar, start=_local(calendar, last), periods=steps + 1)
        return times[times > last][:steps]
    _refuse_out_of_range(last + step * steps)
    return last + step * np.arange(1, steps + 1, dtype=np.int64)


def times_between(calendar: Calendar, first: int, last: int) -> Times:
    """Return the times of the grid that starts at `first`, up to `last`."""
    step = fixed_step(calendar)
    if step is not None:
        return np.arange(first, last + 1, step, dtype=np.int64)
    return _walk(calendar, start=_local(calendar, first), end=_local(calendar, last))


def _local(calendar: Calendar, time: int) -> pd.Timestamp:
    """Return the local time; the moment at which clocks skip midnight is that midnight (see `series.localize`)."""
    before, local = (pd.Timestamp(one, tz="UTC").tz_convert(calendar.timezone) for one in (time - 1, time))
    skipped = before.tz_localize(None) + pd.Timedelta(1, unit="ns")
    return skipped if skipped == local.tz_localize(None).normalize() else local.tz_localize(None)


def _walk(calendar: Calendar, **ends: pd.Timestamp | int) -> Times:
    """Go along the local calendar; a time it skips becomes the moment of the change (see `series.localize`)."""
    try:
        local = pd.date_range(freq=calendar.freq, **ends)  # type: ignore[call-overload]
        times = nanoseconds(localize(local, calendar.timezone))
    except (ValueError, OverflowError) as error:
        raise _out_of_range() from error
    for end in (times[:1], times[-1:]):
        _refuse_out_of_range(*end)
    return times


def _refuse_out_of_range(*times: int) -> None:
    if any(not EARLIEST <= time < LATEST for time in times):
        raise _out_of_range()


def _out_of_range() -> WindowRejected:
    return WindowRejected("the rows, or the steps after them, reach beyond the years 1800 to 2199; check the times")

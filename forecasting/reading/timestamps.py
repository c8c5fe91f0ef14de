"""From the cells of a time column to UTC times, with a finding for each thing that was not plain.

A cell is ISO 8601 (`2013-01-31T06:00:00Z`, `2013-01-31 06:00`, `2013-01-31`) between the years 1800 and 2200. Cells
without an offset are read in `data.timezone`, where a change of clocks takes an hour away or brings one twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecasting.reading.tables import quoted
from forecasting.report import Finding, counted
from forecasting.series import is_calendar, localize

_EARLIEST, _LATEST = pd.Timestamp("1800-01-01", tz="UTC"), pd.Timestamp("2200-01-01", tz="UTC")
_OFFSET = r"[T ]\d\d.*(?:Z|[+-]\d\d(?::?\d\d)?)$"
_NUMBER = r"-?\d+(?:\.\d+)?"


@dataclass(frozen=True)
class Clock:
    """How the times of a source are to be read: zone of cells without an offset, step, and name of the column."""

    column: str
    timezone: str
    freq: str


def read_times(cells: pd.Series, codes: np.ndarray, clock: Clock) -> tuple[pd.DatetimeIndex, tuple[Finding, ...]]:
    """Return UTC times (nanoseconds, NaT where refused) for the cells of a time column.

    `codes` numbers the series of each row: which copy of a repeated local hour is meant is told by the order of rows.
    """
    if isinstance(cells.dtype, (pd.DatetimeTZDtype, np.dtypes.DateTime64DType)):
        times, aware = _from_datetimes(cells)
    else:
        text = cells.astype("str").str.strip()
        times, aware = _parse(text), text.str.contains(_OFFSET, regex=True).fillna(value=False).to_numpy(bool)
    unreadable = np.asarray(times.isna())
    if unreadable.any():
        return times, (_unreadable(cells, unreadable, clock),)
    if aware.any() and not aware.all():
        return times, (_mixed(cells, aware, clock),)
    if aware.all():
        return times, ()
    return _from_local(times.tz_localize(None), codes, clock, cells)


def _from_datetimes(cells: pd.Series) -> tuple[pd.DatetimeIndex, np.ndarray]:
    index = pd.DatetimeIndex(cells)
    aware = np.full(len(index), index.tz is not None)
    return _sane(index.tz_localize("UTC") if index.tz is None else index.tz_convert("UTC")), aware


def _parse(text: pd.Series) -> pd.DatetimeIndex:
    """Parse ISO 8601; only what begins with a year, for pandas reads `now` as a time too."""
    dated = text.where(text.str.match(r"\d{4}"), None)
    return _sane(pd.DatetimeIndex(pd.to_datetime(dated, format="ISO8601", utc=True, errors="coerce")))


def _sane(times: pd.DatetimeIndex) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(times.where((times >= _EARLIEST) & (times < _LATEST))).as_unit("ns")


def _unreadable(cells: pd.Series, bad: np.ndarray, clock: Clock) -> Finding:
    first = str(cells[bad].iloc[0])
    advice = "write them as 2013-01-31T06:00:00Z"
    if pd.Series([first]).str.fullmatch(_NUMBER).item():
        advice = "they look like a count since some moment, and which one and in what unit is not said: " + advice
    return Finding(
        code="unreadable-time",
        action="refused",
        message=f"no ISO 8601 time of 1800 to 2199 in {counted(int(bad.sum()), 'cell')} of {clock.column!r}; {advice}",
        count=int(bad.sum()),
        column=clock.column,
        where=quoted(cells, bad),
    )


def _mixed(cells: pd.Series, aware: np.ndarray, clock: Clock) -> Finding:
    naive = int((~aware).sum())
    return Finding(
        code="mixed-times",
        action="refused",
        message=f"no UTC offset in {counted(naive, 'cell')} of {clock.column!r}, and one in {aware.sum():,}; "
        "write all of them with an offset, or none",
        count=naive,
        column=clock.column,
        where=quoted(cells, ~aware),
    )


def _from_local(
    naive: pd.DatetimeIndex, codes: np.ndarray, clock: Clock, cells: pd.Series
) -> tuple[pd.DatetimeIndex, tuple[Finding, ...]]:
    if is_calendar(clock.freq):
        return localize(naive, clock.timezone), ()
    first = np.ones(len(naive), dtype=bool)
    skipped = np.asarray(naive.tz_localize(clock.timezone, ambiguous=first, nonexistent="NaT").isna())
    if skipped.any():
        return localize(naive, clock.timezone), (_missing_hour(cells, skipped, clock),)
    twice = np.asarray(naive.tz_localize(clock.timezone, ambiguous="NaT", nonexistent="shift_forward").isna())
    if not twice.any():
        return localize(naive, clock.timezone), ()
    times, settled = _settle(naive, codes, twice, clock.timezone)
    return times, (_ambiguous_hour(cells, twice, settled, clock),)


def _missing_hour(cells: pd.Series, skipped: np.ndarray, clock: Clock) -> Finding:
    return Finding(
        code="missing-hour",
        action="refused",
        message=f"a time that the clocks of {clock.timezone} skipped in {counted(int(skipped.sum()), 'cell')} of "
        f"{clock.column!r}; write times in UTC with Z, or set data.timezone to the zone they are in",
        count=int(skipped.sum()),
        column=clock.column,
        where=quoted(cells, skipped),
    )


def _settle(
    naive: pd.DatetimeIndex, codes: np.ndarray, twice: np.ndarray, timezone: str
) -> tuple[pd.DatetimeIndex, bool]:
    """Take the first copy of a repeated local time as the earlier one; settled if the rows then run forward."""
    copies = pd.DataFrame({"code": codes[twice], "time": naive[twice]}).groupby(["code", "time"], sort=False)
    first = np.ones(len(naive), dtype=bool)
    first[twice] = copies.cumcount().to_numpy() == 0
    times = naive.tz_localize(timezone, ambiguous=first, nonexistent="shift_forward").tz_convert("UTC")
    touched = np.isin(codes, codes[twice])
    forward = pd.Series(times[touched]).groupby(codes[touched]).is_monotonic_increasing
    return times, bool((copies["time"].transform("size") == 2).all() and forward.all())  # noqa: PLR2004 - twice is two


def _ambiguous_hour(cells: pd.Series, twice: np.ndarray, settled: bool, clock: Clock) -> Finding:
    how = (
        "both copies stand in order, so the first was read as the earlier one"
        if settled
        else "its rows do not tell which is meant; write times in UTC with Z"
    )
    return Finding(
        code="ambiguous-hour",
        action="repaired" if settled else "refused",
        message=f"a time that the clocks of {clock.timezone} showed twice in {counted(int(twice.sum()), 'cell')} of "
        f"{clock.column!r}; {how}",
        count=int(twice.sum()),
        column=clock.column,
        where=quoted(cells, twice),
    )

"""From rows at times to series on one grid without holes.

All series of a panel share the grid: its steps are those of `freq`, its phase (10:05, 11:05, ...) is the one that most
rows have. Steps of a day and longer follow the local calendar of `data.timezone`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import pandas as pd

from forecasting.columns import Columns
from forecasting.reading.tables import MOST_ROWS, place
from forecasting.report import Action, Finding, counted
from forecasting.series import Panel, Series, is_calendar, regular_index, rfc3339
from forecasting.statics import StaticValue

_MOST_PER_ROW = 20
_CALENDAR = ["YS", "QS", "MS", "ME"]


@dataclass(frozen=True)
class Rows:
    """Rows in columns: number of the series, UTC time, values, and where each stood in the source.

    `statics` holds the static values of each series, in the order of `ids`.
    """

    ids: tuple[str, ...]
    codes: np.ndarray
    times: pd.DatetimeIndex
    values: np.ndarray
    places: pd.Index
    statics: tuple[Mapping[str, StaticValue], ...]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.codes)

    def take(self, which: np.ndarray) -> Rows:
        """Return the rows at these positions, or where this mask holds, in that order."""
        codes, times, values, places = self.codes[which], self.times[which], self.values[which], self.places[which]
        return replace(self, codes=codes, times=times, values=values, places=places)

    def follows(self) -> np.ndarray:
        """Tell for each row but the first whether it belongs to the series of the row before it."""
        return np.asarray(self.codes[1:] == self.codes[:-1])

    def place(self, at: int) -> str:
        """Return where a row stood, for a person to look up."""
        return f"{place(self.places, at)}, {rfc3339(self.times[at])}"

    def finding(self, code: str, action: Action, mask: np.ndarray, message: str) -> Finding:
        """Return a finding about the rows of a mask, with the first of them as example."""
        at = int(np.flatnonzero(mask)[0])
        return Finding(
            code=code,
            action=action,
            message=message,
            count=int(mask.sum()),
            series=self.ids[self.codes[at]],
            where=self.place(at),
        )


def in_order(rows: Rows) -> tuple[Rows, tuple[Finding, ...]]:
    """Sort by series, then time; stable, so that equal times keep the order they came in."""
    if (np.diff(rows.codes) < 0).any():
        rows = rows.take(np.argsort(rows.codes, kind="stable"))
    back = _at_second(rows.follows() & (rows.times[1:] < rows.times[:-1]))
    if not back.any():
        return rows, ()
    message = f"{counted(int(back.sum()), 'row')} earlier than the row before in the same series; sorted by time"
    finding = rows.finding("unsorted", "repaired", back, message)
    return rows.take(np.lexsort((rows.times.asi8, rows.codes))), (finding,)


def _at_second(pairs: np.ndarray) -> np.ndarray:
    """Turn a mask over neighbouring rows into one over rows that marks the second of each pair."""
    return np.concatenate(([False], pairs))


def without_repeats(rows: Rows) -> tuple[Rows, tuple[Finding, ...]]:
    """Keep one row of each time of a series; refuse where its copies differ."""
    again = _at_second(rows.follows() & (rows.times[1:] == rows.times[:-1]))
    if not again.any():
        return rows, ()
    at = np.flatnonzero(again)
    differs = np.zeros(len(rows), dtype=bool)
    differs[at] = ~_equal(rows.take(at), rows.take(at - 1))
    findings = []
    if (copies := again & ~differs).any():
        message = f"{counted(int(copies.sum()), 'row')} repeated with the same time and values; kept once"
        findings.append(rows.finding("duplicate-rows", "repaired", copies, message))
    if differs.any():
        message = f"{counted(int(differs.sum()), 'row')} with other values at a time already seen; keep the right one"
        findings.append(rows.finding("duplicate-times", "refused", differs, message))
    return rows.take(~again), tuple(findings)


def _equal(left: Rows, right: Rows) -> np.ndarray:
    both_missing = np.isnan(left.values) & np.isnan(right.values)
    return np.asarray((both_missing | (left.values == right.values)).all(axis=1))


def to_panel(rows: Rows, columns: Columns, freq: str, timezone: str) -> tuple[Panel, tuple[Finding, ...]]:
    """Lay sorted rows on the grid, holes as rows of NaN; the panel is empty where a finding refuses that."""
    empty = Panel(columns, freq, timezone, ())
    anchor = _anchor(rows, freq, timezone)
    steps = _steps(rows.times, anchor, freq, timezone)
    if (steps < 0).any():
        return empty, (_off_grid(rows, steps < 0, freq, timezone),)
    if absurd := _absurd(rows, steps, freq, timezone):
        return empty, (absurd,)
    grid = regular_index(anchor, rows.times.max(), freq, timezone)
    bounds = np.searchsorted(rows.codes, np.arange(len(rows.ids) + 1))
    series = tuple(
        replace(_series(name, grid, steps[low:high], rows.values[low:high]), static=static)
        for name, static, low, high in zip(rows.ids, rows.statics, bounds, bounds[1:], strict=False)
    )
    return replace(empty, series=series), _gaps(rows, steps)


def _anchor(rows: Rows, freq: str, timezone: str) -> pd.Timestamp:
    """Return the earliest time with the phase that most rows have: within the step, or within the local day."""
    if is_calendar(freq):
        clock, cycle = rows.times.tz_convert(timezone).tz_localize(None).asi8, pd.Timedelta(days=1).value
    else:
        clock, cycle = rows.times.asi8, _nanoseconds(freq)
    phase = clock % cycle
    phases, counts = np.unique(phase, return_counts=True)
    return pd.Timestamp(rows.times[phase == phases[counts.argmax()]].min())


def _nanoseconds(freq: str) -> int:
    return int(pd.tseries.frequencies.to_offset(freq).nanos)


def _steps(times: pd.DatetimeIndex, anchor: pd.Timestamp, freq: str, timezone: str) -> np.ndarray:
    """Return the number of grid steps from the anchor to each time, -1 for a time between steps."""
    if is_calendar(freq):
        return regular_index(anchor, times.max(), freq, timezone).get_indexer(times)
    steps, rest = np.divmod(times.asi8 - anchor.value, _nanoseconds(freq))
    return np.where(rest == 0, steps, -1)


def _off_grid(rows: Rows, off: np.ndarray, freq: str, timezone: str) -> Finding:
    grid = f"{freq!r} in {timezone}" if is_calendar(freq) else repr(freq)
    message = f"{counted(int(off.sum()), 'row')} off the grid of freq {grid}; {_freq_advice(rows, freq, timezone)}"
    return rows.finding("off-grid", "refused", off, message)


def _freq_advice(rows: Rows, freq: str, timezone: str) -> str:
    """Name another freq that every row fits, gaps allowed."""
    common = _common_step(rows)
    for other in [common or freq, *_CALENDAR]:
        steps = _steps(rows.times, _anchor(rows, other, timezone), other, timezone)
        if (steps >= 0).all() and pd.tseries.frequencies.to_offset(other) != pd.tseries.frequencies.to_offset(freq):
            return f"freq = {other!r} fits every row"
    return f"the step seen most often is {common!r}" if common else "correct data.freq or the times"


def _common_step(rows: Rows) -> str | None:
    steps, counts = np.unique(np.diff(rows.times.asi8)[rows.follows()], return_counts=True)
    return _alias(pd.Timedelta(steps[counts.argmax()], unit="ns")) if len(steps) else None


def _alias(step: pd.Timedelta) -> str:
    if step == pd.Timedelta(days=step.days):
        return f"{step.days}D" if step.days > 1 else "D"
    offset = pd.tseries.frequencies.to_offset(step)
    return str(offset.freqstr)


def _absurd(rows: Rows, steps: np.ndarray, freq: str, timezone: str) -> Finding | None:
    """Refuse a grid that holds almost nothing but holes: one mistyped year would ask for all the memory there is."""
    hole = _holes(rows, steps)
    total, axis = len(rows) + int(hole.sum()), int(np.ptp(steps)) + 1
    if total <= _MOST_PER_ROW * len(rows) and max(total, axis) <= MOST_ROWS:
        return None
    message = (
        f"{counted(len(rows), 'row')} would become {counted(max(total, axis), 'row')} on the grid of freq {freq!r}; "
        f"correct the times or data.freq ({_freq_advice(rows, freq, timezone)})"
    )
    widest = _at_second(hole == hole.max())
    return rows.finding("absurd-gap", "refused", widest, message)


def _series(name: str, grid: pd.DatetimeIndex, steps: np.ndarray, values: np.ndarray) -> Series:
    index = grid[steps[0] : steps[-1] + 1]
    if len(index) == len(values):
        return Series(name, index, values)
    filled = np.full((len(index), values.shape[1]), np.nan, dtype=np.float32)
    filled[steps - steps[0]] = values
    return Series(name, index, filled)


def _holes(rows: Rows, steps: np.ndarray) -> np.ndarray:
    """Return the steps left out between each row and the next of its series."""
    return np.where(rows.follows(), np.diff(steps) - 1, 0)


def _gaps(rows: Rows, steps: np.ndarray) -> tuple[Finding, ...]:
    hole = _holes(rows, steps)
    missing = int(hole.sum())
    if not missing:
        return ()
    longest = int(hole.max())
    finding = rows.finding(
        "gap",
        "repaired",
        _at_second(hole == longest),
        f"{counted(missing, 'time step')} without a row, at most {longest:,} in a run; inserted as missing rows",
    )
    return (msgspec.structs.replace(finding, count=missing, where=f"before {finding.where}"),)

"""Series and panels: columnar float32 on a regular time grid, missing cells as NaN.

A wide file is a panel of one series. Nothing here copies rows: a part of a series is a view of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Float

from forecasting.columns import Columns
from forecasting.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDE = "all"
"""Id of the single series of a wide file."""

_FEWEST = 3


@dataclass(frozen=True)
class Series:
    """One multivariate series on its grid.

    `index` is a UTC DatetimeIndex without holes, `values` float32 of shape (rows, columns), NaN where not observed;
    `static` holds its static values by column, None where unknown.
    """

    id: str
    index: pd.DatetimeIndex
    values: Float[np.ndarray, "rows columns"]
    static: Mapping[str, float | str | None] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of rows, missing ones included."""
        return len(self.index)

    def between(self, start: pd.Timestamp | None, end: pd.Timestamp | None) -> Series:
        """Return the rows with start <= time < end, as views; None leaves that side open."""
        low = 0 if start is None else int(self.index.searchsorted(start))
        high = len(self) if end is None else int(self.index.searchsorted(end))
        return Series(self.id, self.index[low:high], self.values[low:high], self.static)


@dataclass(frozen=True)
class Panel:
    """Series that share columns, frequency (a pandas alias) and time zone (for the calendar; times are UTC)."""

    columns: Columns
    freq: str
    timezone: str
    series: tuple[Series, ...]

    def __iter__(self) -> Iterator[Series]:
        """Go through the series."""
        return iter(self.series)

    def __len__(self) -> int:
        """Return the number of series."""
        return len(self.series)

    @property
    def rows(self) -> int:
        """Number of rows over all series, missing ones included."""
        return sum(len(one) for one in self.series)

    def between(self, start: pd.Timestamp | None, end: pd.Timestamp | None) -> Panel:
        """Cut every series at the same timestamps; a series with no row there stays, empty."""
        return Panel(self.columns, self.freq, self.timezone, tuple(one.between(start, end) for one in self))

    def grid(self) -> pd.DatetimeIndex:
        """Every time step from the earliest first row to the latest last row."""
        filled = [one for one in self if len(one)]
        first = min(one.index[0] for one in filled)
        last = max(one.index[-1] for one in filled)
        return regular_index(first, last, self.freq, self.timezone)


def regular_index(first: pd.Timestamp, last: pd.Timestamp, freq: str, timezone: str) -> pd.DatetimeIndex:
    """Return the grid from first to last, in UTC.

    Steps of a day and longer follow the local calendar, so that a daily series keeps its local midnight through a
    change of clocks; shorter steps are lengths of time.
    """
    if not is_calendar(freq):
        return pd.date_range(first, last, freq=freq)
    start, end = (one.tz_convert(timezone).tz_localize(None) for one in (first, last))
    return localize(pd.date_range(start, end, freq=freq), timezone)


def localize(naive: pd.DatetimeIndex, timezone: str) -> pd.DatetimeIndex:
    """Read calendar times in a time zone, into UTC.

    A local time that comes twice (clocks go back) is its first, one that is skipped (clocks go forward) is the moment
    of the change: there are zones whose clocks change at midnight.
    """
    first = np.ones(len(naive), dtype=bool)
    return naive.tz_localize(timezone, ambiguous=first, nonexistent="shift_forward").tz_convert("UTC")


def is_calendar(freq: str) -> bool:
    """Tell whether a step follows the calendar (a day and longer) rather than being a fixed length of time."""
    return not isinstance(pd.tseries.frequencies.to_offset(freq), pd.offsets.Tick)


def rfc3339(timestamp: pd.Timestamp) -> str:
    """Return a UTC time as RFC 3339 with `Z`."""
    return timestamp.isoformat().replace("+00:00", "Z")


@dataclass(frozen=True)
class Split:
    """Common cut points of a panel (UTC): train < `valid` <= validation < `test` <= test < `end`."""

    valid: pd.Timestamp
    test: pd.Timestamp
    end: pd.Timestamp | None
    unused: int

    def train(self, panel: Panel) -> Panel:
        """Rows before `valid`."""
        return panel.between(None, self.valid)


def cut(panel: Panel, parts: tuple[float, float, float], newest: int | None = None) -> Split:
    """Place the cut points on the panel's common time axis.

    `parts` holds train, validation and test as fractions, or as whole numbers of rows counted from the start; what
    lies behind the last row asked for is not used, and `unused` says how many rows of the axis that is. Of fractions
    the test part has at most `newest` rows; the others share what that leaves, as they share the rest.

    Raises:
        DataError: the axis has fewer rows than asked for, or a part would have fewer than three.
    """
    grid = panel.grid()
    sizes = _sizes(len(grid), parts, newest)
    total = sum(sizes)
    if total > len(grid) or min(sizes) < _FEWEST:
        message = (
            f"backtest.split {parts} needs {total} rows with at least {_FEWEST} in each part; "
            f"the data have {len(grid)} time steps: give more data or a smaller split"
        )
        raise DataError(message)
    end = grid[total] if total < len(grid) else None
    return Split(grid[sizes[0]], grid[sizes[0] + sizes[1]], end, len(grid) - total)


def _sizes(rows: int, parts: tuple[float, float, float], newest: int | None) -> list[int]:
    if any(part >= 1 for part in parts):
        return [int(part) for part in parts]
    ends = np.floor(np.cumsum(parts) * rows + 1e-6).astype(int)
    train, valid, test = (int(size) for size in np.diff(ends, prepend=0))
    if newest is None or test <= newest:
        return [train, valid, test]
    rest = train + valid + test - newest
    share = round(rest * parts[1] / (parts[0] + parts[1]))
    return [rest - share, share, newest]

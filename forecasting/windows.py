"""From the rows somebody hands us to a `Window` of a model: columns in order, times on the grid, gaps filled."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
from jaxtyping import Float

from forecasting.admission import Caution, Window, refuse_ahead, refuse_steps
from forecasting.bundle import Spec
from forecasting.errors import WindowRejected
from forecasting.statics import StaticValue
from forecasting.stepping import EARLIEST, LATEST, Times, fixed_step, times_between, times_until

LARGEST = float(np.finfo(np.float32).max)
MOST_PER_ROW, ALWAYS_ALLOWED = 10, 1000

Values = Float[np.ndarray, "rows columns"]
Rows = Sequence[Sequence[float | None]] | Values


@dataclass(frozen=True)
class RawWindow:
    """Rows as they came, oldest first; None or NaN is a missing cell.

    Without `columns` their values are targets, past and known covariates, in the order of the model. Times are UTC
    nanoseconds: `timestamps`, one a row, or `last_timestamp` alone. `known_future` holds the known covariates, in the
    order of the model, of the steps to come; `static` static values by column; `horizon` is how many steps are asked.
    """

    rows: Rows
    columns: Sequence[str] | None = None
    timestamps: Sequence[int] | None = None
    last_timestamp: int | None = None
    series: str | None = None
    known_future: Rows | None = None
    static: Mapping[str, StaticValue] = field(default_factory=dict)
    horizon: int | None = None

    @property
    def pointer(self) -> str:
        """JSON pointer to the rows in the request they came with."""
        return "/observations" if self.columns is None else "/data"


def build_window(spec: Spec, raw: RawWindow) -> Window:
    """Check rows and lay them on the model's grid.

    Raises:
        WindowRejected: they cannot be used by this model; the pointer says which.
    """
    window = read_rows(spec, raw)
    if window.times is None or raw.last_timestamp is not None:
        return window
    return _fill_gaps(spec, window, window.times)


def read_rows(spec: Spec, raw: RawWindow, *, ahead: bool = True) -> Window:
    """Check rows and put their columns in order; steps without a row stay out, and times may be off the grid.

    Without `ahead` they are not forecast from: no known covariates of the steps to come are needed.

    Raises:
        WindowRejected: they cannot be used by this model; the pointer says which.
    """
    if raw.series is not None and not spec.panel:
        message = "this model has one series only: leave series out"
        raise WindowRejected(message, "/series")
    _refuse_static(spec, raw.static)
    width = len(spec.columns.row if raw.columns is None else raw.columns)
    values = _in_order(spec, raw, _array(raw.rows, width, raw.pointer, spec.missing))
    known = _ahead(spec, raw) if ahead else None
    return Window(values, _times(spec, raw, len(values)), raw.series, known, raw.static)


def _refuse_static(spec: Spec, static: Mapping[str, StaticValue]) -> None:
    for name in static:
        if name not in spec.columns.static:
            message = f"a name in static is no static column of the model; {_advice(name, spec.columns.static)}"
            raise WindowRejected(message, "/static")


def _ahead(spec: Spec, raw: RawWindow) -> Values | None:
    """Return the known covariates of the steps to come, at least of those that are asked for."""
    steps = spec.horizon if raw.horizon is None else raw.horizon
    refuse_steps(spec, steps)
    refuse_ahead(spec, None if raw.known_future is None else len(raw.known_future), steps)
    if raw.known_future is None:
        return None
    return _array(raw.known_future, len(spec.columns.known), "/known_future", spec.missing)


def _array(rows: Rows, width: int, pointer: str, missing: bool) -> Values:
    """Return float32 of shape (rows, columns as they came), NaN where missing, if that is allowed."""
    plain = _finished(rows, width) if isinstance(rows, np.ndarray) else _plain(rows, width)
    if plain is not None:
        return plain
    try:
        values = np.array(rows, dtype=np.float64)
    except (ValueError, TypeError):
        values = np.empty(0)
    if values.ndim != 2 or values.shape[1] != width:  # noqa: PLR2004 - rows and columns
        raise _wrong_shape(rows, width, pointer)
    if not missing:
        why = "is missing; this model was trained on complete rows: send a number"
        _refuse_cells(np.isnan(values), pointer, why)
    _refuse_cells(
        np.abs(values) > LARGEST, pointer, "is beyond what 32-bit floats hold; send a value in the data's units"
    )
    return values.astype(np.float32)


def _finished(rows: Values, width: int) -> Values | None:
    """Return an array that is as it should be already; None where it is not."""
    fits = rows.dtype == np.float32 and rows.ndim == 2 and rows.shape[1] == width and len(rows)  # noqa: PLR2004
    return rows if fits and np.isfinite(rows).all() else None


def _plain(rows: Sequence[Sequence[float | None]], width: int) -> Values | None:
    """Return rows of finite numbers as an array, more quickly than numpy does; None where they are not that."""
    if not width or set(map(len, rows)) != {width}:
        return None
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            values = np.fromiter(chain.from_iterable(rows), np.float32, len(rows) * width)
            whole = math.isfinite(values.sum())  # then every number is, and none was too large
    except TypeError:  # a missing cell
        return None
    return values.reshape(-1, width) if whole else None


def _wrong_shape(rows: Rows, width: int, pointer: str) -> WindowRejected:
    for place, row in enumerate(rows):
        if len(row) != width:
            message = f"row {place} has {len(row)} values; expected {width}, one a column"
            return WindowRejected(message, f"{pointer}/{place}")
    return WindowRejected(f"no rows came; send at least one, of {width} values", pointer)


def _refuse_cells(bad: np.ndarray, pointer: str, why: str) -> None:
    if bad.any():
        row, column = np.argwhere(bad)[0]
        message = f"row {row}, column {column} {why}"
        raise WindowRejected(message, f"{pointer}/{row}/{column}")


def _in_order(spec: Spec, raw: RawWindow, values: Values) -> Values:
    """Put columns that came with names into the order of the model's rows."""
    wanted = spec.columns.row
    if raw.columns is None or tuple(raw.columns) == wanted:
        return values
    for place, name in enumerate(raw.columns):
        if name not in wanted:
            message = f"the model has no such column; {_advice(name, wanted)}"
            raise WindowRejected(message, f"/columns/{place}")
        if name in raw.columns[:place]:
            message = f"column {place} is named twice; name each column once"
            raise WindowRejected(message, f"/columns/{place}")
    if absent := [name for name in wanted if name not in raw.columns]:
        message = f"column {absent[0]!r} is missing; the model takes {', '.join(wanted)}"
        raise WindowRejected(message, "/columns")
    return values[:, [raw.columns.index(name) for name in wanted]]


def _advice(name: str, valid: Sequence[str]) -> str:
    near = difflib.get_close_matches(name[:128], valid, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(valid) or 'none'}"


def _times(spec: Spec, raw: RawWindow, rows: int) -> Times | None:
    """Return one time a row, or None where none came and none is needed."""
    if raw.timestamps is not None:
        if raw.last_timestamp is not None:
            message = "give timestamps or last_timestamp, not both"
            raise WindowRejected(message, "/last_timestamp")
        return _increasing(raw.timestamps, rows)
    if raw.last_timestamp is not None:
        _refuse_far(raw.last_timestamp, "/last_timestamp")
        return times_until(spec.calendar, raw.last_timestamp, rows)
    if spec.calendar.width:
        message = "this model uses the calendar: give timestamps, or last_timestamp"
        raise WindowRejected(message, "/last_timestamp")
    return None


def _increasing(timestamps: Sequence[int], rows: int) -> Times:
    if len(timestamps) != rows:
        message = f"{len(timestamps)} timestamps came for {rows} rows; give one a row"
        raise WindowRejected(message, "/timestamps")
    for place, time in enumerate(timestamps):
        _refuse_far(time, f"/timestamps/{place}")
    times = np.array(timestamps, dtype=np.int64)
    back = np.flatnonzero(times[1:] <= times[:-1])  # a difference could overflow
    if len(back):
        place = int(back[0]) + 1
        message = f"timestamp {place} is not after the one before it; send rows oldest first, each time once"
        raise WindowRejected(message, f"/timestamps/{place}")
    return times


def _refuse_far(time: int, pointer: str) -> None:
    if not EARLIEST <= time < LATEST:
        message = "the time is outside the years 1800 to 2199"
        raise WindowRejected(message, pointer)


def _fill_gaps(spec: Spec, window: Window, times: Times) -> Window:
    """Insert a missing row at each step of the grid that has none."""
    most = len(times) + max(MOST_PER_ROW * len(times), ALWAYS_ALLOWED)
    step = fixed_step(spec.calendar) or spec.calendar.step // 2  # steps of a calendar vary, hardly by half
    first, last = int(times[0]), int(times[-1])
    if (last - first) // step >= most:
        raise _absurd_gap(most - len(times))
    grid = times_between(spec.calendar, first, last)
    places = _places(spec, grid, times)
    if (gaps := len(grid) - len(times)) == 0:
        return window
    if not spec.missing or len(grid) > most:
        raise _absurd_gap(most - len(times) if spec.missing else 0)
    filled = np.full((len(grid), window.values.shape[1]), np.nan, dtype=np.float32)
    filled[places] = window.values
    caution = Caution("gap", f"{gaps} steps between the timestamps have no row; they were taken as missing")
    return replace(window, values=filled, times=grid, cautions=(caution,))


def _places(spec: Spec, grid: Times, times: Times) -> Times:
    """Return the position of each time on the grid."""
    places = np.searchsorted(grid, times).clip(max=max(len(grid) - 1, 0))
    off = np.flatnonzero(grid[places] != times) if len(grid) else np.zeros(1, dtype=np.int64)
    if len(off):
        calendar = spec.calendar
        message = f"timestamp {off[0]} is not on the model's grid, freq {calendar.freq!r} in {calendar.timezone}"
        raise WindowRejected(message, f"/timestamps/{off[0]}")
    return places


def _absurd_gap(allowed: int) -> WindowRejected:
    if not allowed:
        return WindowRejected("steps between the timestamps have no row; this model needs every one", "/timestamps")
    return WindowRejected(f"the timestamps leave out more than {allowed} steps; check them", "/timestamps")

"""From an Arrow table to the rows that it pushes to many streams; no Python object is made of any cell."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float, Int

from forecasting.bundle import Spec
from forecasting.calendar import Calendar
from forecasting.errors import WindowRejected
from forecasting.stepping import EARLIEST, LATEST, times_after
from forecasting.streams.pushes import Pushes
from forecasting.windows import LARGEST
from service.streams.framing import batches_of
from service.streams.schemas import ID_PATTERN

STREAM, TIME, SERIES = "stream", "timestamp", "series"
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
NANOSECONDS = 10**9


class Rows:
    """The columns of a table by name, whole, and the order that brings the rows of a stream together."""

    def __init__(self, spec: Spec, body: bytes, most: int, limit: int) -> None:
        """Read them.

        Raises:
            WindowRejected: the bytes are no such table, or it has more than `most` rows.
            BodyTooLarge: inflated it has more than `limit` bytes.
        """
        found: list[pa.RecordBatch] = []
        rows = 0
        for batch in batches_of(body, lambda schema: refuse_columns(spec, schema), limit):
            rows += batch.num_rows
            if rows > most:
                message = f"more than {most} rows came; send fewer at once"
                raise WindowRejected(message)
            found.append(batch)
        if not rows:
            message = "no rows came; send at least one"
            raise WindowRejected(message)
        self.table = pa.Table.from_batches(found)
        names = _texts(self.table[STREAM], STREAM).dictionary_encode()
        self.streams: pa.Array = names.dictionary
        self.of: Int[np.ndarray, " rows"] = names.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        self.order = np.argsort(self.of, kind="stable")

    @property
    def starts(self) -> Int[np.ndarray, " streams_and_one"]:
        """Where the rows of each stream begin, in order."""
        return np.concatenate([[0], np.cumsum(np.bincount(self.of, minlength=len(self.streams)))])

    def values(self, names: Sequence[str], missing: bool) -> Float[np.ndarray, "rows columns"]:
        """Return numeric columns side by side, in order, NaN where missing."""
        values = np.empty((len(self.order), len(names)), dtype=np.float32)
        for place, name in enumerate(names):
            values[:, place] = _numbers(self.table[name], name, missing)[self.order]
        return values

    def times(self) -> Int[np.ndarray, " rows"]:
        """Return times in UTC nanoseconds, in order."""
        return _nanoseconds(self.table[TIME])[self.order]

    def series(self) -> list[str | None] | None:
        """Return the series of each stream, that of its first row; None where there is no such column."""
        if SERIES not in self.table.column_names:
            return None
        firsts = self.order[self.starts[:-1]]
        found: list[str | None] = self.table[SERIES].take(pa.array(firsts)).to_pylist()
        return found


def read_table(spec: Spec, body: bytes, principal: str, *, history: bool, bounds: tuple[int, int]) -> Pushes:
    """Return what a table pushes, a push a stream; `bounds` are the most rows, and the most bytes once inflated.

    Its columns are `stream`, `timestamp`, optionally `series`, and those of a row of the model, in any order; rows of a
    stream stand oldest first. Where the model has covariates that are known in advance, the last rows of each stream
    hold those of the steps to come, and null in every other column.

    Raises:
        WindowRejected: it is no such table; nothing of it is used.
        BodyTooLarge: it is too large.
    """
    rows = Rows(spec, body, *bounds)
    streams: list[str] = rows.streams.to_pylist()
    _refuse_names(rows.streams)
    starts, times = rows.starts, rows.times()
    _refuse_order(times, starts, rows.order)
    values = rows.values(spec.columns.row, spec.missing or bool(spec.columns.known))
    ahead = None
    if spec.columns.known and not history:
        starts, times, values, ahead = _part(spec, starts, times, values)
    if not spec.missing and np.isnan(values).any():
        message = "a value is missing; this model was trained on complete rows: send numbers"
        raise WindowRejected(message)
    return Pushes(principal, streams, starts, times, values, ahead, rows.series(), None, history)


def refuse_columns(spec: Spec, schema: pa.Schema) -> None:
    """Raise `WindowRejected` where a table does not have the columns it should have, of the types they should be."""
    wanted = (STREAM, TIME, *spec.columns.row)
    for name in wanted:
        if schema.names.count(name) != 1 or wanted.count(name) != 1:
            message = f"column {name!r} is needed once; a table has {', '.join(wanted)}"
            raise WindowRejected(message, "/")
    optional = (SERIES,) if spec.panel else ()
    for place, field in enumerate(schema):
        if field.name not in wanted + optional or schema.names.count(field.name) != 1:
            near = difflib.get_close_matches(field.name[:128], wanted, n=1, cutoff=0.5)
            advice = f"did you mean {near[0]!r}?" if near else f"a table has {', '.join(wanted + optional)}"
            message = f"column {place} is none of the model's; {advice}"
            raise WindowRejected(message, f"/{place}")
        if (expected := _expected(field)) is not None:
            message = f"column {place}, {field.name!r}, has another type than expected; send {expected}"
            raise WindowRejected(message, f"/{place}")


def _expected(field: pa.Field) -> str | None:
    """Return what a column should be, None where it is that."""
    kind = field.type
    if field.name in {STREAM, SERIES}:
        plain = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
        return None if plain else "plain strings (string, large_string or string_view, no dictionary)"
    if field.name == TIME:
        dated = pa.types.is_timestamp(kind) and kind.tz is not None
        return None if dated else "timestamps with a time zone, such as timestamp[us, tz=UTC]"
    return None if pa.types.is_floating(kind) or pa.types.is_integer(kind) else "numbers, null where missing"


def _texts(column: pa.ChunkedArray, name: str) -> pa.Array:
    if column.null_count:
        message = f"row {_first(column.is_null())} has no {name}; send one with every row"
        raise WindowRejected(message, f"/{name}")
    whole = column.combine_chunks()
    return whole.cast(pa.large_string()) if not pa.types.is_large_string(whole.type) else whole


def _refuse_names(streams: pa.Array) -> None:
    fits = pc.match_substring_regex(streams, f"^{ID_PATTERN}$")
    if not pc.all(fits).as_py():
        message = f"the name of a stream does not match {ID_PATTERN}"
        raise WindowRejected(message, f"/{STREAM}")


def _nanoseconds(column: pa.ChunkedArray) -> Int[np.ndarray, " rows"]:
    if column.null_count:
        message = f"row {_first(column.is_null())} has no {TIME}; send one with every row"
        raise WindowRejected(message, f"/{TIME}")
    factor = NANOSECONDS // PER_SECOND[column.type.unit]
    found = column.combine_chunks().view(pa.int64()).to_numpy(zero_copy_only=False)
    far = (found < EARLIEST // factor) | (found >= LATEST // factor)
    if far.any():
        message = f"row {int(np.argmax(far))}: the time is outside the years 1800 to 2199"
        raise WindowRejected(message, f"/{TIME}")
    return np.asarray(found * factor, dtype=np.int64)


def _numbers(column: pa.ChunkedArray, name: str, missing: bool) -> Float[np.ndarray, " rows"]:
    """Return a column as 32-bit floats; numbers that those do not hold are refused."""
    found = np.asarray(column.to_numpy(), dtype=np.float64)
    bad = np.abs(found) > LARGEST
    if not missing:
        bad |= np.isnan(found)
    if bad.any():
        row = int(np.argmax(bad))
        what = "is missing; this model was trained on complete rows" if np.isnan(found[row]) else "is no 32-bit float"
        message = f"row {row}, column {name!r} {what}; send a number in the data's units"
        raise WindowRejected(message, f"/{name}")
    return found.astype(np.float32)


def _refuse_order(
    times: Int[np.ndarray, " rows"], starts: Int[np.ndarray, " streams_and_one"], order: Int[np.ndarray, " rows"]
) -> None:
    back = times[1:] <= times[:-1]
    back[starts[1:-1] - 1] = False  # from one stream to the next
    if back.any():
        row = int(order[int(np.argmax(back)) + 1])
        message = f"row {row} is not after the row of its stream before it; send rows oldest first, each time once"
        raise WindowRejected(message, f"/{TIME}")


def _part(
    spec: Spec,
    starts: Int[np.ndarray, " streams_and_one"],
    times: Int[np.ndarray, " rows"],
    values: Float[np.ndarray, "rows columns"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Float[np.ndarray, "streams horizon known"]]:
    """Part the rows that came from those of the steps to come, which are the last ones of each stream."""
    steps, seen = spec.horizon, spec.columns.seen
    places = starts[1:, None] - steps + np.arange(steps)
    whole = (np.diff(starts) > steps).all() and np.isnan(values[places, :seen]).all()
    if not whole or not _follow(spec.calendar, times, places):
        message = (
            f"the last {steps} rows of each stream have to be those of the steps to come: their times on the model's "
            f"grid, {', '.join(spec.columns.known)}, and null in every other column; before them at least one row"
        )
        raise WindowRejected(message)
    kept: Bool[np.ndarray, " rows"] = np.ones(len(times), dtype=bool)
    kept[places] = False
    fewer = starts - steps * np.arange(len(starts))
    return fewer, times[kept], values[kept], values[places, seen:]


def _follow(calendar: Calendar, times: np.ndarray, places: Int[np.ndarray, "streams steps"]) -> bool:
    """Tell whether the steps to come have the times that follow the last row of each stream."""
    newest, which = np.unique(times[places[:, 0] - 1], return_inverse=True)
    grids = np.array([times_after(calendar, int(time), places.shape[1]) for time in newest])
    return bool((grids[which] == times[places]).all())


def _first(mask: pa.ChunkedArray) -> int:
    return int(pc.index(mask, True).as_py())

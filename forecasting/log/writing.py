"""From records to rows of the tables, in one transaction that the caller begins and ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Any

from forecasting.errors import Outrun
from forecasting.log.records import (
    PUSHED,
    Advance,
    Commit,
    Correction,
    Issued,
    Observation,
    Onward,
    Snapshot,
    Stream,
    Version,
)
from forecasting.log.statements import Statements

Ids = Mapping[Version, int]

_MANY = 10
_NO_FORECAST = (None, None, None, None, None)
_STREAM = itemgetter(6)
"""The stream of a move."""


def write_commit(cursor: Any, do: Statements, commit: Commit, ids: Ids) -> None:
    """Write a commit; streams go in the order of their ids, so that two writers never wait for each other.

    Raises:
        Outrun: another writer was quicker with one of these streams.
    """
    _many(cursor, do.create, [_created(stream) for stream in sorted(commit.created)])
    moves = [_advanced(one, one.epoch) for one in commit.advanced]
    rows, apart = _joined(commit.observations, commit.issued, ids)
    if commit.onward is not None:
        moves += _moves(commit.onward)
        rows += _rows(commit.onward, ids)
    _exactly(cursor, do.advance, sorted(moves, key=_STREAM))
    _append(cursor, do, rows)
    _exactly(cursor, do.issue, [_issued(one, ids) for one in apart])
    _many(cursor, do.snapshot, [_snapshot(one, ids) for one in commit.snapshots])
    _many(cursor, do.origin, [(one.stream, ids[one.version], one.seq) for one in commit.origins])


def write_correction(cursor: Any, do: Statements, correction: Correction, ids: Ids) -> None:
    """Write a correction, the row as it was set aside first.

    Raises:
        Outrun: another writer was quicker, or the row was pruned.
    """
    row, advance = correction.observation, correction.advance
    _exactly(cursor, do.advance, [_advanced(advance, advance.epoch + 1)])
    _exactly(cursor, do.set_aside, [(row.stream, row.seq)])
    _exactly(cursor, do.rewrite, [(*row[2:], row.stream, row.seq)])
    _exactly(cursor, do.rescore, [(score, row.stream, seq) for seq, score in correction.scores.items()])
    _exactly(cursor, do.issue, [_issued(one, ids) for one in correction.issued])
    cursor.execute(do.forget_snapshots, (row.stream, row.seq))
    _many(cursor, do.snapshot, [_snapshot(one, ids) for one in correction.snapshots])


def write_erasure(cursor: Any, do: Statements, stream: int) -> None:
    """Delete everything of a stream, itself first: a writer that comes after finds none to move on."""
    for statement in do.erase:
        cursor.execute(statement, (stream,))


def _many(cursor: Any, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
    if len(rows) == 1:
        cursor.execute(statement, rows[0])
    elif rows:
        cursor.executemany(statement, rows)


def _append(cursor: Any, do: Statements, rows: Sequence[tuple[object, ...]]) -> None:
    if do.copy is None or len(rows) < _MANY:
        _many(cursor, do.append, rows)
        return
    with cursor.copy(do.copy) as copying:
        for row in rows:
            copying.write_row(row)


def _exactly(cursor: Any, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Change one row of the table with each, or say that another writer was quicker."""
    _many(cursor, statement, rows)
    if rows and cursor.rowcount != len(rows):
        message = "another writer was quicker with one of these streams; nothing was written"
        raise Outrun(message)


def _created(stream: Stream) -> tuple[object, ...]:
    return (stream.id, *stream.key, *stream[2:])


def _advanced(advance: Advance, epoch: int) -> tuple[object, ...]:
    stream, before, within, seq, time, tracker, shape, drift = advance
    return seq, time, epoch, tracker, shape, drift, stream, before, within


def _moves(onward: Onward) -> list[tuple[object, ...]]:
    """Return what `_advanced` returns, of each stream."""
    streams, before, epochs, seqs, times, trackers, drifts, *_ = onward
    return list(zip(seqs, times, epochs, trackers, repeat(onward.shape), drifts, streams, before, epochs, strict=False))


def _rows(onward: Onward, ids: Ids) -> list[tuple[object, ...]]:
    """Return the rows with the forecasts issued at them."""
    came = onward.streams, onward.seqs, onward.times, onward.values
    pushed = repeat(onward.arrived), repeat(PUSHED), repeat(None), onward.scores, repeat(0)
    said = repeat(ids[onward.version]), onward.forecasts, onward.said, onward.notes, repeat(0)
    return list(zip(*came, *pushed, *said, strict=False))


def _joined(
    observations: Sequence[Observation], issued: Sequence[Issued], ids: Ids
) -> tuple[list[tuple[object, ...]], list[Issued]]:
    """Return rows with the forecasts issued at them, and the forecasts of rows that are there already."""
    forecasts = {one[:2]: one for one in issued}
    rows = []
    for row in sorted(observations):
        forecast = forecasts.pop(row[:2], None)
        rows.append(row + (_NO_FORECAST if forecast is None else _forecast(forecast, ids)))
    return rows, list(forecasts.values())


def _forecast(issued: Issued, ids: Ids) -> tuple[object, ...]:
    _, _, version, values, said, notes, revised = issued
    return ids[version], values, said, notes, int(revised)


def _issued(issued: Issued, ids: Ids) -> tuple[object, ...]:
    return (*_forecast(issued, ids), issued.stream, issued.seq)


def _snapshot(snapshot: Snapshot, ids: Ids) -> tuple[object, ...]:
    return (snapshot.stream, ids[snapshot.version], *snapshot[2:])

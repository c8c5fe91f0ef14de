"""Deleting what is old, in slices: each a short transaction, for a push must not wait for the end of all of them."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, FromClause, Select, and_, func, select

from forecasting.log.asking import ask
from forecasting.log.connecting import Database
from forecasting.log.statements import Statements
from forecasting.log.tables import rows, snapshots, streams

_STREAMS = 200
_ROWS = 100


class _Cut(NamedTuple):
    """The first row of a stream that stays, and how many go."""

    stream: int
    seq: int
    rows: int


def prune(database: Database, do: Statements, before: int, keep: int) -> int:
    """Delete rows that arrived before a time, see `Log.prune`; return how many."""
    pruned, page = 0, _page(database, -1)
    while page:
        unfinished = page
        while unfinished:
            cuts = _prune(database, do, unfinished, before, keep)
            pruned += sum(cut.rows for cut in cuts)
            unfinished = [cut.stream for cut in cuts if cut.rows == _ROWS]
        page = _page(database, page[-1])
    return pruned


def _prune(database: Database, do: Statements, page: list[int], before: int, keep: int) -> list[_Cut]:
    """Delete one slice; return what went."""
    cuts = database.read(lambda connection: _cuts(connection, page, before, keep))
    if cuts:
        database.write(lambda cursor: _delete(cursor, do, cuts))
    return cuts


def _page(database: Database, after: int) -> list[int]:
    ids = select(streams.c.id).where(streams.c.id > after).order_by(streams.c.id).limit(_STREAMS)
    return database.read(lambda connection: list(connection.execute(ids).scalars()))


def _cuts(connection: Connection, page: list[int], before: int, keep: int) -> list[_Cut]:
    """Return what goes of some streams, at most `_ROWS` rows of each."""

    def old(asked: FromClause) -> Select[Any]:
        within = and_(rows.c.stream == asked.c.stream, rows.c.seq.between(asked.c.first, asked.c.last))
        columns = (asked.c.place, rows.c.seq)
        of = select(*columns).join_from(asked, rows, within).where(rows.c.arrived < before)
        return of.order_by(asked.c.place, rows.c.seq)

    spans = _spans(connection, page, before, keep)
    answers = ask(connection, {"stream": BigInteger(), "first": BigInteger(), "last": BigInteger()}, old, spans)
    return [
        _Cut(stream, first + gone, gone)
        for (stream, first, _), answer in zip(spans, answers, strict=True)
        if (gone := _gapless(first, [row.seq for row in answer]))
    ]


def _spans(connection: Connection, page: list[int], before: int, keep: int) -> list[tuple[int, int, int]]:
    """Return what may go of those streams whose first row is old, as (stream, first seq, last seq)."""

    def begins_old(asked: FromClause) -> Select[Any]:
        every = rows.alias("every")
        first = select(func.min(every.c.seq)).where(every.c.stream == asked.c.stream).scalar_subquery()
        newest = select(func.max(snapshots.c.seq)).where(snapshots.c.stream == asked.c.stream).scalar_subquery()
        of = and_(rows.c.stream == asked.c.stream, rows.c.seq == first, rows.c.arrived < before)
        return select(asked.c.place, rows.c.stream, rows.c.seq, newest.label("snapshot")).join_from(asked, rows, of)

    answers = ask(connection, {"stream": BigInteger()}, begins_old, [(stream,) for stream in page])
    found = [answer[0] for answer in answers if answer and answer[0].snapshot is not None]
    spans = [(one.stream, one.seq, min(one.seq + _ROWS, one.snapshot - keep) - 1) for one in found]
    return [span for span in spans if span[1] <= span[2]]


def _gapless(first: int, seqs: list[int]) -> int:
    """Return how many of these rows follow each other from the first on: behind one that is young, all stay."""
    return next((at for at, seq in enumerate(seqs) if seq != first + at), len(seqs))


def _delete(cursor: Any, do: Statements, cuts: list[_Cut]) -> None:
    ends = [(cut.stream, cut.seq) for cut in cuts]
    cursor.executemany(do.prune_rows, ends)
    cursor.executemany(do.prune_corrections, ends)
    # a snapshot needs the row behind it
    cursor.executemany(do.prune_snapshots, [(stream, seq - 1) for stream, seq in ends])

"""The queries of a log: each about many streams, its answers in the order of what was asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Connection, FromClause, Select, Text, and_, func, select
from sqlalchemy.sql.elements import ColumnElement

from forecasting.log.asking import Answers, Columns, ask
from forecasting.log.records import Key, Kind, Observation
from forecasting.log.searching import Mark, find_rows
from forecasting.log.tables import corrections, origins, rows, snapshots, streams

OBSERVED = tuple(rows.c)[: len(Observation._fields)]
FORECAST = (rows.c.stream, rows.c.seq, rows.c.version, rows.c.forecast, rows.c.said, rows.c.notes, rows.c.revised)
_SPAN: Columns = {"stream": BigInteger(), "first": BigInteger(), "last": BigInteger()}
_ROW: Columns = {"stream": BigInteger(), "seq": BigInteger()}
_STREAM: Columns = {"stream": BigInteger()}


def find(connection: Connection, keys: Sequence[Key]) -> Answers:
    """Return streams by their keys."""

    def question(asked: FromClause) -> Select[Any]:
        same = and_(*(streams.c[name] == asked.c[name] for name in asked_columns))
        return select(asked.c.place, streams).join(streams, same)

    asked_columns: Columns = {"principal": Text(), "model": Text(), "name": Text()}
    return ask(connection, asked_columns, question, keys)


def observations(connection: Connection, wanted: Sequence[tuple[int, int, int]]) -> Answers:
    """Return rows as they came by (stream, first seq, last seq)."""
    return ask(connection, _SPAN, lambda asked: _span(asked, OBSERVED), wanted)


def forecasts(connection: Connection, wanted: Sequence[tuple[int, int, int]]) -> Answers:
    """Return forecasts by (stream, first seq, last seq)."""
    return ask(connection, _SPAN, lambda asked: _span(asked, FORECAST).where(rows.c.version.is_not(None)), wanted)


def _span(asked: FromClause, columns: Sequence[ColumnElement[Any]]) -> Select[Any]:
    within = and_(rows.c.stream == asked.c.stream, rows.c.seq.between(asked.c.first, asked.c.last))
    return select(asked.c.place, *columns).join_from(asked, rows, within).order_by(asked.c.place, rows.c.seq)


def newest_snapshots(connection: Connection, wanted: Sequence[tuple[int, int]], version: int) -> Answers:
    """Return by (stream, seq) the newest snapshot of a version at or before that row."""

    def question(asked: FromClause) -> Select[Any]:
        earlier = snapshots.alias("earlier")
        newest = (
            select(func.max(earlier.c.seq))
            .where(earlier.c.stream == asked.c.stream, earlier.c.version == version, earlier.c.seq <= asked.c.seq)
            .scalar_subquery()
        )
        of = and_(snapshots.c.stream == asked.c.stream, snapshots.c.version == version, snapshots.c.seq == newest)
        return select(asked.c.place, snapshots).join_from(asked, snapshots, of)

    return ask(connection, _ROW, question, wanted)


def origin_rows(connection: Connection, ids: Sequence[int], version: int) -> Answers:
    """Return the rows that streams are unrolled from under a version."""

    def question(asked: FromClause) -> Select[Any]:
        of = and_(origins.c.stream == asked.c.stream, origins.c.version == version)
        return select(asked.c.place, origins.c.seq).join_from(asked, origins, of)

    return ask(connection, _STREAM, question, [(one,) for one in ids])


def oldest_rows(connection: Connection, ids: Sequence[int]) -> Answers:
    """Return the first row of each stream, or NULL."""

    def question(asked: FromClause) -> Select[Any]:
        oldest = select(func.min(rows.c.seq)).where(rows.c.stream == asked.c.stream).scalar_subquery()
        return select(asked.c.place, oldest).select_from(asked)

    return ask(connection, _STREAM, question, [(one,) for one in ids])


def at(connection: Connection, stream: int, times: Sequence[int]) -> list[int | None]:
    """Return the rows of these times."""
    of = select(rows.c.seq, rows.c.time).where(rows.c.stream == stream)
    oldest, newest = (connection.execute(of.order_by(by).limit(1)).first() for by in (rows.c.seq, rows.c.seq.desc()))
    if oldest is None or newest is None:
        return [None for _ in times]

    def look(seqs: Sequence[int]) -> dict[int, int]:
        answers = observations(connection, [(stream, seq, seq) for seq in seqs])
        return {row.seq: row.time for answer in answers for row in answer}

    return find_rows(times, Mark(*oldest), Mark(*newest), look)


def corrected(connection: Connection, stream: int, seq: int) -> Sequence[Any]:
    """Return what a row was before its corrections, the oldest first."""
    of = select(corrections).where(corrections.c.stream == stream, corrections.c.seq == seq)
    return connection.execute(of.order_by(corrections.c.revision)).all()


def ledger(connection: Connection, stream: int, start: int, limit: int) -> Sequence[Any]:
    """Return whole rows that came, from `start` on."""
    came = select(rows).where(rows.c.stream == stream, rows.c.seq >= start, rows.c.kind != int(Kind.FILLER))
    return connection.execute(came.order_by(rows.c.seq).limit(limit)).all()


def listed(connection: Connection, principal: str, model: str, after: str, limit: int) -> Sequence[Any]:
    """Return streams by name."""
    of = select(streams).where(streams.c.principal == principal, streams.c.model == model, streams.c.name > after)
    return connection.execute(of.order_by(streams.c.name).limit(limit)).all()


def count(connection: Connection, principal: str) -> int:
    """Return how many streams a principal has."""
    of = select(func.count()).select_from(streams).where(streams.c.principal == principal)
    return connection.execute(of).scalar_one()


def drifting(connection: Connection, model: str) -> dict[int, int]:
    """Return how many streams of a model there are, by the code of their drift."""
    of = streams.c.model == model
    every = connection.execute(select(func.count()).select_from(streams).where(of)).scalar_one()
    some = select(streams.c.drift, func.count()).where(of, streams.c.drift != 0).group_by(streams.c.drift)
    drifted = {row[0]: row[1] for row in connection.execute(some)}
    rest = {0: every - sum(drifted.values())}
    return {code: number for code, number in (rest | drifted).items() if number}

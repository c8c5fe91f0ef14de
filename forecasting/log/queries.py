"""What is read, as text that a driver takes: see `texts`.

What is asked about many streams travels as a table of lines, in one parameter or one for each of its columns, so that
the text of a query is the same for one stream and for thousands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Dialect,
    FromClause,
    Select,
    Text,
    bindparam,
    column,
    func,
    literal_column,
    select,
)
from sqlalchemy.types import TypeEngine

from forecasting.log.records import Kind, Observation
from forecasting.log.tables import corrections, origins, rows, snapshots, streams, versions
from forecasting.log.texts import text_of

_OBSERVATION = tuple(rows.c)[: len(Observation._fields)]
_ISSUED = (rows.c.stream, rows.c.seq, rows.c.version, rows.c.forecast, rows.c.said, rows.c.notes, rows.c.revised)
_NUMBER = BigInteger()
_SPAN = {"stream": _NUMBER, "first": _NUMBER, "last": _NUMBER}


class Queries(NamedTuple):
    """Queries by what they give; those about lines give the place of a line first, from 0."""

    streams: str  # lines (principal, model, name)
    observations: str  # lines (stream, first seq, last seq)
    issued: str  # the same
    snapshots: str  # lines (stream, version, seq)
    origins: str  # lines (stream, version)
    there: str  # lines (stream): itself, which nobody erases before the transaction ends
    oldest: str  # lines (stream)
    old_first: str  # lines (stream, before): seq of the first row if it arrived before, of the newest snapshot
    old: str  # lines (stream, first seq, last seq, before): seqs of rows that arrived before
    first: str  # stream: seq and time of the oldest row
    last: str  # stream: those of the newest
    corrected: str  # stream, seq
    ledger: str  # stream, first seq, limit
    listed: str  # principal, model, after, limit
    ids: str  # after, limit
    of_principal: str  # principal: how many streams
    of_model: str  # model: the same
    drifting: str  # model: drift and how many, where there is any
    versions: str


def compiled(dialect: Dialect) -> Queries:
    """Return the queries in the words of a database."""
    about = _About(dialect)
    return Queries(
        streams=about(_of_keys, {"principal": Text(), "model": Text(), "name": Text()}),
        observations=about(lambda asked: _between(asked, _OBSERVATION), _SPAN),
        issued=about(lambda asked: _between(asked, _ISSUED).where(rows.c.version.is_not(None)), _SPAN),
        snapshots=about(_newest_snapshot, {"stream": _NUMBER, "version": _NUMBER, "seq": _NUMBER}),
        origins=about(_origin, {"stream": _NUMBER, "version": _NUMBER}),
        there=about(_there, {"stream": _NUMBER}),
        oldest=about(lambda asked: select(asked.c.place, _first_seq(asked)).select_from(asked), {"stream": _NUMBER}),
        old_first=about(_old_first, {"stream": _NUMBER, "before": _NUMBER}),
        old=about(_old, {**_SPAN, "before": _NUMBER}),
        first=text_of(_end(rows.c.seq.asc()), dialect, ("stream",)),
        last=text_of(_end(rows.c.seq.desc()), dialect, ("stream",)),
        corrected=text_of(_corrected(), dialect, ("stream", "seq")),
        ledger=text_of(_ledger(), dialect, ("stream", "seq", "limit")),
        listed=text_of(_listed(), dialect, ("principal", "model", "name", "limit")),
        ids=text_of(_ids(), dialect, ("id", "limit")),
        of_principal=text_of(_count(streams.c.principal), dialect, ("principal",)),
        of_model=text_of(_count(streams.c.model), dialect, ("model",)),
        drifting=text_of(_drifting(), dialect, ("model",)),
        versions=text_of(select(versions), dialect, ()),
    )


class _About(NamedTuple):
    """Queries about lines: a table named `asked` with the place of each."""

    dialect: Dialect

    def __call__(self, query: Callable[[FromClause], Select[Any]], columns: Mapping[str, TypeEngine[Any]]) -> str:
        if self.dialect.name == "postgresql":
            return text_of(query(_arrays(columns)), self.dialect, tuple(columns))
        return text_of(query(_json(columns)), self.dialect, ("asked",))


def _arrays(columns: Mapping[str, TypeEngine[Any]]) -> FromClause:
    arrays = [bindparam(f"is_{name}", type_=ARRAY(kind)) for name, kind in columns.items()]
    named = [column(name, kind) for name, kind in columns.items()]
    lines = func.unnest(*arrays).table_valued(*named, with_ordinality="nth", name="lines").render_derived()
    place = lines.c.nth - literal_column("1")
    return select(place.label("place"), *(lines.c[name] for name in columns)).subquery("asked")


def _json(columns: Mapping[str, TypeEngine[Any]]) -> FromClause:
    lines = func.json_each(bindparam("asked")).table_valued("key", "value", name="lines")
    parts = [
        func.json_extract(lines.c.value, literal_column(f"'$[{at}]'"), type_=kind).label(name)
        for at, (name, kind) in enumerate(columns.items())
    ]
    return select(lines.c.key.label("place"), *parts).subquery("asked")


def _of_keys(asked: FromClause) -> Select[Any]:
    found = select(asked.c.place, streams).select_from(asked)
    return found.where(*(streams.c[name] == asked.c[name] for name in ("principal", "model", "name")))


def _between(asked: FromClause, columns: Sequence[ColumnElement[Any]]) -> Select[Any]:
    within = rows.c.seq.between(asked.c.first, asked.c.last)
    return _of_lines(asked, rows, columns).where(within).order_by(asked.c.place, rows.c.seq)


def _of_lines(asked: FromClause, table: FromClause, columns: Sequence[ColumnElement[Any]]) -> Select[Any]:
    return select(asked.c.place, *columns).join_from(asked, table, table.c.stream == asked.c.stream)


def _newest_snapshot(asked: FromClause) -> Select[Any]:
    earlier = snapshots.alias("earlier")
    of = (earlier.c.stream == asked.c.stream, earlier.c.version == asked.c.version, earlier.c.seq <= asked.c.seq)
    newest = select(func.max(earlier.c.seq)).where(*of).scalar_subquery()
    found = _of_lines(asked, snapshots, tuple(snapshots.c))
    return found.where(snapshots.c.version == asked.c.version, snapshots.c.seq == newest)


def _origin(asked: FromClause) -> Select[Any]:
    return _of_lines(asked, origins, (origins.c.seq,)).where(origins.c.version == asked.c.version)


def _there(asked: FromClause) -> Select[Any]:
    found = select(asked.c.place, streams.c.id).join_from(asked, streams, streams.c.id == asked.c.stream)
    return found.order_by(streams.c.id).with_for_update(read=True, of=streams)


def _first_seq(asked: FromClause) -> ColumnElement[int]:
    every = rows.alias("every")
    return select(func.min(every.c.seq)).where(every.c.stream == asked.c.stream).scalar_subquery()


def _old_first(asked: FromClause) -> Select[Any]:
    newest = select(func.max(snapshots.c.seq)).where(snapshots.c.stream == asked.c.stream).scalar_subquery()
    found = _of_lines(asked, rows, (rows.c.seq, newest))
    return found.where(rows.c.seq == _first_seq(asked), rows.c.arrived < asked.c.before)


def _old(asked: FromClause) -> Select[Any]:
    return _between(asked, (rows.c.seq,)).where(rows.c.arrived < asked.c.before)


def _end(order: ColumnElement[Any]) -> Select[Any]:
    of = select(rows.c.seq, rows.c.time).where(_is(rows.c.stream))
    return _page(of.order_by(order), literal_column("1"))


def _corrected() -> Select[Any]:
    of = select(corrections).where(_is(corrections.c.stream), _is(corrections.c.seq))
    return of.order_by(corrections.c.revision)


def _ledger() -> Select[Any]:
    came = rows.c.kind != literal_column(str(int(Kind.FILLER)))
    of = select(rows).where(_is(rows.c.stream), rows.c.seq >= _given(rows.c.seq), came)
    return _page(of.order_by(rows.c.seq))


def _listed() -> Select[Any]:
    behind = streams.c.name > _given(streams.c.name)
    of = select(streams).where(_is(streams.c.principal), _is(streams.c.model), behind)
    return _page(of.order_by(streams.c.name))


def _ids() -> Select[Any]:
    return _page(select(streams.c.id).where(streams.c.id > _given(streams.c.id)).order_by(streams.c.id))


def _count(of: ColumnElement[str]) -> Select[Any]:
    return select(func.count()).select_from(streams).where(_is(of))


def _drifting() -> Select[Any]:
    # 0 as a literal, or the index of those that drift would not be used
    of = select(streams.c.drift, func.count()).where(_is(streams.c.model), streams.c.drift != literal_column("0"))
    return of.group_by(streams.c.drift)


def _is(of: ColumnElement[Any]) -> ColumnElement[bool]:
    return of == _given(of)


def _given(of: ColumnElement[Any]) -> ColumnElement[Any]:
    return bindparam(of.key, type_=of.type)


def _page(query: Select[Any], limit: ColumnElement[int] | None = None) -> Select[Any]:
    # to SQLite, SQLAlchemy gives an offset of its own where there is none
    return query.limit(bindparam("limit", type_=_NUMBER) if limit is None else limit).offset(literal_column("0"))

"""What is written, as text that a driver takes: see `texts`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import ge, lt
from typing import NamedTuple

from sqlalchemy import Dialect, Table, bindparam, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.elements import ColumnElement

from forecasting.log.records import Version
from forecasting.log.tables import corrections, origins, rows, snapshots, streams, versions
from forecasting.log.texts import text_of

_TRACKED = ("seq", "time", "epoch", "tracker", "shape", "drift")
_AS_CAME = ("time", "observed", "arrived", "kind", "ahead", "score", "revision")
_FORECAST = ("version", "forecast", "said", "notes", "revised")
_ROW = ("stream", "seq")
_OF_STREAM = ((streams, "id"), *((table, "stream") for table in (rows, corrections, snapshots, origins)))


class Statements(NamedTuple):
    """Statements by what they do, with the order of their parameters."""

    add_version: str  # model, version, run_id
    create: str  # the columns of `streams`
    advance: str  # seq, time, epoch, tracker, shape, drift; id, seq before, epoch before
    append: str  # the columns of `rows`
    copy: str | None  # the same for many rows, in a third of the time; PostgreSQL only
    issue: str  # version, forecast, said, notes, revised; stream, seq
    snapshot: str  # the columns of `snapshots`
    origin: str  # the columns of `origins`
    set_aside: str  # stream, seq
    rewrite: str  # time, observed, arrived, kind, ahead, score, revision; stream, seq
    rescore: str  # score; stream, seq
    forget_snapshots: str  # stream, first seq
    prune_rows: str  # stream, the first seq that stays
    prune_corrections: str  # the same
    prune_snapshots: str  # the same
    erase: tuple[str, ...]  # the stream; the first must find it


def compiled(dialect: Dialect) -> Statements:
    """Return the statements in the words of a database."""
    return Statements(
        add_version=text_of(
            _insert(versions, dialect).on_conflict_do_nothing(), dialect, Version._fields, Version._fields
        ),
        create=text_of(insert(streams), dialect, streams.c.keys()),
        advance=_set(streams, _TRACKED, ("id", "seq", "epoch"), dialect),
        append=text_of(insert(rows), dialect, rows.c.keys()),
        copy=f"COPY {rows.name} ({', '.join(rows.c.keys())}) FROM STDIN" if dialect.name == "postgresql" else None,
        issue=_set(rows, _FORECAST, _ROW, dialect),
        snapshot=_replacing_snapshot(dialect),
        origin=text_of(_insert(origins, dialect).on_conflict_do_nothing(), dialect, origins.c.keys()),
        set_aside=_setting_aside(dialect),
        rewrite=_set(rows, _AS_CAME, _ROW, dialect),
        rescore=_set(rows, ("score",), _ROW, dialect),
        forget_snapshots=_deleting(snapshots, ge, dialect),
        prune_rows=_deleting(rows, lt, dialect),
        prune_corrections=_deleting(corrections, lt, dialect),
        prune_snapshots=_deleting(snapshots, lt, dialect),
        erase=tuple(_erasing(table, name, dialect) for table, name in _OF_STREAM),
    )


def _insert(table: Table, dialect: Dialect) -> postgresql.Insert | sqlite.Insert:
    return postgresql.insert(table) if dialect.name == "postgresql" else sqlite.insert(table)


def _replacing_snapshot(dialect: Dialect) -> str:
    statement = _insert(snapshots, dialect)
    new = {name: statement.excluded[name] for name in ("state", "tracker", "shape")}
    replacing = statement.on_conflict_do_update(index_elements=["stream", "version", "seq"], set_=new)
    return text_of(replacing, dialect, snapshots.c.keys())


def _setting_aside(dialect: Dialect) -> str:
    columns = [rows.c[name] for name in corrections.c.keys()]  # noqa: SIM118 - no mapping
    row = select(*columns).where(*(_is(rows, name) for name in _ROW))
    return text_of(insert(corrections).from_select(corrections.c.keys(), row), dialect, _ROW)


def _deleting(table: Table, compare: Callable[..., ColumnElement[bool]], dialect: Dialect) -> str:
    of = compare(table.c.seq, bindparam("is_seq", type_=table.c.seq.type))
    return text_of(delete(table).where(_is(table, "stream"), of), dialect, _ROW)


def _erasing(table: Table, name: str, dialect: Dialect) -> str:
    return text_of(delete(table).where(_is(table, name)), dialect, (name,))


def _set(table: Table, names: Sequence[str], where: Sequence[str], dialect: Dialect) -> str:
    new = [(table.c[name], bindparam(name, type_=table.c[name].type)) for name in names]
    statement = update(table).ordered_values(*new).where(*(_is(table, name) for name in where))
    return text_of(statement, dialect, (*names, *where))


def _is(table: Table, name: str) -> ColumnElement[bool]:
    return table.c[name] == bindparam(f"is_{name}", type_=table.c[name].type)

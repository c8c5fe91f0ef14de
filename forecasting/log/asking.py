"""Asking a database about thousands of streams at once: what is asked is a table that travels as one parameter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import ARRAY, Connection, FromClause, Integer, Select, bindparam, cast, column, func, select
from sqlalchemy.types import TypeEngine

_CHUNK = 1_000

Columns = dict[str, TypeEngine[Any]]
Answers = list[list[Any]]
Question = Callable[[FromClause], Select[Any]]


def ask(connection: Connection, columns: Columns, question: Question, asked: Sequence[tuple[Any, ...]]) -> Answers:
    """Return the rows that answer each line of what is asked, in their order.

    `question` makes a query of the table of lines, which has `columns` and the number `place` of each line from 0; the
    query selects that number first.
    """
    answers: Answers = [[] for _ in asked]
    of_arrays = connection.dialect.name == "postgresql"
    statement = question(_arrays(columns) if of_arrays else _json(columns))
    for start in range(0, len(asked), _CHUNK):
        chunk = asked[start : start + _CHUNK]
        parameters = _by_column(columns, chunk) if of_arrays else {"asked": msgspec.json.encode(chunk).decode()}
        for row in connection.execute(statement, parameters):
            answers[start + row[0]].append(row)
    return answers


def _by_column(columns: Columns, lines: Sequence[tuple[Any, ...]]) -> dict[str, list[Any]]:
    values = [list(column) for column in zip(*lines, strict=True)]
    return {f"asked_{name}": column for name, column in zip(columns, values, strict=True)}


def _arrays(columns: Columns) -> FromClause:
    arrays = [bindparam(f"asked_{name}", type_=ARRAY(kind)) for name, kind in columns.items()]
    named = [column(name, kind) for name, kind in columns.items()]
    lines = func.unnest(*arrays).table_valued(*named, with_ordinality="ordinality", name="lines").render_derived()
    place = cast(lines.c.ordinality, Integer) - 1
    return select(place.label("place"), *(lines.c[name] for name in columns)).subquery("asked")


def _json(columns: Columns) -> FromClause:
    lines = func.json_each(bindparam("asked")).table_valued("key", "value", name="lines")
    parts = [
        func.json_extract(lines.c.value, f"$[{at}]", type_=kind).label(name)
        for at, (name, kind) in enumerate(columns.items())
    ]
    return select(lines.c.key.label("place"), *parts).subquery("asked")

"""Statements as the text that a driver takes.

They are described once, in SQLAlchemy's words, and compiled when a log is opened: its way from a statement to a cursor,
and from a dictionary to parameters, takes longer than the database does.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ClauseElement, Dialect
from sqlalchemy.sql.compiler import SQLCompiler


def text_of(
    statement: ClauseElement, dialect: Dialect, order: Sequence[str], columns: Sequence[str] | None = None
) -> str:
    """Return the text of a statement, which takes the parameters of these names in this order.

    A parameter is called as in the statement, without a leading `is_`. `columns` are those that an INSERT fills, if not
    all.
    """
    compiled = statement.compile(dialect=dialect, column_keys=columns)
    assert isinstance(compiled, SQLCompiler)  # noqa: S101 - what a query or a change of rows is compiled by
    found = [name.removeprefix("is_") for name in compiled.positiontup or ()]
    assert found == list(order), f"{compiled} takes {found}, not {order}"  # noqa: S101 - ours to keep
    return str(compiled)

"""The tables of the log, described once for every database; the migrations build exactly these.

A row and the forecast issued at it are one line, and the line goes to the end of its table: with a table of their own,
or sorted by stream, a push to a thousand long streams touches several thousand pages instead of one thousand.
No constraint ties rows to streams: a writer first moves the stream on, which locks it and proves that it is there.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table, Text, UniqueConstraint

# alone such a column is SQLite's own row number, which saves an index
_ID = BigInteger().with_variant(Integer, "sqlite")
_NAME = Text().with_variant(Text(collation="C"), "postgresql")  # in the order of code points, as everywhere else

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pk",
        "uq": "%(table_name)s_unique",
        "ix": "%(table_name)s_%(column_0_name)s",
    }
)

versions = Table(
    "gatecast_versions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    UniqueConstraint("model", "version", "run_id"),
)

streams = Table(
    "gatecast_streams",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=False),
    Column("principal", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("name", _NAME, nullable=False),
    Column("series", Text),
    Column("static", Text, nullable=False),
    Column("contract", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("tracker", LargeBinary, nullable=False),
    Column("shape", Text, nullable=False),
    Column("drift", Integer, nullable=False),
    UniqueConstraint("principal", "model", "name"),
    # room beside each line for its next version: an update then touches one page and no index
    postgresql_with={"fillfactor": 50},
)

_drifting = streams.c.drift != 0
# only streams that drift stand in it: a push to one that does not leaves it alone
Index("gatecast_streams_drifting", streams.c.model, streams.c.drift, sqlite_where=_drifting, postgresql_where=_drifting)


def _row_columns() -> tuple[Column[object], ...]:
    """Return the columns of a row as it came, newly made: a column belongs to one table."""
    return (
        Column("stream", BigInteger, primary_key=True, autoincrement=False),
        Column("seq", BigInteger, primary_key=True, autoincrement=False),
        Column("time", BigInteger, nullable=False),
        Column("observed", LargeBinary, nullable=False),
        Column("arrived", BigInteger, nullable=False),
        Column("kind", Integer, nullable=False),
        Column("ahead", LargeBinary),
        Column("score", LargeBinary),
    )


rows = Table(
    "gatecast_rows",
    metadata,
    *_row_columns(),
    Column("revision", Integer, nullable=False),
    # the forecast issued at it; `version` is NULL where there was none
    Column("version", Integer),
    Column("forecast", LargeBinary),
    Column("said", LargeBinary),
    Column("notes", Text),
    Column("revised", Integer),
)

corrections = Table(
    "gatecast_corrections",
    metadata,
    *_row_columns(),
    Column("revision", Integer, primary_key=True, autoincrement=False),
)

snapshots = Table(
    "gatecast_snapshots",
    metadata,
    Column("stream", BigInteger, primary_key=True, autoincrement=False),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("state", LargeBinary, nullable=False),
    Column("tracker", LargeBinary, nullable=False),
    Column("shape", Text, nullable=False),
)

origins = Table(
    "gatecast_origins",
    metadata,
    Column("stream", BigInteger, primary_key=True, autoincrement=False),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
)

"""What schedulers and retrains of several machines share: who holds a project, and what was done about its times."""

from __future__ import annotations

import uuid
from pathlib import Path

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    Float,
    MetaData,
    Table,
    Text,
    insert,
    select,
)
from sqlalchemy.types import TypeEngine

from forecasting.log.connecting import Database, connect
from forecasting.log.opening import MEMORY

FILE = "calendar.db"
_SECONDS: TypeEngine[float] = Double().with_variant(Float(), "sqlite")

CLOCKS = {
    "sqlite": "SELECT (julianday('now') - 2440587.5) * 86400.0",
    "postgresql": "SELECT extract(epoch FROM clock_timestamp())",
}

metadata = MetaData()

leases = Table(
    "gatecast_leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("since", _SECONDS, nullable=False),
    Column("until", _SECONDS, nullable=False),
)

calendars = Table("gatecast_calendar", metadata, Column("id", Text, primary_key=True))
"""One line: what this database is called, so that tokens of two of them are not compared."""

times = Table(
    "gatecast_times",
    metadata,
    Column("name", Text, primary_key=True),
    Column("due", _SECONDS, nullable=False),
    Column("attempt", BigInteger, nullable=False),
    Column("began", _SECONDS, nullable=False),
    Column("ended", _SECONDS),
    Column("outcome", Text),
)


def open_calendar(url: str | None, home: Path) -> Database:
    """Open the database of the calendar: that of the observation log, or a SQLite file of its own in the home.

    In a file of its own nobody's push waits while an alias is moved under a lease.

    Raises:
        SettingsError: `url` is no address of a PostgreSQL.
        LogUnavailable: the database does not answer, or cannot be used.
    """
    database = connect(None if url == MEMORY else url, home / FILE, "full")
    try:
        database.change(_make)
    except BaseException:
        database.close()
        raise
    return database


def now_of(connection: Connection) -> float:
    """Return the time by the database's clock, in seconds since 1970: machines disagree about theirs."""
    return float(connection.exec_driver_sql(CLOCKS[connection.dialect.name]).scalar_one())


def _make(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(1734437990)")  # those that start together take turns
    metadata.create_all(connection)
    if connection.execute(select(calendars)).first() is None:
        connection.execute(insert(calendars).values(id=uuid.uuid4().hex))

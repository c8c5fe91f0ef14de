"""From the address of a log to the log."""

from __future__ import annotations

from pathlib import Path

from forecasting.log.interface import Log
from forecasting.log.memory import MemoryLog

MEMORY = "memory"

FILE = "streams.db"
"""The log of a service that was given no address, in its home."""


def open_log(url: str | None, path: Path, durability: str = "full") -> Log:
    """Open a log: `memory` is kept in this process, None in the SQLite file `path`, else the PostgreSQL at `url`.

    Tables are made, or brought up to date, first. `durability` is of SQLite: after `full` a commit survives a loss of
    power, after `normal` only that of the process.

    Raises:
        SettingsError: `url` is no such address, or its driver is not installed.
        LogUnavailable: the database does not answer, cannot be used, or was written by a newer version.
    """
    if url == MEMORY:
        return MemoryLog()
    from forecasting.log.connecting import connect  # noqa: PLC0415 - SQLAlchemy takes 0.2 s to import
    from forecasting.log.migrating import bring_up_to_date  # noqa: PLC0415
    from forecasting.log.sql import SqlLog  # noqa: PLC0415

    database = connect(url, path, durability)
    try:
        bring_up_to_date(database)
    except BaseException:
        database.close()
        raise
    return SqlLog(database)

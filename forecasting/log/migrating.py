"""Making the tables of a log, and bringing older ones up to date; the steps are in `migrations/versions`, by number.

Replicas that start together take turns. A database that a newer version has changed is refused, not guessed at.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select, text

from forecasting.errors import LogUnavailable
from forecasting.log.connecting import Database

NEWEST = "0001"
VERSION_TABLE = "gatecast_log_version"  # not alembic's own name: MLflow may keep its tables beside these
_SCRIPTS = Path(__file__).parent / "migrations"
_version = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32)))
_LOCK = 0x67617465  # any number that nobody else takes


def bring_up_to_date(database: Database) -> None:
    """Make the tables, or change them to what this version expects.

    Raises:
        LogUnavailable: the database does not answer, cannot be used, or was changed by a newer version.
    """
    database.change(_upgrade)


def _number(connection: Connection) -> str | None:
    """Return the number of the newest step that was taken, None before the first."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(select(_version.c.version_num)).scalar_one_or_none()


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
    found = _number(connection)
    if found is not None and found > NEWEST:
        message = (
            f"the observation log was changed by a newer version (its tables are of number {found}, this version knows "
            f"{NEWEST}); run that version, or restore a copy from before"
        )
        raise LogUnavailable(message)
    if found != NEWEST:
        _take_steps(connection)


def _take_steps(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - it takes 0.1 s to import, and a start with nothing to do goes without
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["version_table"] = VERSION_TABLE
    command.upgrade(config, NEWEST)

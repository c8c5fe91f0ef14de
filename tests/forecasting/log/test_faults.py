"""What is wrong with a database is said in its own words, without a password; once it is mended, all goes on."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy

from forecasting.errors import LogUnavailable, SettingsError
from forecasting.log import connecting
from forecasting.log.interface import Log
from forecasting.log.opening import open_log
from tests import postgres
from tests.forecasting.log.examples import a_push, a_row, a_stream

STREAM = a_stream(1)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "_WAIT_SECONDS", 1)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "expected memory, or an address such as postgresql://"),
        ("mysql://anna:geheim@host/log", "mysql://anna:***@host/log, which is no address of a PostgreSQL"),
        ("postgresql+asyncpg://anna:geheim@host/log", "no address of a PostgreSQL"),
        ("postgresql://anna:ge@heim@host/log", "no address of a PostgreSQL"),
        ("postgresql://anna:geheim@host:port/log", "no address of a PostgreSQL"),
    ],
)
def test_what_is_no_address_is_a_wrong_setting(path: Path, url: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        open_log(url, path)
    assert "GATECAST_LOG_URL is " in str(caught.value)
    assert said in str(caught.value)
    assert "heim" not in str(caught.value)
    assert not path.parent.exists()


def test_a_driver_that_is_not_installed_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(SettingsError, match=r"pip install 'gatecast\[postgresql\]'"):
        open_log("postgresql://anna:geheim@host/log", path)


def test_a_server_that_is_not_there_is_told_without_the_password(path: Path) -> None:
    with pytest.raises(LogUnavailable) as caught:
        open_log("postgresql://anna:geheim@127.0.0.1:1/log", path)
    assert "postgresql://anna:***@127.0.0.1:1/log cannot be used: " in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_a_database_that_the_server_does_not_have_is_told(path: Path, postgres_server: postgres.Server) -> None:
    url = sqlalchemy.make_url(postgres_server.get_uri()).set(database="gone")
    with pytest.raises(LogUnavailable, match='database "gone" does not exist'):
        open_log(url.render_as_string(hide_password=False), path)


def test_a_database_without_an_encoding_holds_texts_as_any_other(path: Path, postgres_server: postgres.Server) -> None:
    how = "ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0"
    with postgres.database(postgres_server.get_uri(), how) as url, closing(open_log(url, path)) as log:
        log.commit(a_push(STREAM, 0, 3))
        (found,) = log.streams(STREAM.key.principal, STREAM.key.model, "", 9)
        assert found.key == STREAM.key


def test_a_file_that_is_no_database_is_told_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("time,temp\n" * 1000)
    with pytest.raises(LogUnavailable, match=r"streams\.db cannot be used: file is not a database"):
        open_log(None, path)
    assert path.read_text() == "time,temp\n" * 1000


def test_a_damaged_file_is_told(path: Path) -> None:
    log = open_log(None, path)
    log.commit(a_push(STREAM, 0, 500))
    log.close()
    content = bytearray(path.read_bytes())
    content[4096 : len(content) - 4096] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(LogUnavailable, match="malformed"):
        open_log(None, path).rows([(STREAM.id, 0, 500)])


def test_a_folder_in_the_place_of_the_file_is_told(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(LogUnavailable, match="unable to open database file"):
        open_log(None, path)


def test_a_file_in_the_place_of_the_folder_is_told(path: Path) -> None:
    path.parent.write_text("")
    with pytest.raises(LogUnavailable, match=r"folder .* cannot be made: "):
        open_log(None, path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anything")
def test_a_file_that_may_only_be_read_is_told(path: Path) -> None:
    log = open_log(None, path)
    log.commit(a_push(STREAM, 0))
    log.close()
    path.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        with pytest.raises(LogUnavailable, match=r"readonly|unable to open"):
            open_log(None, path).commit(a_push(STREAM, 1))
    finally:
        path.parent.chmod(0o755)


def test_a_file_that_another_writer_keeps_is_told_and_goes_on_once_it_is_let_go(path: Path) -> None:
    log = open_log(None, path)
    log.commit(a_push(STREAM, 0))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LogUnavailable, match="database is locked"):
        log.commit(a_push(STREAM, 1))
    assert len(log.rows([(STREAM.id, 0, 9)])[0]) == 1, "readers do not wait for a writer"
    other.execute("ROLLBACK")
    other.close()
    log.commit(a_push(STREAM, 1))
    log.close()


@pytest.fixture
def interrupted(postgres_server: postgres.Server, postgres_url: str, path: Path) -> Iterator[Log]:
    """Return a log at a server that a test may stop; it runs again afterwards."""
    log = open_log(postgres_url, path)
    log.commit(a_push(STREAM, 0))
    yield log
    postgres_server.start()
    log.close()


def test_a_server_that_stops_is_told_and_found_again_once_it_is_back(
    interrupted: Log, postgres_server: postgres.Server
) -> None:
    postgres_server.stop()
    with pytest.raises(LogUnavailable):
        interrupted.commit(a_push(STREAM, 1))
    with pytest.raises(LogUnavailable):
        interrupted.find([STREAM.key])
    postgres_server.start()
    interrupted.commit(a_push(STREAM, 1))
    assert interrupted.rows([(STREAM.id, 0, 9)]) == [[a_row(STREAM, 0), a_row(STREAM, 1)]]


@pytest.mark.parametrize("first", ["read", "write"])
def test_a_server_that_was_restarted_between_two_pushes_goes_unnoticed(
    interrupted: Log, postgres_server: postgres.Server, first: str
) -> None:
    postgres_server.stop()
    postgres_server.start()
    if first == "read":
        assert interrupted.rows([(STREAM.id, 0, 9)]) == [[a_row(STREAM, 0)]]
    interrupted.commit(a_push(STREAM, 1))
    assert len(interrupted.rows([(STREAM.id, 0, 9)])[0]) == 2


def test_after_tables_were_dropped_the_log_says_so(stored: Log) -> None:
    stored.commit(a_push(STREAM, 0))
    with stored._database.engine.begin() as connection:  # noqa: SLF001
        connection.exec_driver_sql("DROP TABLE gatecast_rows")
    with pytest.raises(LogUnavailable, match="gatecast_rows"):
        stored.commit(a_push(STREAM, 1))
    found = stored.find([STREAM.key])[0]
    assert found is not None
    assert found.seq == 0, "nothing of the commit was written"

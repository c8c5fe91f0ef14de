"""Tables are made and brought up to date by whoever opens the log first; newer ones are refused."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from forecasting.errors import LogUnavailable
from forecasting.log import migrating, migrations
from forecasting.log.interface import Log
from forecasting.log.opening import open_log
from forecasting.log.tables import metadata
from tests.forecasting.log.examples import a_push, a_row, a_stream

STREAM = a_stream(1)


def test_the_steps_end_in_the_tables_as_they_are_described(stored: Log) -> None:
    with stored._database.engine.connect() as connection:  # noqa: SLF001
        context = MigrationContext.configure(connection, opts={"version_table": migrating.VERSION_TABLE})
        assert compare_metadata(context, metadata) == []


def test_the_newest_number_is_that_of_the_last_step() -> None:
    assert ScriptDirectory(str(Path(migrations.__file__).parent)).get_heads() == [migrating.NEWEST]


def test_every_name_can_stand_beside_tables_of_others(stored: Log) -> None:
    names = inspect(stored._database.engine).get_table_names()  # noqa: SLF001
    assert len(names) == len(metadata.tables) + 1
    assert [name for name in names if not name.startswith("gatecast_")] == []


def test_a_log_is_opened_again_as_it_was(address: str | None, path: Path) -> None:
    for seq in range(3):
        log = open_log(address, path)
        log.commit(a_push(STREAM, seq))
        log.close()
    log = open_log(address, path)
    assert log.rows([(STREAM.id, 0, 9)]) == [[a_row(STREAM, seq) for seq in range(3)]]
    log.close()


def test_a_log_that_a_newer_version_has_changed_is_refused_and_left_alone(address: str | None, path: Path) -> None:
    log = open_log(address, path)
    log.commit(a_push(STREAM, 0))
    with log._database.engine.begin() as connection:  # noqa: SLF001
        connection.execute(text("UPDATE gatecast_log_version SET version_num = '9999'"))
    with pytest.raises(LogUnavailable, match=r"changed by a newer version \(its tables are of number 9999"):
        open_log(address, path)
    assert log.rows([(STREAM.id, 0, 9)]) == [[a_row(STREAM, 0)]]
    log.close()


def test_steps_that_fail_leave_nothing_behind(address: str | None, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take = migrating._take_steps  # noqa: SLF001

    def fail(connection: object) -> None:
        take(connection)  # type: ignore[arg-type]
        message = "no space"
        raise OSError(message)

    with monkeypatch.context() as patch:
        patch.setattr(migrating, "_take_steps", fail)
        with pytest.raises(OSError, match="no space"):
            open_log(address, path)
    log = open_log(address, path)
    log.commit(a_push(STREAM, 0))
    log.close()


def test_logging_stays_as_it_is(address: str | None, path: Path) -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers), logging.getLogger("alembic").level)
    open_log(address, path).close()
    assert (root.level, list(root.handlers), logging.getLogger("alembic").level) == before

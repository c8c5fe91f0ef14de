"""Schedulers beside each other, and the runs that they start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import mlflow
import pytest

from forecasting.log.connecting import Database
from forecasting.log.opening import FILE
from forecasting.registry import Registry, embedded
from pipelines.calendar import store
from pipelines.calendar.due import Outcome, Run
from pipelines.calendar.lease import take
from pipelines.calendar.runner import Limits, run
from pipelines.calendar.store import claim, finish, seen_of
from pipelines.calendar.tables import open_calendar
from pipelines.settings import Settings
from tests.pipelines.calendar.test_drift import begin
from tests.pipelines.command import gatecast, waves, write_project, write_rows

SHORT = {"members": 1, "epochs": 1, "steps_per_epoch": 1}
LIMITS = Limits(120, 16_000)


def test_a_time_is_begun_by_one_scheduler(calendar: Database) -> None:
    first = Run(1000.0, 1)
    assert seen_of(calendar, "plant").past is None
    assert [claim(calendar, "plant", None, first) for _ in range(3)] == [True, False, False]
    finish(calendar, "plant", first, Outcome.FAILED)
    past = seen_of(calendar, "plant").past
    assert past is not None
    assert (past.due, past.attempt, past.outcome) == (1000.0, 1, Outcome.FAILED)
    assert [claim(calendar, "plant", past, Run(1000.0 + later, 2)) for later in range(3)] == [True, False, False]
    assert claim(calendar, "other", None, first)


def test_what_came_of_an_earlier_attempt_says_nothing_of_a_later_one(calendar: Database) -> None:
    for attempt in (1, 2):
        assert claim(calendar, "plant", seen_of(calendar, "plant").past, Run(1000.0, attempt))
    finish(calendar, "plant", Run(1000.0, 1), Outcome.DONE)
    past = seen_of(calendar, "plant").past
    assert past is not None
    assert (past.attempt, past.ended, past.outcome) == (2, None, None)


def test_a_run_whose_scheduler_was_killed_has_failed_once_nobody_holds_its_project(
    calendar: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "GONE_SECONDS", 0.0)
    assert claim(calendar, "plant", None, Run(1000.0, 1))
    with take(calendar, "plant", 60):
        under_way = seen_of(calendar, "plant").past
    left = seen_of(calendar, "plant").past
    assert under_way is not None
    assert left is not None
    assert (under_way.outcome, left.outcome) == (None, Outcome.FAILED)


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    write_rows(tmp_path / "data.csv", waves())
    return write_project(tmp_path, "plant", SHORT)


def environ(plant: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "GATECAST_HOME": str(plant.parent / "home"), "OMP_NUM_THREADS": "1", **more}


def test_a_run_is_told_by_its_exit_code(plant: Path) -> None:
    home = plant.parent / "home"
    assert run(plant, LIMITS, environ(plant), lambda: False)[0] == Outcome.DONE
    assert gatecast(home, "models", "plant", "--json").json[0]["aliases"] == ["production"]
    calendar = open_calendar(None, home)
    with take(calendar, "plant", 60):
        assert run(plant, LIMITS, environ(plant), lambda: False)[0] == Outcome.HELD
    calendar.close()
    plant.with_name("data.csv").write_text("time,x\n")
    assert run(plant, LIMITS, environ(plant), lambda: False)[0] == Outcome.REJECTED


@pytest.mark.parametrize(
    ("limits", "stopping", "why"),
    [
        (Limits(1, 16_000), False, "took longer than 0.0166667 minutes"),
        (Limits(120, 50), False, "MiB of memory; schedule.memory_mb allows 50"),
        (LIMITS, True, "ended with the scheduler"),
    ],
)
def test_a_run_that_takes_too_much_is_ended(plant: Path, limits: Limits, stopping: bool, why: str) -> None:
    write_project(plant.parent, "plant", {"epochs": 500, "steps_per_epoch": 500, "patience": 500})
    outcome, said = run(plant, limits, environ(plant), lambda: stopping)
    assert outcome == Outcome.FAILED
    assert why in said


def test_a_scheduler_says_what_comes_next_and_ends_in_order(plant: Path) -> None:
    plant.write_text(f'{plant.read_text()}\n[schedule]\ncron = "0 0 1 1 *"\n')
    command = [sys.executable, "-m", "pipelines", "schedule", str(plant)]
    with subprocess.Popen(command, env=environ(plant), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "plant: 0 0 1 1 * (UTC)\n"
        assert process.stdout.readline().startswith("plant: next at ")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_a_scheduler_catches_up_with_what_was_missed_while_it_was_away(plant: Path) -> None:
    text = plant.read_text()
    plant.write_text(f'{text}\n[schedule]\ncron = "* * * * *"\n')
    home = plant.parent / "home"
    calendar = open_calendar(None, home)
    long_ago = time.time() // 60 * 60 - 600
    assert claim(calendar, "plant", None, Run(long_ago, 1))
    finish(calendar, "plant", Run(long_ago, 1), Outcome.DONE)
    command = [sys.executable, "-m", "pipelines", "schedule", str(plant), "--once"]
    said = subprocess.run(command, env=environ(plant), capture_output=True, text=True, check=True)
    past = seen_of(calendar, "plant").past
    calendar.close()
    assert past is not None
    assert (past.attempt, past.outcome) == (1, Outcome.DONE)
    assert past.due >= long_ago + 600
    assert "plant: done (exit code 0)" in said.stdout


def test_a_project_file_that_cannot_be_used_is_told_at_once(tmp_path: Path) -> None:
    said = gatecast(tmp_path, "schedule", tmp_path / "none.toml")
    assert said.code == 2
    assert "there is no project file" in said.err


@pytest.mark.parametrize(("drift", "retrained"), [(1, True), (2, False), (0, False)])
def test_streams_that_drift_are_a_reason_to_retrain(plant: Path, drift: int, retrained: bool) -> None:
    plant.write_text(f'{plant.read_text()}\n[schedule]\ncron = "0 0 1 1 *"\ndrift = {drift}\n')
    home = plant.parent / "home"
    begin(Settings(home=home), 1, drift=2)
    command = [sys.executable, "-m", "pipelines", "schedule", str(plant), "--once"]
    said = [
        subprocess.run(command, env=environ(plant), capture_output=True, text=True, check=True).stdout for _ in range(2)
    ]
    assert ("; 1 stream of it drifting" in said[0]) is retrained
    assert ("plant: done (exit code 0)" in said[0]) is retrained
    assert "done" not in said[1]  # not again within hours
    if retrained:
        registry = Registry(*embedded(home))
        client = mlflow.MlflowClient(registry.uri)
        newest = client.get_run(registry.versions("plant")[0].run_id)
        assert newest.data.tags["gatecast.reason"].endswith("; 1 stream of it drifting")


def test_a_ledger_that_cannot_be_read_does_not_stop_the_clock(plant: Path) -> None:
    plant.write_text(f'{plant.read_text()}\n[schedule]\ncron = "* * * * *"\n')
    home, due = plant.parent / "home", time.time() // 60 * 60 - 600
    with closing(open_calendar(None, home)) as calendar:
        assert claim(calendar, "plant", None, Run(due, 1))
        finish(calendar, "plant", Run(due, 1), Outcome.DONE)
    (home / FILE).write_bytes(b"no database" * 1000)
    command = [sys.executable, "-m", "pipelines", "schedule", str(plant), "--once"]
    said = subprocess.run(command, env=environ(plant), capture_output=True, text=True, check=True).stdout
    assert "plant: whether streams drift is not known: " in said
    assert "plant: done (exit code 0)" in said

"""Retraining: what comes of it is registered, compared and recorded, whoever was killed before."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest

from forecasting.registry import Registry, embedded
from pipelines.calendar.lease import take
from pipelines.calendar.tables import open_calendar
from pipelines.leased import ABANDONED, MARK
from tests.pipelines.command import Said, gatecast, waves, write_project, write_rows

SHORT = {"members": 1, "epochs": 1, "steps_per_epoch": 1}
LONG = {"members": 1, "epochs": 60, "steps_per_epoch": 40, "patience": 60}


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    """Return a project over two waves."""
    write_rows(tmp_path / "data.csv", waves())
    return write_project(tmp_path, "plant", SHORT)


def retrained(plant: Path, *more: str) -> Said:
    return gatecast(plant.parent / "home", "retrain", plant, "--json", *more)


def registry_of(plant: Path) -> Registry:
    return Registry(*embedded(plant.parent / "home"))


def runs_of(plant: Path) -> dict[str, str]:
    """Return the status of each run by its id."""
    client = registry_of(plant)._client  # noqa: SLF001 - what a person sees in the UI
    experiment = client.get_experiment_by_name("plant")
    found = client.search_runs([experiment.experiment_id]) if experiment else []
    return {run.info.run_id: run.info.status for run in found}


def started(plant: Path, **variables: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pipelines", "--home", str(plant.parent / "home"), "retrain", str(plant), "--json"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1", **variables}, **quiet)


def until_running(plant: Path, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while "RUNNING" not in runs_of(plant).values():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)


def scratch_of(plant: Path) -> Path:
    return plant.parent / "home" / "scratch" / "plant"


def test_a_better_model_takes_over_and_an_equal_one_does_not_and_both_say_why(plant: Path) -> None:
    first = retrained(plant)
    assert (first.code, first.json["promoted"], first.json["version"]) == (0, True, "1")
    second = retrained(plant, "--reason", "I wanted to see")
    assert (second.code, second.json["promoted"]) == (0, False)
    client = mlflow.MlflowClient(registry_of(plant).uri)
    assert client.get_run(second.json["run_id"]).data.tags["gatecast.reason"] == "I wanted to see"
    decision = second.json["decision"]
    assert decision["reason"].startswith("it does not beat version 1")
    assert decision["comparison"]["origins"] > 50
    assert decision["data_hash"] == decision["champion_data_hash"]
    tags = registry_of(plant).version("plant", "2").tags
    assert json.loads(tags["production.decision"])["reason"] == decision["reason"]
    assert decision["reason"] in gatecast(plant.parent / "home", "models", "plant", "--json").out
    home = plant.parent / "home"
    assert len(list(home.rglob("decision.json"))) == 2
    assert len(list(home.rglob("decision.png"))) == 1
    assert not scratch_of(plant).exists()


def test_rows_that_the_champion_has_learnt_from_are_not_compared(plant: Path) -> None:
    retrained(plant)
    data = plant.with_name("data.csv")
    write_rows(data, [column[:-60] for column in waves()])
    said = retrained(plant)
    assert said.json["decision"]["left_out"] > 0
    assert said.json["promoted"] is False


def test_a_champion_that_got_worse_than_the_data_is_replaced(plant: Path) -> None:
    noise = np.random.default_rng(1).normal(size=(2, 600))
    old = [column + 20 * one for column, one in zip(waves(), noise, strict=True)]
    write_rows(plant.with_name("data.csv"), old)
    assert gatecast(plant.parent / "home", "train", plant, "--json").code == 0
    gatecast(plant.parent / "home", "promote", "plant", "1", "--force", "--reason", "to begin with")
    write_rows(plant.with_name("data.csv"), waves())
    decision = retrained(plant).json["decision"]
    assert (decision["promote"], decision["champion_version"]) == (True, "1")
    assert decision["p_value"] < 0.05
    assert decision["gain"] >= 0.01


def test_another_schema_is_refused_unless_it_is_allowed(plant: Path) -> None:
    retrained(plant)
    write_project(plant.parent, "plant", SHORT, targets=["x"])
    refused = retrained(plant).json
    assert (refused["promoted"], "has another schema" in refused["decision"]["reason"]) == (False, True)
    assert retrained(plant, "--allow-schema-change").json["promoted"] is True


def test_a_second_run_of_a_project_is_refused_and_leaves_nothing(plant: Path) -> None:
    home = plant.parent / "home"
    with closing(open_calendar(None, home)) as calendar, take(calendar, "plant", 60):
        said = retrained(plant)
    assert said.code == 75
    assert "another run of plant holds the lease since " in said.err
    assert runs_of(plant) == {}


def test_bad_data_leave_the_champion_and_no_run(plant: Path) -> None:
    retrained(plant)
    before = runs_of(plant)
    plant.with_name("data.csv").write_text("time,x\n2024-01-01T00:00:00Z,1\n")
    assert retrained(plant).code == 65
    assert runs_of(plant) == before
    assert registry_of(plant).version("plant", "production").version == "1"
    assert not scratch_of(plant).exists()


def killed(plant: Path, seconds: float) -> None:
    """Kill a retraining so many seconds after its run has begun."""
    registry_of(plant).models()  # makes the store: two that make it at once get in each other's way
    process = started(plant, GATECAST_LEASE_SECONDS="1")
    until_running(plant, process)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def decisions(plant: Path) -> list[dict[str, Any]]:
    """Demand that every version can be opened and was decided about; return these decisions, the newest first."""
    found = registry_of(plant).versions("plant")
    for version in found:
        assert gatecast(plant.parent / "home", "backtest", plant, "--ref", version.version, "--json").code == 0
    return [json.loads(version.tags["production.decision"]) for version in found]


def again(plant: Path) -> Any:
    """Retrain once the lease of who was killed has passed."""
    end = time.monotonic() + 30
    while (said := retrained(plant)).code == 75:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert said.code == 0
    return said.json


def test_who_was_killed_is_ended_by_the_next_one_and_has_moved_nothing(plant: Path) -> None:
    write_project(plant.parent, "plant", LONG)
    killed(plant, 0.5)
    assert list(runs_of(plant).values()) == ["RUNNING"]
    assert scratch_of(plant).exists()
    write_project(plant.parent, "plant", SHORT)
    assert again(plant)["version"] == "1"
    assert sorted(runs_of(plant).values()) == ["FAILED", "FINISHED"]
    assert not scratch_of(plant).exists()


INSTANTS = {
    "as the model is written": "from mlflow import MlflowClient as kind; name = 'log_model_artifacts'",
    "before the alias is to be moved": "from pipelines.calendar.lease import Lease as kind; name = 'hold'",
    "between decision and alias": "from mlflow import MlflowClient as kind; name = 'set_registered_model_alias'",
}
KILLED = (
    "import os, sys; {where}; setattr(kind, name, lambda *_, **__: os._exit(9)); from pipelines.cli import main; main()"
)


@pytest.mark.parametrize("instant", [pytest.param(one, marks=pytest.mark.slow) for one in INSTANTS])
def test_killed_at_a_critical_instant_nothing_is_left_undecided(plant: Path, instant: str) -> None:
    command = [sys.executable, "-c", KILLED.format(where=INSTANTS[instant]), "retrain", str(plant)]
    environ = {**os.environ, "GATECAST_HOME": str(plant.parent / "home"), "GATECAST_LEASE_SECONDS": "1"}
    assert subprocess.run(command, env=environ, capture_output=True, check=False).returncode == 9
    assert "RUNNING" in runs_of(plant).values()
    again(plant)
    first, *left = decisions(plant)
    assert first["promote"] is True
    assert [one["reason"] for one in left] == [ABANDONED.reason] * len(left)
    assert len(left) == (instant != "as the model is written")
    client = registry_of(plant)._client  # noqa: SLF001 - what a person sees in the UI
    experiment = client.get_experiment_by_name("plant").experiment_id
    assert {model.status.name for model in client.search_logged_models([experiment])} <= {"READY", "FAILED"}


def test_a_training_takes_its_turn_too(plant: Path) -> None:
    home = plant.parent / "home"
    with closing(open_calendar(None, home)) as calendar, take(calendar, "plant", 60):
        for more in ([], ["--tune", "1"]):
            assert gatecast(home, "train", plant, *more).code == 75
    assert runs_of(plant) == {}


def test_runs_under_the_lease_of_another_database_are_left_alone(plant: Path) -> None:
    process = started(plant)
    try:
        until_running(plant, process)
        elsewhere = open_calendar(None, plant.parent / "elsewhere")
        with take(elsewhere, "plant", 60), take(elsewhere, "other", 60) as lease:
            assert registry_of(plant).end_orphans("plant", MARK, lease.follows) == []
        elsewhere.close()
        assert "RUNNING" in runs_of(plant).values()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_killed_at_any_instant_no_half_version_stays_and_the_alias_moves_once(plant: Path) -> None:
    draw = random.Random(0)  # noqa: S311
    for _ in range(20):
        killed(plant, draw.uniform(0, 4))
    again(plant)
    assert "RUNNING" not in runs_of(plant).values()
    assert sum(one["promote"] for one in decisions(plant)) == 1
    holders = [one for one in registry_of(plant).versions("plant") if "production" in one.aliases]
    assert [json.loads(one.tags["production.decision"])["promote"] for one in holders] == [True]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a home on a disk of 6 MB, where one may be mounted."""
    home = tmp_path / "small"
    home.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(home)], check=False)  # noqa: S607
    if mounted.returncode:
        pytest.skip("a disk cannot be mounted here")
    yield home
    subprocess.run(["umount", "--lazy", str(home)], check=True)  # noqa: S607


@pytest.mark.slow
def test_a_disk_that_is_full_is_told_and_nothing_is_half_registered(plant: Path, small_disk: Path) -> None:
    for _ in range(9):
        said = gatecast(small_disk, "retrain", plant)
        if said.code:
            break
    assert said.code in {69, 74}  # the database of the registry says so, or the disk itself
    assert "full" in said.err or "No space left" in said.err
    shutil.rmtree(small_disk / "artifacts" / "plant" / "models", ignore_errors=True)
    versions = Registry(*embedded(small_disk)).versions("plant") if (small_disk / "mlflow.db").exists() else []
    assert sum("production" in one.aliases for one in versions) <= 1


def test_a_file_that_cannot_grow_is_told_and_nothing_is_half_done(plant: Path) -> None:
    retrained(plant)

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))  # writes beyond fail as on a full disk
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    command = [sys.executable, "-m", "pipelines", "--home", str(plant.parent / "home"), "retrain", str(plant)]
    said = subprocess.run(command, preexec_fn=limited, capture_output=True, text=True, check=False)
    assert said.returncode == 69
    assert "cannot be used" in said.stderr.splitlines()[-1]
    assert [one.version for one in registry_of(plant).versions("plant")] == ["1"]
    assert again(plant)["version"] == "2"
    assert "RUNNING" not in runs_of(plant).values()

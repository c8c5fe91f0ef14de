"""A retraining that was killed goes on; one that is warm begins with what is in production."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from forecasting.bundle import Bundle
from forecasting.registry import Registry, embedded
from pipelines.versions import open_version
from tests.pipelines.command import Said, gatecast, waves, write_project, write_rows

LONG = {"members": 1, "epochs": 12, "steps_per_epoch": 10, "patience": 12}


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    write_rows(tmp_path / "data.csv", waves())
    return write_project(tmp_path, "plant", LONG)


def registered(home: Path, version: str) -> Bundle:
    registry = Registry(*embedded(home))
    return open_version(registry, registry.version("plant", version))


def killed_after_an_epoch(home: Path, plant: Path) -> None:
    command = [sys.executable, "-m", "pipelines", "--home", str(home), "retrain", str(plant)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env={**os.environ, "GATECAST_LEASE_SECONDS": "1"}, **quiet)
    deadline = time.monotonic() + 120
    while not list((home / "checkpoints").glob("plant/*/*.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()


def retrained(home: Path, plant: Path, *more: str) -> Said:
    said = gatecast(home, "retrain", plant, "--json", *more)
    assert said.code == 0, said.err
    return said


def test_a_killed_retraining_goes_on_to_the_same_weights(plant: Path, tmp_path: Path) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    killed_after_an_epoch(home, plant)
    time.sleep(1.2)  # its lease passes
    said = retrained(home, plant)
    assert "training goes on where one of the same data and settings was ended" in said.err
    assert not list((home / "checkpoints").glob("*/*"))
    retrained(other, plant)
    ours, theirs = (registered(place, "1").forecaster.state_dict() for place in (home, other))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_what_was_kept_of_other_data_is_not_gone_on_from(plant: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    killed_after_an_epoch(home, plant)
    time.sleep(1.2)
    write_rows(tmp_path / "data.csv", 2.0 * np.asarray(waves()))
    assert "goes on" not in retrained(home, plant).err


def test_the_seconds_of_each_phase_are_told_and_recorded(plant: Path, tmp_path: Path) -> None:
    said = retrained(tmp_path / "home", plant)
    seconds = json.loads(said.out)["seconds"]
    assert list(seconds) == ["reading", "training", "recording", "backtest", "decision", "registering"]
    assert all(taken > 0 for taken in seconds.values())
    registry = Registry(*embedded(tmp_path / "home"))
    run = registry._client.get_run(json.loads(said.out)["run_id"])  # noqa: SLF001 - what a person sees in the UI
    assert {
        f"seconds.{name}": pytest.approx(taken) for name, taken in seconds.items()
    }.items() <= run.data.metrics.items()


def test_a_warm_start_begins_with_production_unless_that_has_seen_what_judges_it(plant: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert (
        "training begins anew, not with the members in production: there is none"
        in retrained(home, plant, "--warm").err
    )
    assert "training begins with the members of the version in production" in retrained(home, plant, "--warm").err
    write_rows(
        tmp_path / "data.csv", np.asarray(waves())[:, :-100]
    )  # so that its training rows are behind the test part
    assert "it has learnt from rows until" in retrained(home, plant, "--warm").err

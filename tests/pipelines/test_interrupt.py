"""Ctrl-C as a person presses it: SIGINT to a real process."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import psutil
import pytest

from forecasting.bundle import load_bundle
from forecasting.registry import Registry, embedded
from tests.pipelines.command import gatecast, waves, write_project, write_rows

ROOT = Path(__file__).parents[2]
ENDLESS = {"epochs": 1_000_000, "patience": 1_000_000, "steps_per_epoch": 1, "learning_rate": 1e-9}
PATIENCE_SECONDS = 60


@contextmanager
def training(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a training that would never end."""
    project = write_project(folder, train=ENDLESS)
    command = [sys.executable, "-m", "pipelines", "--home", folder / "home", "train", project]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_line(process: subprocess.Popen[str], start: str) -> None:
    assert process.stdout is not None
    assert any(line.startswith(start) for line in process.stdout), process.communicate()[1]


def statuses(home: Path) -> list[str]:
    uri = embedded(home)[0]
    client = mlflow.MlflowClient(uri, uri)
    return [run.info.status for run in client.search_runs([one.experiment_id for one in client.search_experiments()])]


def test_ctrl_c_ends_training_with_a_bundle_that_forecasts(tmp_path: Path) -> None:
    write_rows(tmp_path / "data.csv", waves())
    with training(tmp_path) as process:
        wait_for_line(process, "training epoch 10:")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    home = tmp_path / "home"
    (bundle,) = (home / "interrupted").iterdir()
    assert process.returncode == 130
    assert "stopping after this batch, keeping the best weights" in out
    assert err.strip() == (
        "gatecast: interrupted; the same command goes on behind the last epoch, and the best weights so far are kept: "
        f"gatecast forecast DATA --bundle {bundle}"
    )
    assert statuses(home) == ["KILLED"]
    assert Registry(*embedded(home)).models() == []
    assert load_bundle(bundle).spec.name == "tiny"
    data, project = tmp_path / "data.csv", tmp_path / "tiny.toml"
    said = gatecast(tmp_path / "other", "forecast", data, "-p", project, "--bundle", bundle, "--json")
    assert [row["step"] for row in said.json] == [1, 2]
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
@pytest.mark.parametrize("more", [1, 5])
def test_ctrl_c_again_and_again_ends_everything_at_once(tmp_path: Path, more: int) -> None:
    write_rows(tmp_path / "data.csv", waves())
    with training(tmp_path) as process:
        wait_for_line(process, "training epoch 10:")
        process.send_signal(signal.SIGINT)
        wait_for_line(process, "stopping after this batch")
        for _ in range(more):
            process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert statuses(tmp_path / "home") == ["KILLED"]


def test_ctrl_c_while_the_data_are_read_leaves_nothing(tmp_path: Path) -> None:
    """Rows that take seconds to read, so that they are still being read once the file is seen to be open."""
    lines = "".join(f"2024-01-01T00:{at // 60:02}:{at % 60:02}Z,{at},{at * 7 % 11}\n" for at in range(3600))
    data = tmp_path / "data.csv"
    data.write_text("time,x,y\n" + lines * 1_000)
    with training(tmp_path) as process:
        wait_until_open(process, data)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
    data.unlink()  # pytest would keep its 100 MB
    assert process.returncode == 130
    assert err.strip() == "gatecast: interrupted"
    assert not (tmp_path / "home" / "mlflow.db").exists()


def wait_until_open(process: subprocess.Popen[str], path: Path) -> None:
    """Wait for a process to open a file."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while str(path) not in {found.path for found in psutil.Process(process.pid).open_files()}:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"{path} was not opened"
        time.sleep(0.002)

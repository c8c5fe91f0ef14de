"""The laboratory as a command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import mlflow
import msgspec
import psutil
import pytest

from forecasting.lab.page import page_of
from forecasting.lab.results import Results
from tests.pipelines.command import gatecast, wait_until


def test_the_quick_laboratory_says_records_and_writes_what_it_found(tmp_path: Path) -> None:
    said = gatecast(tmp_path / "home", "memory", "--lab", "--quick", "--page", tmp_path / "page.md", "--json")
    assert said.code == 0, said.err
    results = msgspec.convert(said.json, Results)
    assert (results.quick, results.seeds) == (True, 1)
    assert (tmp_path / "page.md").read_text() == page_of(results)
    assert msgspec.json.decode((tmp_path / "page.json").read_bytes(), type=Results) == results
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {
        "memory-flow.png", "memory-adding.png", "memory-growth.png",
    }  # fmt: skip
    for words in ("half right", "refuted", "confirmed", "laboratory 3/3"):
        assert words in said.err
    (run,) = runs(tmp_path / "home")
    assert run.data.metrics["factor.lstm_chrono"] > 0.95
    assert run.data.metrics["adding.50.lstm_chrono"] < 0.13 < run.data.metrics["adding.50.alternative_1"]


def runs(home: Path) -> list[mlflow.entities.Run]:
    client = mlflow.MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("memory-lab")
    return list(client.search_runs([experiment.experiment_id]))


@pytest.mark.parametrize(
    "asked", [[], ["one", "--lab"], ["one", "--quick"], ["one", "--page", "x.md"], ["--quick"], ["--lab", "--pages"]]
)
def test_what_does_not_go_together_is_a_wrong_use(tmp_path: Path, asked: list[str]) -> None:
    assert gatecast(tmp_path, "memory", *asked).code == 2


@pytest.mark.slow
def test_ctrl_c_ends_all_of_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipelines", "--home", str(tmp_path), "memory", "--lab"]
    process = subprocess.Popen(command, start_new_session=True, preexec_fn=_heed)  # noqa: PLW1509 - our own command
    try:
        wait_until(lambda: len(psutil.Process(process.pid).children()) >= 2)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 130
    finally:
        process.kill()


def _heed() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)

"""The whole circle on PostgreSQL: history, drift, retraining, promotion, swap, rollback; and not one request fails."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from forecasting.registry import Registry, embedded
from pipelines.processes import free_port, running, wait_for
from pipelines.settings import Settings
from tests.pipelines.command import gatecast, others, waves, write_project, write_rows, write_rows_behind

PATIENCE_SECONDS = 180


@dataclass
class Client:
    """Asks for forecasts without a pause; notes what was answered."""

    url: str
    body: bytes
    answers: list[tuple[int, str]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def serves(self, version: str) -> bool:
        return bool(self.answers) and self.answers[-1] == (200, version)

    def ask(self) -> None:
        while not self.over.wait(0.05):
            headers = {"Content-Type": "application/json"}
            request = urllib.request.Request(f"{self.url}/v1/models/plant/forecast", self.body, headers)  # noqa: S310
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own address
                    self.answers.append((answer.status, json.load(answer)["model"]["version"]))
            except urllib.error.HTTPError as error:
                self.answers.append((error.code, ""))
            except OSError as error:
                self.answers.append((0, str(error)))


def until(look: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not look():
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.2)


@pytest.fixture
def plant(tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project that learns from a history and its log, in production; its service is to be on a free port."""
    settings = {"LOG_URL": postgres_url, "URL": f"http://127.0.0.1:{free_port()}", "POLL_SECONDS": "1", "AUTH": "off"}
    for name, value in settings.items():
        monkeypatch.setenv(f"GATECAST_{name}", value)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    write_rows(tmp_path / "data.csv", waves())
    write_rows_behind(tmp_path / "new.csv", tmp_path / "data.csv", others())
    project = write_project(tmp_path, "plant", {"members": 1, "epochs": 2}, source="log", history="data.csv")
    project.write_text(f'{project.read_text()}\n[schedule]\ncron = "0 0 1 1 *"\ndrift_hours = 0.5\n', encoding="utf-8")
    assert gatecast(tmp_path / "home", "train", project, "--json").json["promoted"]
    return project


@contextmanager
def part(folder: Path, *command: object) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command until the block ends; what it says goes to a file of its name."""
    environ = Settings(home=folder / "home").environment()
    words = [sys.executable, "-m", "pipelines", *map(str, command)]
    with running(words, folder / f"{command[0]}.log", environ) as process:
        yield process


@contextmanager
def asked(folder: Path) -> Iterator[Client]:
    """Have a running service asked until the block ends."""
    history = pd.read_csv(folder / "data.csv").tail(60)
    window = {"observations": history[["x", "y"]].to_numpy().tolist(), "last_timestamp": history["time"].iloc[-1]}
    client = Client(Settings.from_env().url, json.dumps(window).encode())
    asking = threading.Thread(target=client.ask)
    asking.start()
    try:
        yield client
    finally:
        client.over.set()
        asking.join()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_streams_drift_and_a_better_model_serves_them_without_a_failed_request(plant: Path) -> None:
    folder, said = plant.parent, plant.parent / "schedule.log"
    home, url = folder / "home", Settings.from_env().url
    registry = Registry(*embedded(home))
    with part(folder, "serve", "--port", url.rpartition(":")[2]) as service:
        wait_for(f"{url}/readyz", service, folder / "serve.log")
        with asked(folder) as client:
            assert gatecast(home, "stream", "plant", "--data", folder / "data.csv", "--import").code == 0
            assert gatecast(home, "stream", "plant", "--data", folder / "new.csv").code == 0
            with part(folder, "schedule", plant):
                until(lambda: len(registry.versions("plant")) > 1, "it was retrained")
                until(lambda: client.serves("2"), "the better model was served")
                until(lambda: "plant: done (exit code 0)" in said.read_text(), "the run had ended")
                assert gatecast(home, "rollback", "plant").code == 0
                until(lambda: client.serves("1"), "the version before was served again")
    assert "1 stream of it drifting" in said.read_text()
    assert {status for status, _ in client.answers} == {200}
    assert [version for version, _ in groupby(version for _, version in client.answers)] == ["1", "2", "1"]

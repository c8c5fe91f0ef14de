"""The whole circle on PostgreSQL: history, drift, retraining, promotion, swap, rollback; and not one request fails."""

from __future__ import annotations

import json
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecasting.registry import Registry, embedded
from pipelines.processes import free_port, running, wait_for
from pipelines.settings import Settings
from tests.pipelines.command import gatecast, waves, write_project, write_rows

PATIENCE_SECONDS = 180
ROWS = 600


def others() -> list[np.ndarray]:
    """Two waves of another period and size: what was learnt from the old ones is wrong for them."""
    draw, hour = np.random.default_rng(1), np.arange(ROWS) * 2 * np.pi / 7
    noise = draw.normal(size=(2, ROWS))
    return [(10 + 40 * np.sin(hour) + noise[0]).round(3), (100 + 150 * np.cos(hour) + 4 * noise[1]).round(3)]


@dataclass
class Client:
    """Asks for forecasts without a pause; notes what was answered."""

    url: str
    body: bytes
    answers: list[tuple[int, str]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

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


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_streams_drift_and_a_better_model_serves_them_without_a_failed_request(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, port = tmp_path / "home", free_port()
    url = f"http://127.0.0.1:{port}"
    for name, value in {"LOG_URL": postgres_url, "URL": url, "POLL_SECONDS": "1", "AUTH": "off"}.items():
        monkeypatch.setenv(f"GATECAST_{name}", value)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    write_rows(tmp_path / "data.csv", waves())
    project = write_project(tmp_path, "plant", {"members": 1, "epochs": 2}, source="log", history="data.csv")
    project.write_text(f'{project.read_text()}\n[schedule]\ncron = "0 0 1 1 *"\ndrift_hours = 0.5\n', encoding="utf-8")
    assert gatecast(home, "train", project, "--json").json["promoted"]

    history = pd.read_csv(tmp_path / "data.csv")
    new = pd.DataFrame(dict(zip("xy", others(), strict=True)))
    times = pd.date_range(history["time"].iloc[-1], periods=ROWS + 1, freq="h")[1:].strftime("%Y-%m-%dT%H:%M:%SZ")
    new.insert(0, "time", times)
    history.tail(200).to_csv(tmp_path / "old.csv", index=False)
    new.to_csv(tmp_path / "new.csv", index=False)
    window = {"observations": history[["x", "y"]].tail(60).to_numpy().tolist()}
    window["last_timestamp"] = history["time"].iloc[-1]
    client, registry = Client(url, json.dumps(window).encode()), Registry(*embedded(home))

    def serving(version: str) -> bool:
        return bool(client.answers) and client.answers[-1] == (200, version)

    with ExitStack() as parts:
        environ = Settings(home=home).environment()
        serve = [sys.executable, "-m", "pipelines", "serve", "--port", str(port)]
        service = parts.enter_context(running(serve, tmp_path / "serve.log", environ))
        wait_for(f"{url}/readyz", service, tmp_path / "serve.log")
        asking = threading.Thread(target=client.ask)
        asking.start()
        parts.callback(asking.join)
        parts.callback(client.over.set)
        assert gatecast(home, "stream", "plant", "--data", tmp_path / "old.csv", "--import").code == 0
        assert gatecast(home, "stream", "plant", "--data", tmp_path / "new.csv").code == 0
        schedule = [sys.executable, "-m", "pipelines", "schedule", str(project)]
        parts.enter_context(running(schedule, tmp_path / "schedule.log", environ))
        until(lambda: len(registry.versions("plant")) > 1, "it was retrained")
        until(lambda: serving("2"), "the better model was served")
        until(lambda: "plant: done (exit code 0)" in (tmp_path / "schedule.log").read_text(), "the run had ended")
        assert gatecast(home, "rollback", "plant").code == 0
        until(lambda: serving("1"), "the version before was served again")
    assert "1 stream of it drifting" in (tmp_path / "schedule.log").read_text()
    assert {status for status, _ in client.answers} == {200}
    assert [version for version, _ in groupby(version for _, version in client.answers)] == ["1", "2", "1"]

"""From a file to an answer over HTTP: the same numbers as without HTTP, from a process that starts in seconds."""

from __future__ import annotations

import json
import socket
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from pipelines.processes import free_port, running, wait_for
from pipelines.settings import Settings
from tests.pipelines.command import gatecast

if TYPE_CHECKING:
    from tests.pipelines.conftest import Shop


@dataclass(frozen=True)
class Service:
    """A service that runs, and what it wrote."""

    process: Popen[bytes]
    url: str
    log: Path

    def post(self, path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(  # noqa: S310 - our own address
            self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own address
            return json.load(answer)


@pytest.fixture(scope="module")
def service(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Serve the store; python writes every import into the log."""
    port, log = free_port(), tmp_path_factory.mktemp("service") / "log"
    environ = {**Settings(home=shop.home).environment(), "PYTHONPROFILEIMPORTTIME": "1"}
    command = [sys.executable, "-m", "pipelines", "serve", "--port", str(port)]
    with running(command, log, environ) as process:
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/readyz", process, log)
        yield Service(process, url, log)


def test_an_answer_over_http_has_the_numbers_of_the_command_line(service: Service, shop: Shop) -> None:
    rows = pd.read_csv(shop.data)
    body = {"observations": rows[["x", "y"]].to_numpy().tolist(), "last_timestamp": rows["time"].iloc[-1]}
    answer = service.post("/v1/models/tiny/forecast", body)
    here = gatecast(shop.home, "forecast", shop.data, "-p", shop.project, "--json").json
    assert answer["model"]["version"] == "1"
    assert answer["model"]["run_id"] == shop.trained.json["run_id"]
    assert answer["units"] == {"x": "degC"}
    assert [step["timestamp"] for step in answer["forecast"]] == [row["timestamp"] for row in here]
    for step, row in zip(answer["forecast"], here, strict=True):
        assert step["point"] == pytest.approx({name: row[name] for name in "xy"}, rel=1e-5)
        assert step["median"] == pytest.approx({name: row[f"{name}-median"] for name in "xy"}, rel=1e-5)
        for name in "xy":
            ends = [row[f"{name}-lo-90"], row[f"{name}-hi-90"]]
            assert step["intervals"]["90"][name] == pytest.approx(ends, rel=1e-5)


def test_the_service_imports_nothing_that_only_training_needs(service: Service) -> None:
    imported = service.log.read_text(encoding="utf-8")
    assert "forecasting.bundle" in imported
    assert "pytorch_lightning" not in imported
    assert "statsmodels" not in imported


def test_a_service_that_is_told_to_end_ends_in_time(service: Service) -> None:
    service.process.terminate()
    assert service.process.wait(10) == 0


def test_a_taken_port_is_told_before_anything_is_loaded(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = gatecast(tmp_path, "serve", "--port", taken.getsockname()[1])
    assert said.code == 74
    assert "(Address already in use); choose another with --host and --port" in said.err
    assert "torch" not in said.err

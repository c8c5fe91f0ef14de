"""`gatecast up`: what it refuses before anything starts, what it starts, and the whole of it as a person runs it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from pipelines.processes import free_port
from pipelines.settings import Settings
from pipelines.up import Places, parts
from tests.pipelines.command import gatecast, wait_until, waves, write_project, write_rows

if TYPE_CHECKING:
    from tests.pipelines.conftest import Shop

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 120
ALL = "0.0.0.0"  # noqa: S104 - nothing is bound there


@pytest.mark.parametrize("option", ["--port", "--mlflow-port"])
def test_a_taken_port_is_told_before_anything_starts(tmp_path: Path, option: str) -> None:
    ports = {"--port": free_port(), "--mlflow-port": free_port()}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports[option] = taken.getsockname()[1]
        said = gatecast(tmp_path / "home", "up", *(word for one in ports.items() for word in one))
    assert said.code == 74
    assert f"cannot listen on 127.0.0.1:{ports[option]} (Address already in use)" in said.err
    assert option in said.err
    assert not (tmp_path / "home").exists()


def test_a_project_that_is_not_there_is_told_before_anything_starts(tmp_path: Path) -> None:
    said = gatecast(tmp_path / "home", "up", tmp_path / "plant.toml")
    assert said.code == 2
    assert "plant.toml" in said.err
    assert not (tmp_path / "home").exists()


def test_a_service_for_others_needs_keys_before_anything_starts(tmp_path: Path) -> None:
    said = gatecast(tmp_path / "home", "up", "--host", ALL, "--port", free_port(), "--mlflow-port", free_port())
    assert said.code == 2
    assert "make one with: gatecast keys add NAME" in said.err
    assert not (tmp_path / "home").exists()


def test_the_parts_share_a_store_and_find_the_service(tmp_path: Path) -> None:
    project = tmp_path / "plant.toml"
    mlflow, service, scheduler = parts(Settings(home=tmp_path), [project], Places(ALL, 8001, 5001))
    assert mlflow.environ["MLFLOW_BACKEND_STORE_URI"] == f"sqlite:///{tmp_path}/mlflow.db"
    assert list(service.command[-5:]) == ["serve", "--host", ALL, "--port", "8001"]
    assert list(scheduler.command[-2:]) == ["schedule", str(project)]
    assert {one.environ["GATECAST_HOME"] for one in (service, scheduler)} == {str(tmp_path)}
    assert scheduler.environ["GATECAST_URL"] == "http://127.0.0.1:8001"
    assert (mlflow.address, service.address) == (("127.0.0.1", 5001), ("127.0.0.1", 8001))


def test_a_password_is_on_no_command_line(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, tracking_uri="postgresql+psycopg://me:secret@db/mlflow")
    found = parts(settings, [tmp_path / "plant.toml"], Places())
    assert [one.name for one in found] == ["mlflow", "service", "scheduler"]
    assert found[0].environ["MLFLOW_BACKEND_STORE_URI"] == settings.tracking_uri
    assert "secret" not in str([one.command for one in found])


def test_a_server_elsewhere_and_no_project_leave_the_service(tmp_path: Path) -> None:
    found = parts(Settings(home=tmp_path, tracking_uri="https://mlflow.example"), [], Places())
    assert [one.name for one in found] == ["service"]


@contextmanager
def system(home: Path, log: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run `gatecast up --json`, with its standard output piped and all else in a file."""
    port = free_port()
    at = ["--port", str(port), "--mlflow-port", str(free_port())]
    command = [sys.executable, "-m", "pipelines", "--home", str(home), "up", *at, "--json", *more]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (
        log.open("w") as sink,
        subprocess.Popen(
            command, cwd=log.parent, env=environ, stdout=subprocess.PIPE, stderr=sink, text=True
        ) as process,
    ):
        try:
            yield process, port
        finally:
            process.kill()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def addresses(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Read the JSON that is printed once all parts answer, up to its closing brace."""
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or lines[-1] != "}\n":
        lines.append(process.stdout.readline())
        assert lines[-1], "it ended"
    found: dict[str, Any] = json.loads("".join(lines))
    return found


@pytest.mark.slow
def test_the_whole_system_serves_survives_a_crash_and_ends_in_order(shop: Shop, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with system(shop.home, log) as (process, _):
        found = addresses(process)
        family = psutil.Process(process.pid).children(recursive=True)
        assert answers(f"{found['mlflow']}/health")
        wait_until(lambda: answers(f"{found['service']}/v1/models/tiny"), PATIENCE_SECONDS)
        (service,) = [one for one in family if one.cmdline()[2:4] == ["pipelines", "serve"]]
        service.kill()
        wait_until(lambda: "service ended with code 137" in log.read_text(), PATIENCE_SECONDS)
        wait_until(lambda: answers(f"{found['service']}/v1/models/tiny"), PATIENCE_SECONDS)
        family += psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    said = log.read_text()
    assert said.index("ending service") < said.index("ending mlflow") < said.index("all parts have ended")
    assert "service   | " in said
    assert [one for one in family if psutil.pid_exists(one.pid)] == []


@pytest.mark.slow
def test_a_system_that_is_killed_leaves_its_ports_free_for_the_next(tmp_path: Path) -> None:
    with system(tmp_path / "home", tmp_path / "log") as (process, port):
        addresses(process)
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        wait_until(lambda: not any(psutil.pid_exists(one.pid) for one in family), PATIENCE_SECONDS)
    socket.create_server(("127.0.0.1", port)).close()


@pytest.mark.slow
def test_told_to_end_it_exits_with_zero(tmp_path: Path) -> None:
    write_rows(tmp_path / "data.csv", waves())
    project = write_project(tmp_path)
    with system(tmp_path / "home", tmp_path / "log", str(project)) as (process, _):
        assert addresses(process)["projects"] == ["tiny"]
        process.terminate()
        assert process.wait(60) == 0
    assert "ending scheduler" in (tmp_path / "log").read_text()

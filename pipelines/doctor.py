"""`gatecast doctor`: what would keep the other commands from working, looked at before it does."""

from __future__ import annotations

import platform
import shutil
import socket
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import psutil
import torch

from forecasting.errors import GatecastError
from forecasting.keys import read_keys
from forecasting.project import load_project
from pipelines.calendar.due import trigger_for
from pipelines.settings import Settings
from pipelines.sources import read_rows

LEAST_FREE = 1 << 30
PACKAGES = ("gatecast", "torch", "pytorch-lightning", "mlflow", "fastapi", "uvicorn", "pandas")


class Check(NamedTuple):
    """One thing looked at; `ok` None is something to know rather than a fault."""

    name: str
    ok: bool | None
    said: str


def examine(project: Path, settings: Settings, port: int) -> list[Check]:
    """Look at everything; a check that fails stops none of the others."""
    return [
        Check("versions", None, ", ".join(f"{name} {version(name)}" for name in PACKAGES)),
        Check("python", None, f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        Check("device", None, _device()),
        Check("memory", None, f"{psutil.virtual_memory().available / 2**30:.1f} GiB free"),
        _disk(settings.home),
        _try("registry", lambda: _registry(settings)),
        _try("project", lambda: load_project(project).name),
        _try("data", lambda: _data(project, settings)),
        _try("schedule", lambda: _schedule(project)),
        _try("keys", lambda: _keys(settings)),
        _port(port),
    ]


def _try(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, ok=True, said=look())
    except (GatecastError, OSError) as error:
        return Check(name, ok=False, said=str(error))


def _device() -> str:
    cores = f"{psutil.cpu_count(logical=False) or 1} cores"
    return f"cuda ({torch.cuda.get_device_name()}), {cores}" if torch.cuda.is_available() else f"cpu, {cores}"


def _disk(home: Path) -> Check:
    place = next(folder for folder in (home.absolute(), *home.absolute().parents) if folder.exists())
    free = shutil.disk_usage(place).free
    return Check("disk", ok=free >= LEAST_FREE, said=f"{free / 2**30:.1f} GiB free for {home.absolute()}")


def _registry(settings: Settings) -> str:
    registry = settings.registry()
    serving = ", ".join(f"{one.name} version {one.version}" for one in registry.production())
    return f"{registry.address}; in production: {serving or 'nothing yet'}"


def _schedule(project: Path) -> str:
    schedule = load_project(project).schedule
    trigger_for(schedule.cron, schedule.timezone)
    return f"{schedule.cron} in {schedule.timezone}, where `gatecast schedule` runs"


def _data(project: Path, settings: Settings) -> str:
    panel, report = read_rows(load_project(project), settings)
    return f"{report.rows:,} rows, {len(panel)} series, {len(report.findings)} findings, none refuses"


def _keys(settings: Settings) -> str:
    keys = read_keys(settings.keys_path)
    return f"{len(keys)} API keys in {settings.keys_path}; GATECAST_AUTH is {settings.auth}"


def _port(port: int) -> Check:
    with socket.socket() as probe:
        free = probe.connect_ex(("127.0.0.1", port)) != 0
    return Check("port", ok=free, said=f"127.0.0.1:{port} is {'free' if free else 'taken; serve with --port'}")

"""`gatecast up`: MLflow, the service and the scheduler on one machine, as the parts of one supervisor."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from forecasting.keys import asks_for_keys, refuse_no_keys
from forecasting.project import load_project
from pipelines.processes import refuse_taken
from pipelines.settings import Settings
from pipelines.supervising import OURSELVES, Part, Supervisor

LOOPBACK, ANY = "127.0.0.1", {"0.0.0.0", "::"}  # noqa: S104 - only compared with
REMOTE = ("http://", "https://")

MLFLOW, SERVICE, SCHEDULER = "mlflow", "service", "scheduler"
COLOURS = {MLFLOW: "blue", SERVICE: "green", SCHEDULER: "magenta", OURSELVES: "bold"}
WIDTH = max(map(len, COLOURS))

MLFLOW_GRACE_SECONDS = 10.0
SERVICE_GRACE_SECONDS = 25.0
"""It gives notice, and answers what it has begun: see `pipelines/serve.py`."""

SCHEDULER_GRACE_SECONDS = 75.0
"""It ends the runs it has begun, and these put away what they have."""


NO_PROJECT = "none: there is no gatecast.toml here and no project was named"


@dataclass(frozen=True)
class Places:
    """Where things are to answer: the service for whom `host` reaches, MLflow for this machine alone."""

    host: str = LOOPBACK
    port: int = 8000
    mlflow_port: int = 5000

    @property
    def service(self) -> str:
        """The address of the service, as this machine reaches it."""
        host = LOOPBACK if self.host in ANY else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def mlflow(self) -> str:
        """The address of MLflow's pages."""
        return f"http://{LOOPBACK}:{self.mlflow_port}"


def up(
    settings: Settings, projects: Sequence[Path], places: Places, console: Console, put: Callable[[object], None]
) -> None:
    """Run the whole system until SIGTERM ends it; `put` is given the addresses once all parts answer.

    Raises:
        KeyboardInterrupt: Ctrl-C has ended it, in order.
        ProjectError: a project file is missing or cannot be used.
        SettingsError: others can reach that host, and nobody has a key.
        OSError: a port is taken.
    """
    names = [load_project(project).name for project in projects]
    _refuse(settings, places)
    voice = Voice(console)
    for line in opening(settings, names, places):
        voice.say(OURSELVES, line)
    wanted = parts(settings, projects, places)

    def on_ready() -> None:
        voice.say(OURSELVES, f"{', '.join(part.name for part in wanted)}: started")
        put({"service": places.service, "mlflow": _mlflow_address(settings, places), "projects": names})

    ended_by = Supervisor(wanted, voice.say, on_ready).run()
    voice.say(OURSELVES, "all parts have ended")
    if ended_by == signal.SIGINT:
        raise KeyboardInterrupt


def parts(settings: Settings, projects: Sequence[Path], places: Places) -> list[Part]:
    """Return what is to run, in the order of its start: MLflow first, which makes the tables of a new store."""
    environ = settings.environment() | {"GATECAST_URL": places.service, "PYTHONUNBUFFERED": "1"}
    ours = (sys.executable, "-m", "pipelines")
    host = LOOPBACK if places.host in ANY else places.host
    serve = (*ours, "serve", "--host", places.host, "--port", str(places.port))
    found = [] if _is_remote(settings) else [_mlflow(settings, places, environ)]
    found.append(Part(SERVICE, serve, environ, SERVICE_GRACE_SECONDS, (host, places.port)))
    if projects:
        schedule = (*ours, "schedule", *(str(project) for project in projects))
        found.append(Part(SCHEDULER, schedule, environ, SCHEDULER_GRACE_SECONDS))
    return found


def _mlflow(settings: Settings, places: Places, environ: Mapping[str, str]) -> Part:
    """Return MLflow's server on our store, whose address may hold a password: it goes by the environment."""
    home = Path(environ["GATECAST_HOME"]).expanduser()
    (home / "artifacts").mkdir(parents=True, exist_ok=True)
    more = {
        "MLFLOW_BACKEND_STORE_URI": settings.tracking_uri or f"sqlite:///{(home / 'mlflow.db').as_posix()}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # more processes, of language models
    }
    command = (sys.executable, "-m", "mlflow", "server", "--workers", "1")
    at = ("--host", LOOPBACK, "--port", str(places.mlflow_port))
    artifacts = ("--artifacts-destination", (home / "artifacts").as_uri())
    address = (LOOPBACK, places.mlflow_port)
    return Part(MLFLOW, (*command, *at, *artifacts), {**environ, **more}, MLFLOW_GRACE_SECONDS, address)


def _is_remote(settings: Settings) -> bool:
    """Tell whether MLflow runs elsewhere."""
    return (settings.tracking_uri or "").startswith(REMOTE)


def _mlflow_address(settings: Settings, places: Places) -> str:
    """Return where its pages are, without a password."""
    return settings.registry().address if _is_remote(settings) else places.mlflow


def _refuse(settings: Settings, places: Places) -> None:
    """Say before anything starts what would keep a part from ever starting."""
    if asks_for_keys(settings.auth, places.host):
        refuse_no_keys(settings.keys_path, places.host)
    refuse_taken(places.host, places.port, "--host and --port")
    if not _is_remote(settings):
        refuse_taken(LOOPBACK, places.mlflow_port, "--mlflow-port")


def opening(settings: Settings, names: Sequence[str], places: Places) -> list[str]:
    """Return what to know at the start: what runs, where to look, what is missing."""
    scheduled = f"{', '.join(names)}, by [schedule] of each project file" if names else NO_PROJECT
    return [
        f"service    {places.service}/docs",
        f"mlflow     {_mlflow_address(settings, places)}",
        f"scheduler  {scheduled}",
        "Ctrl-C ends all of it",
    ]


class Voice:
    """Prints what the parts say, each line labelled, in colours where a person looks on."""

    def __init__(self, console: Console) -> None:
        """Keep where to print."""
        self._console = console

    def say(self, name: str, line: str) -> None:
        """Print a line of a part."""
        label = (f"{name:<{WIDTH}} | ", COLOURS.get(name, ""))
        self._console.print(Text.assemble(label, Text.from_ansi(line)), soft_wrap=True)

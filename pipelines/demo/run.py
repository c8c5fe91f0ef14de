"""`gatecast demo`: the main job on real data, from the file to an answer over HTTP."""

from __future__ import annotations

import json
import shutil
import sys
import time
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from forecasting.project import Project, load_project
from forecasting.reading import read_panel
from forecasting.series import Series, rfc3339
from pipelines.display import show_scorecard
from pipelines.feeds import Source
from pipelines.processes import free_port, running, wait_for
from pipelines.pushing import Client
from pipelines.settings import Settings
from pipelines.stream import Options, stream_file
from pipelines.train import train

FILES = ("gatecast.toml", "nyc_weather.csv.gz")
ASKED = "JFK"
ROWS, OK = 169, 200
STREAMED = 336
STREAM_PICTURE = Path("pictures", "stream.png")


@dataclass(frozen=True)
class Place:
    """Where the demonstration keeps its files."""

    folder: Path

    @property
    def settings(self) -> Settings:
        """An embedded store in the folder, whatever the environment says."""
        return Settings(home=self.folder / ".gatecast")


def run_demo(folder: Path, keep: bool, console: Console) -> None:
    """Train, judge, register, serve, ask and stream; with `keep`, go on serving until Ctrl-C.

    Raises:
        NotStarted: the service or the MLflow UI did not come up.
        ConnectionError: the service does not answer as it should.
    """
    start = time.monotonic()
    place = Place(folder.absolute())
    _copy_files(place.folder)
    project = load_project(place.folder / FILES[0])
    console.rule("1  data and training")
    trained = train(project, place.settings.registry(), place.settings, console)
    console.rule("2  judged on rows it never saw")
    show_scorecard(trained.scorecard, console)
    verb = "promoted to production" if trained.decision.promote else "registered, not promoted"
    console.print(f"version {trained.version.version} {verb}: {trained.decision.reason}", highlight=False)
    pictures = _copy_pictures(place, trained.version.run_id)
    with ExitStack() as servers:
        console.rule("3  served over HTTP")
        url = _serve(place, servers, console)
        client = servers.enter_context(closing(Client(url, None, lambda line: console.print(line, highlight=False))))
        _ask(project, place, client, console)
        console.rule("4  row by row, in streams")
        _stream(project, place, client, console)
        console.rule("5  where to look")
        _say_where(place, pictures, console)
        console.print(f"done in {time.monotonic() - start:.0f} s")
        if keep:
            _keep(place, servers, console)


def _copy_files(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        with as_file(files("pipelines.demo") / name) as packaged:
            shutil.copyfile(packaged, folder / name)


def _copy_pictures(place: Place, run_id: str) -> list[Path]:
    """Bring the pictures of the run where a person finds them."""
    target = place.folder / "pictures"
    found = sorted(place.settings.home.glob(f"artifacts/*/{run_id}/artifacts/pictures/*.png"))
    target.mkdir(exist_ok=True)
    return [Path(shutil.copy(picture, target)) for picture in found]


def _serve(place: Place, servers: ExitStack, console: Console) -> str:
    port, log = free_port(), place.folder / "service.log"
    command = [sys.executable, "-m", "pipelines", "serve", "--port", str(port)]
    process = servers.enter_context(running(command, log, place.settings.environment()))
    waited = wait_for(f"http://127.0.0.1:{port}/readyz", process, log)
    console.print(f"the service was ready after {waited:.1f} s: http://127.0.0.1:{port}/docs", highlight=False)
    return f"http://127.0.0.1:{port}"


def _ask(project: Project, place: Place, client: Client, console: Console) -> None:
    one, path = _series(project, ASKED), f"/v1/models/{project.name}/forecast"
    body = json.dumps(_request(one)).encode()
    (place.folder / "request.json").write_bytes(body)
    began = time.perf_counter()
    reply = client.ask("POST", path, body)
    took = (time.perf_counter() - began) * 1000
    if reply.status != OK:
        client.refuse(reply)
    said = f"POST {client.url}{path} with the newest {ROWS} rows of {ASKED}: answered in {took:.0f} ms"
    console.print(said, highlight=False)
    _show_answer(json.loads(reply.body), one, project, console)


def _stream(project: Project, place: Place, client: Client, console: Console) -> None:
    """Push the newest rows of each station as they came, after those before them."""
    described = client.describe(project.name)
    name = f"demo-{described.model.version}-"  # each run trains a version, and has streams of its own
    options = Options(name, history=True, last=STREAMED, picture=place.folder / STREAM_PICTURE)
    source = Source(project.source, place.folder / FILES[0])
    streamed = stream_file(client, project.name, source, options, console)
    if streamed.fault:
        raise streamed.fault


def _series(project: Project, name: str) -> Series:
    panel, _ = read_panel(project)
    return next(one for one in panel if one.id == name)


def _request(one: Series) -> dict[str, Any]:
    rows = [[None if np.isnan(cell) else round(float(cell), 4) for cell in row] for row in one.values[-ROWS:]]
    return {"observations": rows, "last_timestamp": rfc3339(one.index[-1]), "series": one.id}


def _show_answer(answer: dict[str, Any], one: Series, project: Project, console: Console) -> None:
    step, model = answer["forecast"][0], answer["model"]
    title = f"{one.id} at {step['timestamp']}, by {model['name']} version {model['version']}"
    table = Table(title=title, caption=f"last seen at {rfc3339(one.index[-1])}")
    for heading in ("", "last seen", "mean", "median", "90 % interval", "unit"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for column, last in zip(project.data.targets, one.values[-1], strict=True):
        numbers = (f"{value:.2f}" for value in (last, step["point"][column], step["median"][column]))
        low, high = step["intervals"]["90"][column]
        table.add_row(column, *numbers, f"{low:.2f} to {high:.2f}", answer["units"].get(column, ""))
    console.print(table)
    for warning in answer["warnings"]:
        console.print(f"  {warning['code']}: {warning['detail']}", markup=False)


def _say_where(place: Place, pictures: list[Path], console: Console) -> None:
    tools, own = Path(sys.executable).parent, place.folder / FILES[0]
    shown = next((path for path in pictures if path.stem == f"forecast-{ASKED}"), None)
    lines = [
        f"forecast picture   {shown or place.folder / 'pictures'}",
        f"all pictures       {place.folder / 'pictures'}",
        f"the request sent   {place.folder / 'request.json'}",
        f"the stream, drawn  {place.folder / STREAM_PICTURE}",
        f"serve it again     {tools / 'gatecast'} --home {place.settings.home} serve",
        f"MLflow UI          {tools / 'mlflow'} ui --backend-store-uri {place.settings.registry().address}",
        "API docs           http://127.0.0.1:8000/docs while it is served; `gatecast demo --keep` leaves both running",
        f"your own data      edit {own}, then: {tools / 'gatecast'} train {own}",
    ]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _keep(place: Place, servers: ExitStack, console: Console) -> None:
    port, log = free_port(), place.folder / "mlflow.log"
    uri = place.settings.registry().uri
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--port", str(port)]
    process = servers.enter_context(running(command, log, place.settings.environment()))
    wait_for(f"http://127.0.0.1:{port}/health", process, log)
    console.print(f"the MLflow UI is at http://127.0.0.1:{port}; Ctrl-C ends both", highlight=False)
    with suppress(KeyboardInterrupt):
        process.wait()

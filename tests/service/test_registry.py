"""The service before a real registry: MLflow on SQLite, and a real `mlflow server` that is killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from mlflow import MlflowClient
from starlette.testclient import TestClient

from forecasting.bundle import save_bundle
from forecasting.registry import ModelVersion, Registry, embedded
from pipelines.processes import free_port
from service.app import create_app
from service.cache import Cache
from service.settings import Settings
from service.sources import RegistrySource
from tests.bundles import make_bundle, recorded, window
from tests.forecasting.registry.examples import frame

FORECAST = "/v1/models/tiny/forecast"
GONE = {"tiny": "the registry has it no longer; version 1 is served on"}
Start = Callable[..., TestClient]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the tables, which takes seconds, once; every test has a model of its own."""
    home = tmp_path_factory.mktemp("store")
    Registry(*embedded(home)).models()
    return home


@pytest.fixture
def home(store: Path, tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    (home / "mlflow.db").write_bytes((store / "mlflow.db").read_bytes())
    register(Registry(*embedded(home)), 1)
    return home


def register(registry: Registry, seed: int, *, promoted: bool = True) -> ModelVersion:
    """Register another version."""
    bundle = make_bundle()
    bundle.forecaster.state_dict()["linear.bias"].add_(seed / 10)
    with registry.run("tiny") as run, temporary() as folder:
        save_bundle(recorded(bundle, window()), folder)
        version = run.register(folder, frame(), card="# tiny")
    if promoted:
        registry.promote(version, {"reason": "a test"})
    return version


@contextmanager
def temporary() -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        yield Path(folder) / "bundle"


@pytest.fixture
def registry(home: Path) -> Registry:
    return Registry(*embedded(home))


@pytest.fixture
def settings(home: Path) -> Settings:
    return Settings(home=home, device="cpu", log_url="memory", poll_seconds=0.2)


@pytest.fixture
def start(settings: Settings) -> Iterator[Start]:
    with ExitStack() as stack:

        def start(settings: Settings = settings) -> TestClient:
            return stack.enter_context(TestClient(create_app_of(settings), raise_server_exceptions=False))

        yield start


def create_app_of(settings: Settings) -> Any:
    """Return the app as a process of its own has it: before the registry, with what it keeps on disk."""
    return create_app(settings, RegistrySource(settings), Cache.of(settings))


def until(true: Callable[[], Any], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def state(client: TestClient) -> Any:
    return client.get("/readyz").json()


def version(client: TestClient) -> str:
    return str(state(client)["models"][0]["version"])


def test_a_promoted_version_is_served_and_one_that_was_before_again(
    start: Start, registry: Registry, good: dict[str, Any]
) -> None:
    client = start()
    until(lambda: client.get("/readyz").status_code == 200)
    first = client.post(FORECAST, json=good).content
    register(registry, 2)
    until(lambda: version(client) == "2")
    assert client.post(FORECAST, json=good).content != first
    registry.promote(registry.version("tiny", "1"), {"reason": "back"})
    until(lambda: version(client) == "1")
    assert client.post(FORECAST, json=good).content == first


def test_a_deleted_alias_and_a_deleted_version_are_served_on_and_told(start: Start, registry: Registry) -> None:
    client, mlflow = start(), MlflowClient(registry.uri, registry.uri)
    mlflow.delete_registered_model_alias("tiny", "production")
    until(lambda: state(client)["degraded"] == GONE)
    registry.promote(registry.version("tiny", "1"), {"reason": "again"})
    until(lambda: state(client)["degraded"] == {})
    mlflow.delete_model_version("tiny", "1")
    until(lambda: state(client)["degraded"] == GONE)
    mlflow.delete_registered_model("tiny")
    assert client.post("/v1/admin/reload").json()["degraded"] == GONE
    assert client.get("/readyz").status_code == 200


def test_a_spoilt_artifact_is_refused_and_its_pickle_does_not_run(
    start: Start, registry: Registry, home: Path, good: dict[str, Any], tmp_path: Path
) -> None:
    client = start()
    before = client.post(FORECAST, json=good).content
    second = register(registry, 2, promoted=False)
    (bundle,) = (
        path.parent / "artifacts" / "bundle"
        for path in home.glob("artifacts/tiny/models/*/artifacts/MLmodel")
        if second.run_id in path.read_text(encoding="utf-8")
    )
    (bundle / "model.pkl").write_bytes(f"cos\nsystem\n(S'touch {tmp_path}/trace'\ntR.".encode())
    registry.promote(second, {"reason": "a test"})
    until(lambda: state(client)["refused"] == {"tiny": "The model bundle is not whole"})
    (bundle / "model.pkl").unlink()
    (bundle / "scaler.json").write_bytes(b"{}")
    refused = client.post("/v1/admin/reload").json()["refused"]
    assert refused == {"tiny": "The model bundle is not the one that was registered"}
    assert client.post(FORECAST, json=good).content == before
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("until_noticed", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_locked_database_takes_nothing_from_what_is_served(
    until_noticed: bool, start: Start, registry: Registry, home: Path, good: dict[str, Any]
) -> None:
    client = start()
    with closing(sqlite3.connect(home / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        if until_noticed:  # mlflow waits 20 seconds for a lock
            until(lambda: "registry" in state(client)["degraded"])
        end = time.monotonic() + 2
        while time.monotonic() < end:
            assert client.post(FORECAST, json=good).status_code == 200
        other.execute("ROLLBACK")
    register(registry, 2)
    until(lambda: version(client) == "2")
    assert state(client)["degraded"] == {}


def test_a_database_that_is_gone_takes_nothing_from_what_is_served_nor_from_the_next_start(
    start: Start, home: Path, good: dict[str, Any]
) -> None:
    client = start()
    before = client.post(FORECAST, json=good).content
    (home / "mlflow.db").write_bytes(b"this is no database" * 1000)
    until(lambda: "registry" in state(client)["degraded"])
    assert client.post(FORECAST, json=good).content == before
    again = start()
    assert again.post(FORECAST, json=good).content == before
    until(lambda: "registry" in state(again)["degraded"])


def test_what_is_kept_is_served_before_mlflow_is_imported(start: Start, settings: Settings) -> None:
    start()
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from service.app import create_app\n"
        "from service.settings import Settings\n"
        "async def main():\n"
        f"    app = create_app(Settings(home=Path({str(settings.home)!r}), device='cpu', log_url='memory')).app\n"
        "    async with app.router.lifespan_context(app):\n"
        "        print(len(app.state.models.served), 'mlflow' in sys.modules)\n"
        "        state = await app.state.follower.reload()\n"
        "        print(dict(state.degraded), 'mlflow' in sys.modules)\n"
        "asyncio.run(main())\n"
    )
    settled = {**os.environ, "GATECAST_HOME": str(settings.home)}
    done = subprocess.run([sys.executable, "-W", "error::RuntimeWarning", "-c", code], cwd=Path(__file__).parents[2],
                          env=settled, capture_output=True, text=True, timeout=120, check=True)  # fmt: skip
    assert done.stdout.splitlines() == ["1 False", "{} True"]


@contextmanager
def mlflow_server(folder: Path, port: int) -> Iterator[Callable[[], None]]:
    """Run an MLflow server; what is returned kills it, its children too."""
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{folder / 'server.db'}", "--artifacts-destination", str(folder / "art")),
    ]
    environ = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environ, start_new_session=True)

    def kill() -> None:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def answers() -> bool:
        assert process.poll() is None, (folder / "log").read_text()[-2000:]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    try:
        until(answers, 120)
        yield kill
    finally:
        kill()


@pytest.mark.slow
def test_a_registry_that_is_killed_while_serving_costs_no_answer_and_is_followed_again_when_it_is_back(
    start: Start, settings: Settings, good: dict[str, Any], tmp_path: Path
) -> None:
    port = free_port()
    ours = replace(settings, tracking_uri=f"http://127.0.0.1:{port}", home=tmp_path / "service")
    client = start(ours)  # nothing is there yet: it lives, is not ready, and tries again
    assert (client.get("/livez").status_code, client.get("/readyz").status_code) == (200, 503)
    registry = Registry(ours.tracking_uri or "")
    with mlflow_server(tmp_path, port) as kill:
        register(registry, 1)
        until(lambda: client.get("/readyz").status_code == 200)
        statuses: list[int] = []
        asker = threading.Thread(target=lambda: statuses.extend(
            client.post(FORECAST, json=good).status_code for _ in range(1000)
        ))  # fmt: skip
        asker.start()
        kill()
        asker.join()
        assert (len(statuses), set(statuses)) == (1000, {200})
        until(lambda: state(client)["degraded"] == {"registry": "The model registry does not answer"})
        assert "gatecast_registry_up 0.0" in client.get("/metrics").text
        began = time.monotonic()
        again = start(ours)
        assert (again.get("/readyz").status_code, time.monotonic() - began < 5) == (200, True)
    with mlflow_server(tmp_path, port):
        until(lambda: state(client)["degraded"] == state(again)["degraded"] == {})
        register(registry, 2)
        until(lambda: version(client) == version(again) == "2")

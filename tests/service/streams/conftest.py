"""Services with streams: in memory and in a file, in this process and on a socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from forecasting.bundle import save_bundle
from service.app import create_app
from service.settings import Settings
from tests.bundles import make_rich_bundle

Start = Callable[..., TestClient]


@pytest.fixture(scope="session")
def rich_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rich") / "bundle"
    save_bundle(make_rich_bundle(), folder)
    return folder


@pytest.fixture(scope="session")
def folders(tiny_folder: Path, rich_folder: Path) -> dict[str, Path]:
    return {"tiny": tiny_folder, "rich": rich_folder}


@pytest.fixture(scope="session")
def start(folders: dict[str, Path], folder_source: Any) -> Start:
    """Return a maker of clients of services of two models, `tiny` and `rich`; not started yet."""

    def make(**settings: Any) -> TestClient:
        app = create_app(Settings(**{"device": "cpu", "log_url": "memory", **settings}), folder_source(folders))
        return TestClient(app, raise_server_exceptions=False)

    return make


@pytest.fixture(scope="module")
def streams(start: Start) -> Iterator[TestClient]:
    """Talk to a service whose log is in memory; tests use streams of their own."""
    with start() as client:
        yield client


@pytest.fixture(params=["memory", "file"])
def kept(request: pytest.FixtureRequest, start: Start, tmp_path: Path) -> Iterator[TestClient]:
    """Talk to a service with each kind of log."""
    with start(log_url="memory" if request.param == "memory" else None, home=tmp_path) as client:
        yield client

"""The real app in front of real bundles on disk; only the registry is replaced, by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from forecasting.bundle import Bundle, save_bundle
from forecasting.errors import NoSuchModel
from service.app import create_app
from service.gate import means, open_model
from service.models import PRODUCTION, ServedRef
from service.settings import Settings
from service.streams.upkeep import push_once
from tests import bundles


class FolderSource:
    """Bundles in folders, by model name; each is version 1, made by run r1."""

    def __init__(self, folders: dict[str, Path]) -> None:
        self.folders = folders

    def production(self) -> list[ServedRef]:
        return [self.version(name, PRODUCTION) for name in self.folders]

    def version(self, name: str, ref: str) -> ServedRef:
        if name not in self.folders or ref not in {PRODUCTION, "1"}:
            raise NoSuchModel(name)
        return ServedRef(name, "1", PRODUCTION, "r1")

    def fetch(self, ref: ServedRef, folder: Path) -> Path:
        assert folder.is_dir()
        return self.folders[ref.name]


@pytest.fixture(scope="session", autouse=True)
def _compiled(tiny_folder: Path) -> None:
    """Compile what steps streams, which takes a while the first time on a machine: no service is to start with that."""
    model = open_model(tiny_folder, ServedRef("tiny", "1", PRODUCTION, "r1"), "cpu")
    push_once(model.streamed, means(model.bundle))


@pytest.fixture(scope="session")
def folder_source() -> type[FolderSource]:
    return FolderSource


@pytest.fixture(scope="session")
def client(tiny_folder: Path) -> Iterator[TestClient]:
    """Talk to an app that serves the tiny bundle and takes little, so that limits are quick to reach."""
    settings = Settings(device="cpu", log_url="memory", max_body_bytes=20_000, max_rows=50, max_windows=3)
    with TestClient(create_app(settings, FolderSource({"tiny": tiny_folder})), raise_server_exceptions=False) as one:
        yield one


@pytest.fixture
def serve(tmp_path: Path) -> Callable[..., TestClient]:
    """Return a maker of clients of apps that serve these bundles, by name; not started yet."""

    def start(settings: Settings | None = None, **bundles: Bundle) -> TestClient:
        for name, bundle in bundles.items():
            save_bundle(bundle, tmp_path / name)
        source = FolderSource({name: tmp_path / name for name in bundles})
        return TestClient(
            create_app(settings or Settings(device="cpu", log_url="memory"), source), raise_server_exceptions=False
        )

    return start


@pytest.fixture
def good() -> dict[str, Any]:
    """Return a request that is answered: three hours of two columns."""
    return {
        "observations": [[9.5, 1010.0], [10.0, 1005.0], [10.5, 1000.0]],
        "last_timestamp": "2024-03-01T02:00:00Z",
        "series": "north",
    }


@pytest.fixture(scope="session")
def rich_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Talk to an app that serves the tiny bundle with covariates of every kind."""
    folder = tmp_path_factory.mktemp("rich") / "bundle"
    save_bundle(bundles.make_rich_bundle(), folder)
    source = FolderSource({"tiny": folder})
    with TestClient(create_app(Settings(device="cpu", log_url="memory"), source), raise_server_exceptions=False) as one:
        yield one


@pytest.fixture
def rich() -> dict[str, Any]:
    """Return a request with covariates that is answered: a, b, rain, price and holiday of two hours, two ahead."""
    return {
        "observations": [[3.5, 4, 0.0, 30.0, 0], [4.5, 3, None, 31.0, 0]],
        "last_timestamp": "2024-03-01T02:00:00Z",
        "known_future": [[32.0, 1], [33.0, 0]],
        "series": "north",
    }

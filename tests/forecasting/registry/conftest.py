"""A real SQLite store and a real artifact folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from forecasting.registry import ModelVersion, Registry, embedded
from tests.forecasting.registry.examples import frame


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """To make mlflow's tables takes seconds: it is done once and then copied."""
    home = tmp_path_factory.mktemp("store")
    assert Registry(*embedded(home)).models() == []
    return home / "mlflow.db"


@pytest.fixture
def home(empty_store: Path, tmp_path: Path) -> Path:
    home = tmp_path / "a home"
    home.mkdir()
    shutil.copy(empty_store, home)
    return home


@pytest.fixture
def registry(home: Path) -> Registry:
    return Registry(*embedded(home))


@pytest.fixture
def client(registry: Registry) -> MlflowClient:
    return MlflowClient(registry.uri, registry.uri)


@pytest.fixture
def register(registry: Registry, tiny_folder: Path) -> Callable[[], ModelVersion]:
    def once() -> ModelVersion:
        with registry.run("tiny") as run:
            return run.register(tiny_folder, frame(), card="# tiny")

    return once

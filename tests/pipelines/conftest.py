"""One embedded store for all tests, with a model in production and one that the gate kept out."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from forecasting.registry import Registry, embedded
from tests.pipelines.command import Said, gatecast, walks, waves, write_project, write_rows


@dataclass(frozen=True)
class Shop:
    """A folder with a project and its data, the store it was trained into, and what training said."""

    home: Path
    project: Path
    trained: Said

    @property
    def data(self) -> Path:
        return self.project.with_name("data.csv")

    @property
    def registry(self) -> Registry:
        return Registry(*embedded(self.home))


@pytest.fixture(scope="session", autouse=True)
def _no_settings() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("GATECAST_HOME", "GATECAST_TRACKING_URI", "MLFLOW_TRACKING_URI"):
            patch.delenv(variable, raising=False)
        yield


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Train a model of two waves in a git checkout; it is promoted."""
    folder = tmp_path_factory.mktemp("shop")
    write_rows(folder / "data.csv", waves())
    project = write_project(folder, units={"x": "degC"})
    author = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "."], [*author, "commit", "-q", "-m", "data"]):
        subprocess.run(["git", *command], cwd=folder, check=True)  # noqa: S607 - the git of whoever runs this
    return Shop(folder / "home", project, gatecast(folder / "home", "train", project, "--json"))


@pytest.fixture(scope="session")
def refused(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Train a model of two random walks into the same store; it is not promoted."""
    folder = tmp_path_factory.mktemp("walks")
    write_rows(folder / "data.csv", walks())
    project = write_project(folder, "walk")
    return Shop(shop.home, project, gatecast(shop.home, "train", project, "--json"))

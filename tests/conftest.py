"""What holds for every test: one thread, a seed, no deadline for an example; and the tiny bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from forecasting.bundle import Bundle, save_bundle
from tests import bundles, postgres


def pytest_configure(config: pytest.Config) -> None:
    """Leave the other cores to others, and the time of an example to the machine.

    The fast suite draws the same examples each time, so that a change is never blamed for what it did not do; the slow
    one (`--hypothesis-profile searching`) looks for new ones.
    """
    torch.set_num_threads(1)
    settings.register_profile("patient", deadline=None, derandomize=True)
    settings.register_profile("searching", deadline=None)
    settings.load_profile(config.getoption("--hypothesis-profile") or "patient")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Let weights that no test seeds be the same whichever tests ran before."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def make_bundle() -> Callable[..., Bundle]:
    """Return the maker of tiny bundles, for those who need another one."""
    return bundles.make_bundle


@pytest.fixture(scope="session")
def tiny_bundle() -> Bundle:
    """Return the tiny bundle."""
    return bundles.make_bundle()


@pytest.fixture(scope="session")
def tiny_folder(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the tiny bundle was saved in."""
    folder = tmp_path_factory.mktemp("tiny") / "bundle"
    save_bundle(tiny_bundle, folder)
    return folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """Return a PostgreSQL that runs as long as the tests do."""
    with postgres.serving() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: postgres.Server) -> Iterator[str]:
    """Return the address of an empty database there."""
    with postgres.database(postgres_server.get_uri()) as url:
        yield url

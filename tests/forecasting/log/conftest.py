"""Each kind of log, empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from forecasting.log.interface import Log
from forecasting.log.opening import open_log


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest) -> str | None:
    """Return the address of an empty database of each kind, None for SQLite's file."""
    url: str | None = None if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where SQLite's file lies; its folder is not there yet."""
    return tmp_path / "home" / "streams.db"


@pytest.fixture
def stored(address: str | None, path: Path) -> Iterator[Log]:
    """Return an empty log in a database of each kind."""
    log = open_log(address, path)
    yield log
    log.close()


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def log(request: pytest.FixtureRequest, path: Path) -> Iterator[Log]:
    """Return an empty log of each kind."""
    addresses = {"memory": "memory", "sqlite": None}
    url = addresses[request.param] if request.param in addresses else request.getfixturevalue("postgres_url")
    log = open_log(url, path)
    yield log
    log.close()

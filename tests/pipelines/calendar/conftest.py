"""Databases of a calendar, of both kinds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from forecasting.log.connecting import Database
from pipelines.calendar.tables import open_calendar


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str | None, Path]:
    """Return where a calendar is kept: a URL or None, and a home."""
    url: str | None = None if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    return url, tmp_path


@pytest.fixture
def calendar(address: tuple[str | None, Path]) -> Iterator[Database]:
    database = open_calendar(*address)
    yield database
    database.close()

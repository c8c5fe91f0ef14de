"""Pushes to a service: bodies of one hour or several, and the addresses they go to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.testclient import TestClient

Row = Sequence[float | None]

BEGIN = datetime(2024, 3, 1, tzinfo=UTC)
MODEL = "/v1/models/tiny"
ARROW = "application/vnd.apache.arrow.stream"


def hour(number: int) -> str:
    """Return the time of an hour, from the first one on."""
    return (BEGIN + timedelta(hours=number)).isoformat().replace("+00:00", "Z")


def rows(count: int, first: int = 0) -> list[list[float]]:
    """Return rows of a and b that differ from hour to hour."""
    return [[9.5 + number % 7 / 4, 1010.0 - 3 * (number % 5)] for number in range(first, first + count)]


def body(number: int = 0, **changes: Any) -> dict[str, Any]:
    """Return the body of a push of one hour."""
    return {"observations": rows(1, number), "last_timestamp": hour(number)} | changes


def stream(name: str, model: str = MODEL) -> str:
    return f"{model}/streams/{name}"


def push(client: TestClient, name: str, number: int, **changes: Any) -> dict[str, Any]:
    """Push an hour, which has to be taken."""
    answer = client.post(f"{stream(name)}/observations", json=body(number, **changes))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found

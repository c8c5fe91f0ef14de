"""Without its log, and without streams at all."""

from __future__ import annotations

import socket
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.service.streams.conftest import Start
from tests.service.streams.pushing import MODEL, body, hour, push, stream

FORECAST = f"{MODEL}/forecast"
ROUTES: tuple[tuple[str, str, Any], ...] = (
    ("POST", f"{stream('x')}/observations", body()),
    ("POST", f"{MODEL}/streams:observe", {"streams": [{"stream": "x", **body()}]}),
    ("PUT", f"{stream('x')}/observations/{hour(0)}", {"observation": [1.0, 2.0]}),
    ("DELETE", stream("x"), None),
    ("GET", stream("x"), None),
    ("GET", f"{stream('x')}/ledger", None),
    ("GET", f"{MODEL}/streams", None),
)


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for what comes by itself."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(("method", "path", "told"), ROUTES)
def test_where_streams_are_off_every_route_says_so(start: Start, method: str, path: str, told: Any) -> None:
    with start(streams=False) as client:
        answer = client.request(method, path, json=told)
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:gatecast:problem:not-streamable")
        assert "GATECAST_STREAMS=true" in answer.json()["detail"]
        described = client.get(MODEL).json()["streams"]
        assert (described["enabled"], described["drift"]) == (False, None)
        assert client.get("/readyz").json()["degraded"] == {}


def test_without_its_log_a_service_forecasts_windows_and_tries_again(start: Start, tmp_path: Path, good: Any) -> None:
    blocked = tmp_path / "home"
    blocked.write_text("a file where the folder should be")
    with start(log_url=None, home=blocked) as client:
        for method, path, told in ROUTES:
            answer = client.request(method, path, json=told)
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:gatecast:problem:log-unavailable")
            assert int(answer.headers["retry-after"]) > 0
        assert client.post(FORECAST, json=good).status_code == 200
        ready = client.get("/readyz")
        assert (ready.status_code, list(ready.json()["degraded"])) == (200, ["log"])
        blocked.unlink()
        until(lambda: client.get("/readyz").json()["degraded"] == {})
        assert push(client, "back", 0)["sequence"] == 0


def test_a_database_that_nobody_answers_for_is_told_without_its_password(start: Start, good: Any) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"postgresql+psycopg://user:secret@127.0.0.1:{closed.getsockname()[1]}/db"
    with start(log_url=url) as client:
        answer = client.post(f"{stream('x')}/observations", json=body())
        assert answer.status_code == 503
        assert "secret" not in answer.text + client.get("/readyz").text
        assert client.post(FORECAST, json=good).status_code == 200


def test_a_log_that_is_lost_while_serving_is_told_and_nothing_is_acknowledged(start: Start, tmp_path: Path) -> None:
    with start(log_url=None, home=tmp_path) as client:
        push(client, "s", 0)
        with closing(sqlite3.connect(tmp_path / "streams.db", isolation_level=None)) as other:
            other.execute("DROP TABLE gatecast_rows")
        answer = client.post(f"{stream('s')}/observations", json=body(1))
        assert answer.status_code == 503
        assert list(client.get("/readyz").json()["degraded"]) == ["log"]
        assert client.get(stream("s")).json()["sequence"] == 0


def test_what_was_acknowledged_is_there_after_a_restart(start: Start, tmp_path: Path) -> None:
    with start(log_url=None, home=tmp_path) as client:
        before = [push(client, "s", number) for number in range(3)]
    with start(log_url=None, home=tmp_path) as client:
        again = push(client, "s", 2)
        assert again | {"replayed": False, "accepted": 1} == before[-1]
        assert push(client, "s", 3)["sequence"] == 3

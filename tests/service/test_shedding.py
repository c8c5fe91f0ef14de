"""In a flood a request for a forecast is refused on the wire, before it is read; everything else goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from service.app import create_app
from service.door import Door
from service.settings import Settings
from tests.service.live import Live, OneFolder, listening, read_all
from tests.service.test_wire import answers

HEAD = b"POST /v1/models/tiny/forecast HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.fixture
def app(tiny_folder: Path) -> Door:
    return create_app(Settings(device="cpu", log_url="memory", max_queue=5), OneFolder(tiny_folder))


@pytest.fixture
def live(app: Door) -> Iterator[Live]:
    with listening(app) as one:
        yield one


@contextmanager
def flooded(app: Door) -> Iterator[None]:
    """Let the queue be full."""
    lane = app.app.state.forecasts.batcher.long
    lane.waiting += 5
    yield
    lane.waiting -= 5


def asking(good: dict[str, Any], more: bytes = b"") -> bytes:
    body = json.dumps(good).encode()
    return HEAD + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


def test_it_is_refused_and_its_connection_serves_on(app: Door, live: Live, good: dict[str, Any]) -> None:
    with live.connect() as line:
        with flooded(app):
            line.sendall(asking(good))
            ((status, headers, body),) = answers(line.recv(65_536))
        line.sendall(asking(good, b"Connection: close\r\n"))
        ((later, _, _),) = answers(read_all(line))
    problem = json.loads(body)
    assert (status, later) == (503, 200)
    assert headers[b"retry-after"] == b"5"
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert problem["type"] == "urn:gatecast:problem:overloaded"
    assert problem["request_id"].encode() == headers[b"x-request-id"]


def test_requests_in_a_row_are_answered_in_their_order(app: Door, live: Live, good: dict[str, Any]) -> None:
    last = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with flooded(app):
        found = answers(live.say(asking(good) + asking(good) + last))
    assert [status for status, _, _ in found] == [503, 503, 200]
    assert found[0][1][b"x-request-id"] != found[1][1][b"x-request-id"]


def test_a_body_that_comes_in_pieces_is_thrown_away(app: Door, live: Live, good: dict[str, Any]) -> None:
    whole = asking(good, b"Connection: close\r\n")
    with flooded(app), live.connect() as line:
        line.sendall(whole[:-10])
        line.sendall(whole[-10:])
        found = answers(read_all(line))
    assert [status for status, _, _ in found] == [503]


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/v1/models"])
def test_what_computes_nothing_is_answered(app: Door, live: Live, path: str) -> None:
    with flooded(app):
        said = live.say(b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path.encode())
    assert said.startswith(b"HTTP/1.1 200")


def test_refusals_are_counted(app: Door, live: Live, good: dict[str, Any]) -> None:
    with flooded(app):
        live.say(asking(good, b"Connection: close\r\n"))
    metrics = live.say(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b'gatecast_dropped_total{reason="overloaded"} 1.0' in metrics
    assert b'gatecast_requests_total{method="POST",route="shed",status="503"} 1.0' in metrics

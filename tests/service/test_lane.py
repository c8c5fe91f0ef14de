"""Pushes to streams that are answered without a task: as any other would be, whatever their client does."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.settings import Settings
from tests.service.live import Live, in_a_thread, read_all
from tests.service.test_wire import LAST, answers

SETTINGS = Settings(device="cpu", log_url="memory", receive_seconds=1.0, max_body_bytes=20_000)
JSON = b"Content-Type: application/json\r\n"
ROUTE = 'route="/v1/models/{name}/streams/{stream}/observations"'


@pytest.fixture(scope="module")
def live(tiny_folder: Path) -> Iterator[Live]:
    """Serve with a patience of one second."""
    with in_a_thread(SETTINGS, tiny_folder) as one:
        yield one


def content(hour: int, value: float = 10.0) -> bytes:
    return json.dumps({"observations": [[value, 1000.0]], "last_timestamp": f"2026-01-01T{hour:02}:00:00Z"}).encode()


def push(stream: str, told: bytes, more: bytes = b"", version: bytes = b"1.1", length: int | None = None) -> bytes:
    head = b"POST /v1/models/tiny/streams/%b/observations HTTP/%b\r\nHost: x\r\n" % (stream.encode(), version)
    size = len(told) if length is None else length
    return head + JSON + more + b"Content-Length: %d\r\n\r\n" % size + told


def chunked(stream: str, told: bytes) -> bytes:
    """Return a push whose length is not said before it comes, which only the app takes."""
    head = b"POST /v1/models/tiny/streams/%b/observations HTTP/1.1\r\nHost: x\r\n" % stream.encode()
    return head + JSON + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(told), told)


def went_the_lane(raw: bytes) -> bool:
    """Tell by the order of the headers, which is all that differs."""
    head = raw.partition(b"\r\n\r\n")[0]
    return head.index(b"x-content-type-options") < head.index(b"content-length")


def without_id(raw: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    [(status, headers, body), _] = answers(raw)
    own = headers.pop(b"x-request-id")
    assert len(own) == 32
    headers.pop(b"date")
    return status, headers, body.replace(own, b"")


@pytest.mark.parametrize(
    "told",
    [
        content(3),
        content(2),
        content(1),
        content(2, 11.0),
        content(5),
        content(3, 1e30),
        b'{"observations": [[10.0, null]], "last_timestamp": "2026-01-01T03:00:00Z"}',
        b'{"observations": [[10.0, 1000.0]]}',
        b'{"observations": [[10.0]], "last_timestamp": "2026-01-01T03:00:00Z"}',
        b'{"observations": [[10.0, 1000.0]], "last_timestamp": "2026-01-01T03:00:00Z", "levels": [80, 95]}',
        b'{"observations": ',
        b"[]",
    ],
    ids=["next", "again", "late", "changed", "gap", "absurd", "missing", "no time", "narrow", "levels", "cut", "list"],
)
def test_an_answer_is_the_same_as_the_apps(live: Live, told: bytes, request: pytest.FixtureRequest) -> None:
    own = request.node.callspec.id.replace(" ", "-")
    said = {}
    for form, stream in ((push, f"a-{own}"), (chunked, f"b-{own}")):
        for hour in (1, 2) if own != "late" else (2,):
            assert live.say(form(stream, content(hour)) + LAST).startswith(b"HTTP/1.1 200")
        raw = live.say(form(stream, told) + LAST)
        if raw.startswith(b"HTTP/1.1 200"):
            assert went_the_lane(raw) == (form is push)
        status, headers, body = without_id(raw)
        headers.pop(b"content-length") if status != 200 else None
        said[form] = status, headers, body.replace(stream.encode(), b"s")
    assert said[push] == said[chunked]


def test_answers_come_in_the_order_of_requests(live: Live) -> None:
    raw = push("order", content(1)) + LAST.replace(b"Connection: close\r\n", b"") + push("order", content(2)) + LAST
    found = answers(live.say(raw))
    assert [status for status, _, _ in found] == [200] * 4
    assert [json.loads(body).get("sequence") for _, _, body in found] == [0, None, 1, None]


def test_a_push_may_come_in_pieces(live: Live) -> None:
    with live.connect() as line:
        for byte in push("pieces", content(1)) + LAST:
            line.sendall(bytes([byte]))
        found = answers(read_all(line))
    assert [status for status, _, _ in found] == [200, 200]


@pytest.mark.parametrize(("more", "version"), [(b"Connection: close\r\n", b"1.1"), (b"", b"1.0")])
def test_who_wants_no_more_is_let_go(live: Live, more: bytes, version: bytes) -> None:
    raw = live.say(push(f"go-{version.decode()}", content(1), more, version))
    assert went_the_lane(raw)
    [(status, headers, _)] = answers(raw)
    assert (status, headers[b"connection"]) == (200, b"close")


def test_who_asks_before_sending_is_told_to_go_on(live: Live) -> None:
    told = content(1)
    with live.connect() as line:
        line.sendall(push("expect", b"", b"Expect: 100-continue\r\n", length=len(told)))
        assert line.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        line.sendall(told + LAST)
        assert [status for status, _, _ in answers(read_all(line))] == [200, 200]


@pytest.mark.parametrize("sent", [b"", content(1)[:20]])
def test_a_push_that_never_ends_is_refused_in_time_and_takes_nothing(live: Live, sent: bytes) -> None:
    start = time.monotonic()
    [(status, headers, body)] = answers(live.say(push("half", sent, length=90)))
    assert 0.7 <= time.monotonic() - start <= 2.5
    assert (status, json.loads(body)["type"].rpartition(":")[2]) == (408, "too-slow")
    assert headers[b"x-request-id"].decode() == json.loads(body)["request_id"]
    assert live.get("/v1/models/tiny/streams/half").status == 404


def test_who_leaves_without_an_answer_has_pushed_all_the_same(live: Live) -> None:
    with live.connect() as line:
        line.sendall(push("gone", content(1)))
        line.shutdown(socket.SHUT_WR)
        read_all(line)
    again = answers(live.say(push("gone", content(1)) + LAST))[0]
    assert json.loads(again[2])["sequence"] == 0


def test_a_request_id_of_the_client_is_kept(live: Live) -> None:
    found = answers(live.say(push("id", content(1), b"X-Request-Id: mine-7\r\n") + LAST))
    assert found[0][1][b"x-request-id"] == b"mine-7"


def test_pushes_are_counted(live: Live) -> None:
    def counted() -> float:
        lines = live.get("/metrics").body.decode().splitlines()
        mine = [one for one in lines if one.startswith("gatecast_requests_total") and ROUTE in one and '"200"' in one]
        return float(mine[0].split()[-1]) if mine else 0.0

    before = counted()
    live.say(push("count", content(1)) + LAST)
    assert counted() == before + 1


def test_a_body_above_the_limit_is_refused_by_the_app(live: Live) -> None:
    raw = live.say(push("large", content(1) + b" " * 20_000) + LAST)
    assert raw.startswith(b"HTTP/1.1 413")

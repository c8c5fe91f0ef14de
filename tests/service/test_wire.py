"""Slow, silent, greedy and confused clients on real sockets; others are answered meanwhile."""

from __future__ import annotations

import itertools
import json
import select
import socket
import struct
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from service.settings import Settings
from tests.service.live import Live, in_a_thread, read_all

QUICK = Settings(device="cpu", log_url="memory", receive_seconds=1.0, max_body_bytes=20_000)
POST = b"POST /v1/models/tiny/forecast HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
LAST = LIVEZ + b"Connection: close\r\n\r\n"
MARK = b"do-not-repeat-me"

HALVES = {
    "nothing": b"",
    "blank lines": b"\r\n\r\n",
    "half a request line": b"GET /liv",
    "half a head": LIVEZ + b"X-Slow: ",
    "half a body": POST + b'Content-Length: 100\r\n\r\n{"obs',
    "half a chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n64\r\n{",
    "no body": POST + b"Content-Length: 100\r\n\r\n",
}


@pytest.fixture(scope="module")
def live(tiny_folder: Path) -> Iterator[Live]:
    """Serve with a patience of one second."""
    with in_a_thread(QUICK, tiny_folder) as one:
        yield one


def get(live: Live, path: str = "/livez") -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{live.port}{path}", timeout=10) as answer:
        return int(answer.status)


def answers(raw: bytes) -> list[tuple[int, dict[bytes, bytes], bytes]]:
    """Split what came over a line into answers of known length."""
    found = []
    while raw:
        head, _, rest = raw.partition(b"\r\n\r\n")
        status, *lines = head.split(b"\r\n")
        headers = dict(line.lower().split(b": ", 1) for line in lines)
        length = int(headers.get(b"content-length", 0))
        found.append((int(status.split()[1]), headers, rest[:length]))
        raw = rest[length:]
    return found


def one_problem(raw: bytes) -> dict[str, Any]:
    [(status, headers, body)] = answers(raw)
    problem: dict[str, Any] = json.loads(body)
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"connection"] == b"close"
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert headers[b"x-request-id"].decode() == problem["request_id"]
    assert problem["status"] == status
    assert MARK not in raw
    return problem


@pytest.mark.parametrize("half", HALVES)
def test_what_is_never_finished_is_closed_in_time(live: Live, half: str) -> None:
    start = time.monotonic()
    said = live.say(HALVES[half])
    assert 0.7 <= time.monotonic() - start <= 2.5
    if "body" in half or "chunk" in half:
        assert one_problem(said)["status"] == 408
    else:
        assert said == b""


def test_a_body_that_trickles_in_has_no_longer_than_one_that_stops(live: Live) -> None:
    start = time.monotonic()
    with live.connect() as line:
        line.sendall(POST + b"Content-Length: 1000\r\n\r\n")
        while not select.select([line], [], [], 0.1)[0]:
            line.sendall(b" ")
        assert one_problem(read_all(line))["status"] == 408
    assert time.monotonic() - start <= 2.5


def test_blank_lines_do_not_keep_a_connection_alive(live: Live) -> None:
    start = time.monotonic()
    with live.connect() as line:
        line.sendall(LIVEZ + b"\r\n")
        assert line.recv(65_536).startswith(b"HTTP/1.1 200")
        while not select.select([line], [], [], 0.1)[0]:
            line.sendall(b"\r\n")
    assert time.monotonic() - start <= 2.5


def test_a_connection_may_be_idle_between_requests_for_longer_than_a_request_may_take(live: Live) -> None:
    with live.connect() as line:
        for _ in range(2):
            line.sendall(LIVEZ + b"\r\n")
            assert line.recv(65_536).startswith(b"HTTP/1.1 200")
            assert not select.select([line], [], [], 1.6)[0]


def test_a_slow_body_within_the_time_is_answered(live: Live, good: dict[str, Any]) -> None:
    body = json.dumps(good).encode()
    with live.connect() as line:
        line.sendall(POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
        for start in range(0, len(body), 50):
            line.sendall(body[start : start + 50])
            time.sleep(0.1)
        assert read_all(line).startswith(b"HTTP/1.1 200")


def hold(live: Live, count: int, stack: ExitStack) -> list[socket.socket]:
    lines = [stack.enter_context(live.connect(30)) for _ in range(count)]
    halves = itertools.cycle(("half a head", "half a body", "nothing"))
    for line in lines:
        line.sendall(HALVES[next(halves)])
    return lines


def close_all(live: Live, lines: list[socket.socket], within: float) -> list[float]:
    """Return how long good requests took until all the lines were closed by the other side."""
    start, seconds, left = time.monotonic(), [], set(lines)
    while left and time.monotonic() - start < within:
        before = time.perf_counter()
        assert get(live) == 200
        seconds.append(time.perf_counter() - before)
        for line in select.select(list(left), [], [], 0.02)[0]:
            if not line.recv(65_536):
                left.discard(line)
    assert not left
    return seconds


def test_thirty_half_open_connections_are_closed_while_good_requests_pass(live: Live) -> None:
    with ExitStack() as stack:
        seconds = close_all(live, hold(live, 30, stack), within=3.0)
    assert sorted(seconds)[len(seconds) // 2] < 0.1


@pytest.mark.slow
def test_three_hundred_half_open_connections_are_closed_within_twelve_seconds(tiny_folder: Path) -> None:
    with in_a_thread(Settings(device="cpu", log_url="memory"), tiny_folder) as live, ExitStack() as stack:
        seconds = close_all(live, hold(live, 300, stack), within=12.0)
    assert sorted(seconds)[len(seconds) // 2] < 0.1


def test_a_client_that_never_reads_is_dropped(live: Live) -> None:
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.settimeout(10)
        line.connect(("127.0.0.1", live.port))
        page = b"GET /static-offline-docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"
        line.sendall(page * 8)
        time.sleep(3.5)
        assert len(read_all(line)) < 4_000_000  # what the kernels held, and then a reset


@pytest.mark.parametrize(
    "raw",
    [
        b"FOO\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET " + MARK + b" HTTP/9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://x HTTP/1.1\r\nHost: x\r\n\r\n",
        LIVEZ + b"X: a\x00b\r\n\r\n",
        LIVEZ + MARK + b"\r\n\r\n",
        POST + b"Content-Length: -5\r\n\r\n{}",
        POST + b"Content-Length: " + MARK + b"\r\n\r\n{}",
        POST + b"Content-Length: \r\n\r\n{}",
        POST + b"Content-Length: 5, 5\r\n\r\n{}",
        POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        POST + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n{}",
        POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        POST + b"Transfer-Encoding: gzip\r\n\r\n{}",
        POST + b"Transfer-Encoding: chunked\r\n\r\n" + MARK + b"\r\n",
    ],
)
def test_what_is_not_http_is_a_small_problem_at_once(live: Live, raw: bytes) -> None:
    start = time.monotonic()
    assert one_problem(live.say(raw))["status"] == 400
    assert time.monotonic() - start < 0.8


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        LIVEZ + b"X: " + b"a" * 70_000 + b"\r\n\r\n",
        LIVEZ + b"X: a\r\n" * 20_000 + b"\r\n",
        LIVEZ + b"X: " + b"a" * 1_000_000,
        b"\r\n" * 200_000,
    ],
)
def test_a_head_without_end_is_refused(live: Live, raw: bytes) -> None:
    assert one_problem(live.say(raw))["status"] == 431


def test_a_trailer_without_end_is_refused(live: Live) -> None:
    with live.connect() as line:
        line.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")
        time.sleep(0.05)
        line.sendall(b"0\r\nX: " + b"a" * 100_000)
        assert one_problem(read_all(line))["status"] == 431


def test_a_long_head_and_a_body_in_tiny_chunks_are_taken(live: Live, good: dict[str, Any]) -> None:
    chunks = b"".join(b"1;" + b"x" * 60 + b"\r\n%c\r\n" % byte for byte in json.dumps(good).encode() + b" " * 2000)
    head = POST + b"X: " + b"a" * 60_000 + b"\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert [status for status, _, _ in answers(live.say(head + chunks + b"0\r\n\r\n"))] == [200]


def test_requests_in_one_piece_are_answered_in_order_and_then_what_is_wrong_ends_it(live: Live) -> None:
    said = answers(live.say(LIVEZ + b"\r\n" + LIVEZ + b"\r\n" + b"NONSENSE\r\n\r\n"))
    assert [status for status, _, _ in said] == [200, 200]


@pytest.mark.parametrize("offered", [b"h2c", b"websocket"])
def test_a_client_that_offers_another_protocol_is_answered_in_this_one_with_its_body_read(
    live: Live, good: dict[str, Any], offered: bytes
) -> None:
    body = json.dumps(good).encode()
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: " + offered + b"\r\nHTTP2-Settings: AAMAAABk\r\n"
    plain = POST + offer + b"Content-Length: %d\r\n\r\n" % len(body) + body
    chunked = POST + offer + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    for raw in (plain * 2 + chunked + LAST, LIVEZ + offer + b"\r\n" + LAST):
        assert {status for status, _, _ in answers(live.say(raw))} == {200}


def test_an_offer_of_another_protocol_in_pieces_is_answered_too(live: Live, good: dict[str, Any]) -> None:
    body = json.dumps(good).encode()
    raw = POST + b"Upgrade: h2c\r\nConnection: close, Upgrade\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with live.connect() as line:
        for start in range(0, len(raw), 17):
            line.sendall(raw[start : start + 17])
            time.sleep(0.001)
        assert [status for status, _, _ in answers(read_all(line))] == [200]


def test_clients_that_reset_their_connections_harm_nobody(live: Live) -> None:
    for half in HALVES.values():
        with live.connect() as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            line.sendall(half)
    assert get(live) == 200

"""Bodies that are too large, from clients that push everything before they read; and what they cost the server."""

from __future__ import annotations

import http.client
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.service.live import Live, in_a_process, read_all

FORECAST = "/v1/models/tiny/forecast"
POST = b"POST /v1/models/tiny/forecast HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
MOST_GROWTH = 8 << 20


@pytest.fixture(scope="module")
def live(tiny_folder: Path) -> Iterator[Live]:
    """Serve in a process of its own, whose memory is its own."""
    with in_a_process(tiny_folder) as one:
        get_ready(one)
        yield one


def get_ready(live: Live) -> None:
    """Let it do once what it sets up when it is first asked."""
    push(live, 5_000_000)


def push(live: Live, size: int) -> int:
    """Send a body as urllib does, all of it before anything is read."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{live.port}{FORECAST}", b" " * size, {"Content-Type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused, urllib.request.urlopen(request, timeout=30):  # noqa: S310
        pass
    assert refused.value.headers["Connection"] == "close"
    with refused.value as answer:
        assert b"; send fewer rows or windows" in answer.read()
        return answer.code


def growth(live: Live, size: int) -> int:
    """Return by how many bytes the server was larger at its largest, while it was sent a body."""
    process, done, sizes = psutil.Process(live.pid), threading.Event(), []

    def look() -> None:
        while not done.wait(0.005):
            sizes.append(process.memory_info().rss)

    before = process.memory_info().rss
    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        assert push(live, size) == 413
    finally:
        done.set()
        watcher.join()
    return max([*sizes, process.memory_info().rss]) - before


def test_fifty_megabytes_are_refused_without_being_kept(live: Live) -> None:
    assert growth(live, 50_000_000) <= MOST_GROWTH


@pytest.mark.slow
def test_two_hundred_megabytes_are_refused_without_being_kept(live: Live) -> None:
    assert growth(live, 200_000_000) <= MOST_GROWTH


def test_the_answer_comes_before_the_body_is_sent(live: Live) -> None:
    with live.connect() as line:
        line.sendall(POST + b"Content-Length: 50000000\r\n\r\n")
        start = time.monotonic()
        assert line.recv(65_536).startswith(b"HTTP/1.1 413")
        assert time.monotonic() - start < 0.5


def test_no_go_ahead_is_given_to_a_body_that_is_too_large(live: Live) -> None:
    said = live.say(POST + b"Expect: 100-continue\r\nContent-Length: 50000000\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 413")


def test_a_go_ahead_is_given_to_one_that_is_not(live: Live) -> None:
    with live.connect() as line:
        line.sendall(POST + b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: 2\r\n\r\n")
        assert line.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        line.sendall(b"{}")
        assert read_all(line).startswith(b"HTTP/1.1 422")


@pytest.mark.parametrize("length", [b"4000001", b"999999999999999999", b"18446744073709551615"])
def test_a_length_that_is_too_large_is_a_413_and_then_the_end(live: Live, length: bytes) -> None:
    start = time.monotonic()
    said = live.say(POST + b"Content-Length: " + length + b"\r\n\r\n{}")
    assert said.startswith(b"HTTP/1.1 413")
    assert b"\r\nconnection: close\r\n" in said
    assert time.monotonic() - start < 2.0


def test_a_body_in_chunks_that_grows_too_large_is_refused(live: Live) -> None:
    client = http.client.HTTPConnection("127.0.0.1", live.port, timeout=30)
    chunks = (b" " * 100_000 for _ in range(200))
    client.request("POST", FORECAST, chunks, {"Content-Type": "application/json"}, encode_chunked=True)
    answer = client.getresponse()
    assert (answer.status, answer.headers["Connection"]) == (413, "close")
    client.close()


def test_a_refusal_that_does_not_need_the_body_leaves_the_connection_usable(live: Live) -> None:
    client = http.client.HTTPConnection("127.0.0.1", live.port, timeout=30)
    for path, status in [("/v1/models/other/forecast", 404), ("/livez", 200)]:
        client.request("POST" if status == 404 else "GET", path, b" " * 3_000_000 if status == 404 else None)
        answer = client.getresponse()
        answer.read()
        assert answer.status == status
    client.close()

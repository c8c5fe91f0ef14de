"""Clients that push to many streams at once, over kept connections, and see to it that every row was taken."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import NamedTuple

import msgspec
import pyarrow as pa

from benchmarks.serving.running import Server
from benchmarks.streams.rows import ARROW, OBSERVE

PATIENCE_SECONDS = 120


class Pushed(NamedTuple):
    """Rows that were taken in some seconds, and what the server spent on them, also in seconds."""

    rows: int
    seconds: float
    processor: float

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds

    @property
    def each(self) -> float:
        """Microseconds of processor time for a row."""
        return 1e6 * self.processor / self.rows


def push_for(server: Server, sets: Sequence[Sequence[bytes]], media: str, each: int, seconds: float) -> Pushed:
    """Send requests of `each` rows, each set over a connection of its own, for so long; at most all of them.

    Raises:
        ValueError: something was refused, or there were too few requests.
    """
    stop, found = time.monotonic() + seconds, [Connection(server, media) for _ in sets]
    threads = [threading.Thread(target=one.push, args=(some, stop)) for one, some in zip(found, sets, strict=True)]
    before, start = server.processor_seconds(), time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took, spent = time.monotonic() - start, server.processor_seconds() - before
    for one, some in zip(found, sets, strict=True):
        one.verify(each)
        if stop < float("inf") and one.answered == len(some):
            message = f"{server.contender.name} answered all {len(some)} requests; prepare more"
            raise ValueError(message)
    return Pushed(sum(one.answered for one in found) * each, took, spent)


class Connection:
    """One connection, that has one request on its way at most."""

    def __init__(self, server: Server, media: str) -> None:
        self.answered, self._last = 0, b""
        self._media, self._connection = media, http.client.HTTPConnection("127.0.0.1", server.port, PATIENCE_SECONDS)
        self._trouble: str | None = None

    def push(self, bodies: Sequence[bytes], stop: float) -> None:
        """Send bodies one after another until a time has come."""
        for body in bodies:
            self._connection.request("POST", OBSERVE, body, {"Content-Type": self._media})
            answer = self._connection.getresponse()
            self._last = answer.read()
            if answer.status != HTTPStatus.OK:
                self._trouble = f"{answer.status}: {self._last[:300]!r}"
                break
            self.answered += 1
            if time.monotonic() >= stop:
                break
        self._connection.close()

    def verify(self, each: int) -> None:
        """Raise `ValueError` where something went wrong; of the answers, the last is looked into."""
        if self._trouble is None and self._media == ARROW:
            answered = pa.ipc.open_stream(self._last).read_all()
            statuses = answered["status"].to_pylist()
        elif self._trouble is None:
            statuses = [one["status"] for one in msgspec.json.decode(self._last)["outcomes"]]
        else:
            statuses = []
        if not statuses or len(statuses) > each or set(statuses) != {HTTPStatus.OK}:
            message = f"rows were refused: {self._trouble or self._last[:300]!r}"
            raise ValueError(message)

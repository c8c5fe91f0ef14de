"""Clients that look at every answer: as fast as answers come, or to a timetable that waits for nobody.

Each connection is kept and has one request on its way at most; one that the server closes is opened again.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple, cast

from benchmarks.serving.running import Server

TICK_SECONDS = 0.001
PATIENCE_SECONDS = 30.0
LOST = 0
"""The status of a request whose connection was lost before its answer had come."""


class Answer(NamedTuple):
    """What came back, and when by `time.monotonic`."""

    status: int
    sent: float
    came: float
    head: bytes = b""
    body: bytes = b""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.came - self.sent


class Connection(asyncio.Protocol):
    """One connection; `idle` is called with it when an answer has come, or it was lost."""

    def __init__(self, request: bytes, answers: list[Answer], idle: Callable[[Connection], None]) -> None:
        self.request, self.answers, self.idle = request, answers, idle
        self.open = self.busy = False
        self.sent = 0.0
        self.came = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by its bases
        self.open = True

    def ask(self) -> None:
        """Send the request."""
        self.busy, self.sent = True, time.monotonic()
        self.came.clear()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.came += data
        head, end, body = bytes(self.came).partition(b"\r\n\r\n")
        if not self.busy or not end or len(body) < length_of(head):
            return
        self.busy = False
        if b"connection: close" in head.lower():
            self.open = False
            self.transport.close()
        self.answers.append(Answer(int(head[9:12]), self.sent, time.monotonic(), head, body))
        self.idle(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio
        self.open = False
        if self.busy:
            self.busy = False
            self.answers.append(Answer(LOST, self.sent, time.monotonic()))
            self.idle(self)


def length_of(head: bytes) -> int:
    """Return how many bytes of body a head declares."""
    _, _, rest = head.lower().partition(b"content-length:")
    return int(rest.partition(b"\r\n")[0] or 0)


def request_of(server: Server) -> bytes:
    """Return the request that is measured, as it goes over the wire."""
    one = server.contender
    head = f"POST {one.path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(one.body)}\r\n\r\n".encode() + one.body


class Clients:
    """Connections to a server, and the answers that came over them."""

    def __init__(self, server: Server) -> None:
        self.answers: list[Answer] = []
        self._port, self._request = server.port, request_of(server)
        self._connections: set[Connection] = set()
        self._free: deque[Connection] = deque()
        self._opening: set[asyncio.Task[None]] = set()

    async def steadily(self, connections: int, during: Awaitable[None]) -> None:
        """Keep a request on its way over every connection until `during` has ended."""
        going = True

        def again(one: Connection) -> None:
            if going and one.open:
                one.ask()
            elif going:
                self._later(self._open(again, start=True))

        await asyncio.gather(*(self._open(again, start=True) for _ in range(connections)))
        await during
        going = False
        await self._end()

    async def to_timetable(self, rate: float, seconds: float, connections: int) -> int:
        """Send a request each 1/rate seconds; return how many had no free connection when their time had come."""
        await asyncio.gather(*(self._open(self._release) for _ in range(connections)))
        start, due, held_back = time.monotonic(), 0, 0
        while (now := time.monotonic() - start) < seconds:
            wanted = int(now * rate) - due
            due += wanted
            sent = self._send(wanted)
            held_back += wanted - sent
            await asyncio.sleep(TICK_SECONDS)
        await self._end()
        return held_back

    def _send(self, count: int) -> int:
        for number in range(count):
            if not self._free:
                return number
            self._free.popleft().ask()
        return count

    def _release(self, one: Connection) -> None:
        if one.open:
            self._free.append(one)
        else:
            self._later(self._open(self._release))

    def _later(self, opening: Awaitable[None]) -> None:
        task = asyncio.ensure_future(opening)
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, idle: Callable[[Connection], None], *, start: bool = False) -> None:
        loop = asyncio.get_running_loop()
        _, one = await loop.create_connection(
            lambda: Connection(self._request, self.answers, idle), "127.0.0.1", self._port
        )
        self._connections.add(one)
        if start:
            one.ask()
        else:
            self._free.append(one)

    async def _end(self) -> None:
        """Wait for what is on its way, then close all connections."""
        last = time.monotonic() + PATIENCE_SECONDS
        while any(one.busy for one in self._connections) and time.monotonic() < last:  # noqa: ASYNC110 - many of them
            await asyncio.sleep(TICK_SECONDS)
        for one in self._connections:
            if one.open:
                one.transport.abort()


async def one_by_one(server: Server, count: int, pause_seconds: float) -> list[Answer]:
    """Ask that often, each time when the answer before has come and a pause is over, over one connection."""
    clients, made = Clients(server), asyncio.Event()
    request = request_of(server)

    def heard(_: Connection) -> None:
        made.set()

    loop, one = asyncio.get_running_loop(), None
    for _ in range(count):
        if one is None or not one.open:
            _, one = await loop.create_connection(
                lambda: Connection(request, clients.answers, heard), "127.0.0.1", server.port
            )
        made.clear()
        one.ask()
        await made.wait()
        await asyncio.sleep(pause_seconds)
    if one is not None and one.open:
        one.transport.abort()
    return clients.answers

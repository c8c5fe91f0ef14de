"""Clients that never finish their request: until when they may, and what they cost those who do."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import uvloop

from benchmarks.publishing import Table
from benchmarks.serving.clients import Answer, one_by_one, request_of
from benchmarks.serving.contenders import ours
from benchmarks.serving.ours import make_home
from benchmarks.serving.running import Server, serving

OPEN, LONGEST_SECONDS = 300, 90.0
GOOD, PAUSE_SECONDS = 400, 0.01
LOOK_SECONDS = 0.05
HALVES = {"half a head": 40, "half a body": -1000}
"""How much of the request is sent."""


def measure(folder: Path) -> list[Table]:
    """Open connections that stop half-way, ask beside them, and return the table."""
    home = folder / "home"
    make_home(home)
    with serving(ours(home), folder / "ours") as server:
        uvloop.run(one_by_one(server, GOOD, 0.0))  # warm
        quiet = uvloop.run(one_by_one(server, GOOD, PAUSE_SECONDS))
        closed, beside = uvloop.run(_half_open(server))
    rows = [
        (f"{len(closed[half])} with {half}", f"{sum(one is not None for one in closed[half])}", _span(closed[half]))
        for half in HALVES
    ]
    asked = [
        ("before", f"{len(quiet)}", _failed(quiet), f"{_ms(quiet, 50):.2f}", f"{_ms(quiet, 99):.2f}"),
        ("beside them", f"{len(beside)}", _failed(beside), f"{_ms(beside, 50):.2f}", f"{_ms(beside, 99):.2f}"),
        ("ratio", "", "", f"{_ms(beside, 50) / _ms(quiet, 50):.2f}", f"{_ms(beside, 99) / _ms(quiet, 99):.2f}"),
    ]
    return [
        Table(
            "Half-open connections", ("connections", "closed by the server", "after, s"), rows, "Goal: all, <= 10 s."
        ),
        Table("Good requests", ("when", "requests", "failed", "p50, ms", "p99, ms"), asked, "Goal: p99 ratio <= 1.2."),
    ]


async def _half_open(server: Server) -> tuple[dict[str, list[float | None]], list[Answer]]:
    """Return when each connection was closed (None: it was not), and the answers to good requests meanwhile."""
    request = request_of(server)
    closed: dict[str, list[float | None]] = {}
    watch = asyncio.gather(
        *(_watch(server, request[:count]) for count in HALVES.values() for _ in range(OPEN // len(HALVES)))
    )
    beside: list[Answer] = []
    while not watch.done():
        beside += await one_by_one(server, 20, PAUSE_SECONDS)
    found = await watch
    share = OPEN // len(HALVES)
    for place, half in enumerate(HALVES):
        closed[half] = found[place * share : (place + 1) * share]
    return closed, beside


async def _watch(server: Server, part: bytes) -> float | None:
    """Send a part of a request and return after how many seconds the server closed."""
    loop = asyncio.get_running_loop()
    with socket.socket() as one:
        one.setblocking(False)
        await loop.sock_connect(one, ("127.0.0.1", server.port))
        await loop.sock_sendall(one, part)
        start = time.monotonic()
        try:
            while await asyncio.wait_for(loop.sock_recv(one, 4096), LONGEST_SECONDS):
                pass
        except TimeoutError:
            return None
        except OSError:
            pass
        return time.monotonic() - start


def _span(seconds: Sequence[float | None]) -> str:
    known = [one for one in seconds if one is not None]
    return f"{min(known):.1f} to {max(known):.1f}" if known else "-"


def _failed(answers: Sequence[Answer]) -> str:
    return str(sum(one.status != 200 for one in answers))


def _ms(answers: Sequence[Answer], percent: int) -> float:
    return float(np.percentile([1e3 * one.seconds for one in answers], percent))

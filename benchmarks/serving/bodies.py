"""Bodies that are far too large, from an ordinary client: what it is told, and what they cost the server."""

from __future__ import annotations

import http.client
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.publishing import Table
from benchmarks.serving.contenders import Contender, ours
from benchmarks.serving.ours import make_home
from benchmarks.serving.running import Server, serving

SIZES = (50, 200)
PATIENCE_SECONDS = 120
PIECE = 64 * 1024
MIB = 2**20


class Outcome(NamedTuple):
    """What a client saw, and what the server spent."""

    said: str
    seconds: float
    grown_mib: float
    processor: float


def measure(folder: Path) -> list[Table]:
    """Send the bodies to the service and return the table."""
    home = folder / "home"
    make_home(home)
    with serving(ours(home), folder / "ours") as server:
        server.ask()
        rows = [
            (f"{size} MB, {'chunked' if chunked else 'declared'}", *_cells(send(server, size * 1_000_000, chunked)))
            for size, chunked in itertools.product(SIZES, (False, True))
        ]
        server.ask()
    head = ("body", "the client sees", "seconds", "memory, + MiB", "processor, s")
    note = "By Python's `http.client`, which sends a body to its end before it reads. Goal: 413, at most 8 MiB."
    return [Table("Large bodies", head, rows, note)]


def _cells(one: Outcome) -> tuple[str, ...]:
    return one.said, f"{one.seconds:.2f}", f"{one.grown_mib:.1f}", f"{one.processor:.2f}"


def send(server: Server, size: int, chunked: bool) -> Outcome:
    """Send windows again and again, to that many bytes."""
    server.forget_peak()
    held, spent, start = server.held_mib(), server.processor_seconds(), time.monotonic()
    said = _said(server, size, chunked)
    seconds = time.monotonic() - start
    return Outcome(said, seconds, server.peak_mib() - held, server.processor_seconds() - spent)


def _said(server: Server, size: int, chunked: bool) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_SECONDS)
    headers = {"Content-Type": "application/json"} | ({} if chunked else {"Content-Length": str(size)})
    try:
        connection.request(
            "POST", server.contender.path, _pieces(server.contender, size), headers, encode_chunked=chunked
        )
        return str(connection.getresponse().status)
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()


def _pieces(contender: Contender, size: int) -> Iterator[bytes]:
    """Yield as many bytes of a list of windows: JSON that no parser can refuse before its end."""
    start, _, rest = contender.body.partition(b"[[")
    window = b"[[" + rest.partition(b"]]")[0] + b"]],"
    text = window * (PIECE // len(window) + 1)
    left = size
    for piece in itertools.chain([start + b"["], itertools.repeat(text)):
        if left <= 0:
            return
        yield piece[:left]
        left -= len(piece)

"""What 100,000 live streams hold: resident memory of the service, beside itself before the first of them."""

from __future__ import annotations

import math
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from benchmarks.publishing import Table
from benchmarks.serving.ours import CASE
from benchmarks.serving.running import Server
from benchmarks.streams.bulk import LOGS
from benchmarks.streams.configured import SMALL, one_service
from benchmarks.streams.many import push_for
from benchmarks.streams.rows import ARROW, table

STREAMS, AT_ONCE, ROWS = 100_000, 5_000, 3
FEW = 10
GIB = 1024.0
CASES = {"LSTM 1 x 64": SMALL, "LSTM 2 x 64": CASE}


def measure(folder: Path) -> list[Table]:
    """Push a few rows to each of the streams, and return what the service holds then."""
    rows = []
    for model, case in CASES.items():
        for place, (log, environ) in enumerate(LOGS.items()):
            with one_service(folder / f"{place}-{case.layers}", log, environ, case) as server:
                rows.append((f"{model}, {log}", *_held(server)))
    head = ("service", "empty, MiB", "with them, MiB", "more", "a stream, bytes", "in memory", "<= 1 GiB more")
    note = (
        f"{STREAMS:,} streams with {ROWS} rows each, pushed by Arrow, {AT_ONCE:,} a request; what is called empty has "
        f"answered {FEW} others before. Without a disk the rows and forecasts themselves are held, too. `in memory`: "
        "streams whose state is."
    )
    return [Table("100,000 live streams", head, rows, note)]


def _held(server: Server) -> tuple[str, ...]:
    _push(server, "warm", FEW)
    before = server.held_mib()
    for first in range(0, STREAMS, AT_ONCE):
        _push(server, f"s{first:06d}", AT_ONCE)
    after, live = server.held_mib(), _live(server)
    more = after - before
    each = more * 2**20 / STREAMS
    fits = "yes" if more <= GIB else "NO"
    return f"{before:,.0f}", f"{after:,.0f}", f"{more:,.0f}", f"{each:,.0f}", f"{live:,}", fits


def _push(server: Server, prefix: str, count: int) -> None:
    names = [f"{prefix}-{place:05d}" for place in range(count)]
    push_for(server, [[table(names, age) for age in range(ROWS)]], ARROW, count, math.inf)


def _live(server: Server) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    values: Mapping[str, str] = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return int(float(values["gatecast_streams_cached"]))

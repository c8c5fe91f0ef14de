"""What a row costs by how long its stream has lived: the same streams again and again, older each time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from benchmarks.publishing import Table
from benchmarks.serving.running import Server
from benchmarks.streams.bulk import LOGS
from benchmarks.streams.configured import SMALL, one_service
from benchmarks.streams.many import Pushed, push_for
from benchmarks.streams.rows import ARROW, table

STREAMS, MEASURED, AT_ONCE = 100, 100, 50
AGES = (100, 1_000, 10_000)
LONG = 100_000
NAMES = [f"s{place:03d}" for place in range(STREAMS)]


def measure(folder: Path, ages: Sequence[int] = AGES) -> list[Table]:
    """Let streams grow old, and return what a row costs at each age."""
    rows = []
    for place, (log, environ) in enumerate(LOGS.items()):
        with one_service(folder / str(place), log, environ, SMALL) as server:
            found = _lived(server, ages)
        first, last = found[0], found[-1]
        ratio = first.each / last.each
        rows.append((log, *(f"{one.rate:,.0f}" for one in found), f"{last.rate / first.rate:.2f}", f"{ratio:.2f}"))
    head = ("log", *(f"rows/s at {age:,}" for age in ages), "last / first", "the same by CPU")
    note = (
        f"{STREAMS} streams a request by Arrow over one connection, {MEASURED} requests of a row each at each age; "
        f"between them the streams grow older by {AT_ONCE} rows a request. LSTM 1 x 64, joint channels. Goal: the "
        "last is no less than the first."
    )
    return [Table("Rows by the age of their streams", head, rows, note)]


def _lived(server: Server, ages: Sequence[int]) -> list[Pushed]:
    found, age = [], 0
    for wanted in ages:
        bodies = [table(NAMES, at, AT_ONCE) for at in range(age, wanted, AT_ONCE)]
        push_for(server, [bodies], ARROW, STREAMS * AT_ONCE, math.inf)
        age += AT_ONCE * len(bodies)
        one_by_one = [table(NAMES, at) for at in range(age, age + MEASURED)]
        found.append(push_for(server, [one_by_one], ARROW, STREAMS, math.inf))
        age += MEASURED
        print(f"{server.contender.name}, {wanted:,} rows: {found[-1].rate:,.0f} rows/s", flush=True)
    return found

"""What a row costs by how long its stream has lived: young and old streams in one service, pushed to in turn."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.measuring import ratio
from benchmarks.publishing import Table
from benchmarks.serving.running import Server
from benchmarks.streams.bulk import LOGS
from benchmarks.streams.configured import SMALL, one_service
from benchmarks.streams.many import push_for
from benchmarks.streams.rows import ARROW, table

STREAMS, REQUESTS, AT_ONCE = 100, 25, 50
AGES = (100, 1_000, 10_000)
LONG = 100_000
Costs = Mapping[int, Sequence[float]]


def measure(folder: Path, ages: Sequence[int], rounds: int) -> list[Table]:
    """Let streams grow old, and return what a row costs at each age."""
    rows = []
    for place, (log, environ) in enumerate(LOGS.items()):
        with one_service(folder / str(place), log, environ, SMALL) as server:
            costs = _costs(server, ages, rounds)
        cells = (f"{1e6 * statistics.median(costs[age]):.1f}" for age in ages)
        rows.append((log, *cells, ratio(costs[ages[-1]], costs[ages[0]])))
    head = ("log", *(f"age {age:,}, us" for age in ages), "oldest / youngest")
    note = (
        f"Time on the clock for a row: {STREAMS} streams of each age, all of them in a request by Arrow over one "
        f"connection, {REQUESTS} requests to each age in turn, {rounds} rounds. The ratio is within a round: median "
        f"(the middle half; all). They grew old by {AT_ONCE} rows a request. LSTM 1 x 64, joint channels."
    )
    return [Table("Rows by the age of their streams", head, rows, note)]


def _costs(server: Server, ages: Sequence[int], rounds: int) -> Costs:
    names = {age: [f"a{age}-{place:03d}" for place in range(STREAMS)] for age in ages}
    for age in ages:
        bodies = [table(names[age], at, AT_ONCE) for at in range(0, age, AT_ONCE)]
        push_for(server, [bodies], ARROW, STREAMS * AT_ONCE, math.inf)
        print(f"{server.contender.name}: streams of {age:,} rows are there", flush=True)
    costs: dict[int, list[float]] = {age: [] for age in ages}
    for number in range(rounds + 1):
        for age in ages if number % 2 else reversed(ages):
            bodies = [table(names[age], age + number * REQUESTS + at) for at in range(REQUESTS)]
            pushed = push_for(server, [bodies], ARROW, STREAMS, math.inf)
            if number:
                costs[age].append(pushed.seconds / pushed.rows)
    return costs

"""Many streams a request, a row each: Arrow and JSON, joint and independent channels, in memory and durable.

Two connections, so that the service always has a request, and a queue that has room for them (GATECAST_MAX_QUEUE); each
pushes to streams of its own, new ones in each round.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from benchmarks.goals import HEAD, Goal
from benchmarks.publishing import Table
from benchmarks.serving.ours import make_home
from benchmarks.serving.running import Server, serving
from benchmarks.streams.configured import APART, IN_MEMORY, ON_DISK, SMALL, streaming
from benchmarks.streams.many import Pushed, push_for
from benchmarks.streams.rows import ARROW, JSON, document, table

CONNECTIONS = 2
ROOM = {"GATECAST_MAX_QUEUE": "10000"}
MOST = 300_000
"""Rows a second that are prepared."""

CASES = {"joint": SMALL, "independent": APART}
LOGS = {"in memory": IN_MEMORY, "SQLite, FULL": ON_DISK}
WRITERS = {ARROW: table, JSON: document}
WARM_SECONDS = 0.5


class Way(NamedTuple):
    """Channels, log, media, and the streams of a request."""

    channels: str
    log: str
    media: str
    streams: int

    @property
    def text(self) -> str:
        """Name it."""
        return f"{self.channels}, {self.log}, {'Arrow' if self.media == ARROW else 'JSON'}, {self.streams:,} streams"


WAYS = [
    *(Way("joint", log, ARROW, streams) for log in LOGS for streams in (1000, 4000)),
    *(Way("joint", log, JSON, 1000) for log in LOGS),
    *(Way("independent", log, ARROW, 1000) for log in LOGS),
]
MEMORY, DURABLE = list(LOGS)
Loads = Mapping[Way, Pushed]


def measure(folder: Path, rounds: int, seconds: int) -> list[Table]:
    """Push to the service in each configuration, round by round, and return the tables."""
    with ExitStack() as stack:
        servers = {}
        for channels, case in CASES.items():
            for place, (log, environ) in enumerate(LOGS.items()):
                own = folder / f"{channels}-{place}"
                make_home(own / "home", case=case)
                contender = streaming(own / "home", f"{channels}, {log}", environ | ROOM)
                servers[channels, log] = stack.enter_context(serving(contender, own))
        for server in servers.values():
            for one in server.tree():
                one.suspend()
        found = [_round(servers, number, seconds) for number in range(rounds + 1)][1:]
    return [_rates(found), _goals(found)]


def _round(servers: Mapping[tuple[str, str], Server], number: int, seconds: int) -> Loads:
    found = {}
    for way in WAYS if number % 2 else reversed(WAYS):
        sets = prepared(f"r{number:02d}", way, seconds if number else 1)
        with servers[way.channels, way.log].awake():
            found[way] = push_for(
                servers[way.channels, way.log], sets, way.media, way.streams, seconds if number else WARM_SECONDS
            )
    print(f"round {number}" if number else "warm", flush=True)
    return found


def prepared(prefix: str, way: Way, seconds: int) -> list[list[bytes]]:
    """Return the requests of each connection."""
    count = MOST * seconds // way.streams // CONNECTIONS
    write, kind = WRITERS[way.media], way.media[-4:]
    sets = []
    for connection in range(CONNECTIONS):
        names = [f"{prefix}-{kind}-{way.streams}-{connection}-{place:04d}" for place in range(way.streams)]
        sets.append([write(names, age) for age in range(count)])
    return sets


def _rates(found: Sequence[Loads]) -> Table:
    rows = []
    for way in WAYS:
        each = [one[way] for one in found]
        rate, cost, busy = (
            statistics.median(values)
            for values in (
                [one.rate for one in each],
                [one.each for one in each],
                [one.processor / one.seconds for one in each],
            )
        )
        rows.append((way.text, f"{rate:,.0f}", f"{1e6 / cost:,.0f}", f"{cost:.1f}", f"{busy:.0%}"))
    head = ("way", "rows/s", "rows a second of CPU", "CPU a row, us", "core busy")
    note = "Medians over the rounds. CPU is of the service's process, which has one core."
    return Table("Bulk", head, rows, note)


def _goals(found: Sequence[Loads]) -> Table:
    goals = [
        Goal(f"{way.text}: rows/s", _rate(way), 100_000 if way.log == MEMORY else 20_000, form="{:,.0f}")
        for way in WAYS
        if way.channels == "joint" and way.media == ARROW
    ]
    return Table("Goals", HEAD, [goal.row(found) for goal in goals], "Median (the middle half; all).")


def _rate(way: Way) -> Callable[[Loads], float]:
    return lambda one: one[way].rate

"""One row a push, over 1 and over 32 connections: every server in turn, round by round.

F is the bare server, which reads the same requests. Every push is a new row of its stream. Over 32 connections rows go
to 1,024 streams in turn, so that each that is on its way is of another stream, and none overtakes the one before it;
`one stream` has them all push to the same one, where what overtakes another is refused as late, and counted.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.goals import HEAD, Goal
from benchmarks.publishing import Table
from benchmarks.serving.contenders import FLOOR, MLFLOW, Contender, peers
from benchmarks.serving.load import Load, load, run
from benchmarks.serving.ours import make_home
from benchmarks.serving.running import Server, serving
from benchmarks.serving.speed import ALONE, MANY, cells
from benchmarks.streams.configured import ASKING, IN_MEMORY, ON_DISK, bare, key_for, postgres, streaming
from benchmarks.streams.rows import requests

BARE, ALL, DURABLE, SHARED = "in memory, no keys", "in memory, keys", "SQLite, FULL, keys", "PostgreSQL, keys"
ONE = "one stream"
SCRIPT = Path(__file__).with_name("pushing.lua")
STREAMS = {ALONE: 1, MANY: 1024, ONE: 1}
MOST = {ALONE: 20_000, MANY: 60_000, ONE: 60_000}
"""Requests a second that are prepared; a run that needs more is refused."""

WARM_SECONDS = 1
SYNCS = 100
Loads = Mapping[tuple[str, int | str], Load]


class Prepared:
    """Requests in files, for the streams of a round; heads are the same in all rounds."""

    def __init__(self, folder: Path, heads: Mapping[str, str], seconds: int) -> None:
        """Write down what is sent in round 00; `heads` are those of servers that want more than the bare one."""
        self._folder, self._heads = folder, heads
        self._texts = {
            (head, width): b"".join(requests(_names(width), head, MOST[width] * seconds))
            for head in {"", *heads.values()}
            for width in (ALONE, MANY, ONE)
        }
        self._counts = {width: MOST[width] * seconds for width in MOST}

    def push(self, server: Server, width: int | str, number: int, seconds: int) -> Load:
        """Push to streams of their own in each round.

        Raises:
            ValueError: there were too few requests.
        """
        text, path = self._texts[self._heads.get(server.contender.name, ""), width], self._folder / "requests"
        path.write_bytes(text.replace(b"/r00-", b"/r%02d-" % number))
        size = len(text) // self._counts[width]
        connections = width if isinstance(width, int) else MANY
        measured, came = run(server, connections, seconds, SCRIPT, str(path), str(size))
        if came + connections >= self._counts[width]:
            message = f"{server.contender.name} answered all {came} requests; prepare more"
            raise ValueError(message)
        return measured


def _names(width: int | str) -> list[str]:
    kind = "one" if width == ONE else f"{width:03d}"
    return [f"r00-{kind}-{place:04d}" for place in range(STREAMS[width])]


def measure(folder: Path, python: str | None, rounds: int, seconds: int) -> list[Table]:
    """Measure the service in its configurations, the bare server and `mlflow models serve`, and return the tables."""
    home = folder / "home"
    make_home(home)
    key = key_for(home)
    with ExitStack() as stack:
        address = stack.enter_context(postgres())
        ways = {
            BARE: IN_MEMORY,
            ALL: IN_MEMORY | ASKING,
            DURABLE: ON_DISK | ASKING,
            SHARED: {"GATECAST_LOG_URL": address} | ASKING,
        }
        servers = [_start(stack, streaming(home, name, environ), folder) for name, environ in ways.items()]
        servers.append(_start(stack, bare(servers[0]), folder))
        if python:
            servers.append(_start(stack, peers(python)[MLFLOW], folder))
        for server in servers:
            for one in server.tree():
                one.suspend()
        prepared = Prepared(folder, dict.fromkeys((ALL, DURABLE, SHARED), key), seconds)
        _warm(servers, prepared)
        found = []
        for number in range(1, rounds + 1):
            found.append(_round(servers, prepared, number, seconds))
            servers = servers[1:] + servers[:1]
            print(f"round {number} of {rounds}", flush=True)
    return [_side_by_side(found, _synced(folder)), _goals(found)]


def _start(stack: ExitStack, contender: Contender, folder: Path) -> Server:
    server = stack.enter_context(serving(contender, folder / "".join(filter(str.isalnum, contender.name))))
    print(f"{contender.name} is ready", flush=True)
    return server


def _warm(servers: Sequence[Server], prepared: Prepared) -> None:
    for server in servers:
        with server.awake():
            for width in (ALONE, MANY):
                _load(server, prepared, width, 0, WARM_SECONDS)


def _round(servers: Sequence[Server], prepared: Prepared, number: int, seconds: int) -> Loads:
    found = {}
    for server in servers:
        name = server.contender.name
        with server.awake():
            for width in (ALONE, MANY, ONE):
                if width != ONE or name in {BARE, DURABLE}:
                    found[name, width] = _load(server, prepared, width, number, seconds)
    return found


def _load(server: Server, prepared: Prepared, width: int | str, number: int, seconds: int) -> Load:
    if server.contender.name == MLFLOW:
        return load(server, int(width), seconds)
    return prepared.push(server, width, number, seconds)


def _synced(folder: Path) -> float:
    """Return the microseconds that the disk takes to keep 8 KiB, which is about what a push writes."""
    seconds = []
    with (folder / "synced").open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            file.write(bytes(8192))
            start = time.perf_counter()
            os.fdatasync(file.fileno())
            seconds.append(time.perf_counter() - start)
    return 1e6 * statistics.median(seconds)


def _side_by_side(found: Sequence[Loads], synced: float) -> Table:
    head = ("server", *(f"{what}, c={count}" for count in (ALONE, MANY) for what in ("req/s", "p50", "p99", "CPU")))
    rows = []
    names = dict.fromkeys(name for name, _ in found[0])
    for name in sorted(names, key=[BARE, ALL, DURABLE, SHARED, FLOOR, MLFLOW].index):
        rows.append((name, *(cell for width in (ALONE, MANY) for cell in cells([one[name, width] for one in found]))))
        if (name, ONE) in found[0]:
            rows.append((f"{name}, {ONE}", *("",) * 4, *cells([one[name, ONE] for one in found])))
    note = (
        "Medians over the rounds; p50, p99 and CPU (of the server's processes, for a request) in microseconds. A rate "
        "with `!` had failures, counted behind it: of `one stream` rows that overtook others, which are refused. "
        f"SQLite and PostgreSQL wait for the disk, which keeps 8 KiB in {synced:.0f} us. PostgreSQL is on the core of "
        "the service; its time is not in CPU. `mlflow models serve` is sent the window of 96 rows each time."
    )
    return Table("Side by side", head, rows, note)


def _goals(found: Sequence[Loads]) -> Table:
    goals = [
        Goal("in memory, c=1: p50 / F", _slower(BARE), 1.5, most=True),
        Goal("in memory, c=32: rate / F", _share(BARE), 0.5),
        Goal("all features, c=1: p50 / F", _slower(ALL), 2.0, most=True),
        Goal("all features, c=32: rate / F", _share(ALL), 0.3),
        Goal("durable, SQLite: c=32: rate / F", _share(DURABLE), 0.2),
        Goal("durable, PostgreSQL: c=32: rate / F", _share(SHARED), 0.2),
    ]
    if (MLFLOW, ALONE) in found[0]:
        goals += [
            Goal(f"{name}, c={width}: rate / windows to mlflow", _ahead(name, width), bound)
            for name in (ALL, DURABLE)
            for width, bound in ((ALONE, 15), (MANY, 25))
        ]
    note = "Ratios within a round: median (the middle half; all)."
    return Table("Goals", HEAD, [goal.row(found) for goal in goals], note)


def _slower(name: str) -> Callable[[Loads], float]:
    return lambda one: one[name, ALONE].p50 / one[FLOOR, ALONE].p50


def _share(name: str) -> Callable[[Loads], float]:
    return lambda one: one[name, MANY].rate / one[FLOOR, MANY].rate


def _ahead(name: str, width: int) -> Callable[[Loads], float]:
    return lambda one: one[name, width].rate / one[MLFLOW, width].rate

"""One window after another, over 1 and over 32 connections: every server in turn, round by round.

F is the bare server, K the best forward pass in process; the goals compare the service with their sum, and with the
peers.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from benchmarks.goals import HEAD, Goal
from benchmarks.measuring import spread
from benchmarks.publishing import Table
from benchmarks.serving.contenders import FLOOR, MLFLOW, MLSERVER, MLSERVER_BATCHED, OURS, Contender, floor, ours, peers
from benchmarks.serving.inside import Inside, inside
from benchmarks.serving.load import Load, load
from benchmarks.serving.ours import make_home
from benchmarks.serving.running import Server, on_server_core, serving

ALONE, MANY = 1, 32
WARM = 20
Loads = Mapping[tuple[str, int], Load]


class Round(NamedTuple):
    """What one round measured: servers by name and connections, and what the parts of an answer cost in process."""

    loads: Loads
    inside: Inside


def measure(folder: Path, python: str | None, names: Sequence[str], rounds: int, seconds: int) -> list[Table]:
    """Measure the service, the bare server and the peers of these names, and return the tables."""
    home = folder / "home"
    make_home(home)
    theirs = peers(python) if python else {}
    with ExitStack() as stack:
        ours_running = stack.enter_context(serving(ours(home), folder / "ours"))
        contenders = [floor(len(ours_running.ask())), *(theirs[name] for name in names if python)]
        servers = [ours_running, *(_start(stack, one, folder / str(at)) for at, one in enumerate(contenders))]
        for server in servers:
            for one in server.tree():
                one.suspend()
        found = []
        for number in range(rounds):
            found.append(_round(servers, seconds))
            servers = servers[1:] + servers[:1]
            print(f"round {number + 1} of {rounds}", flush=True)
    return [_side_by_side(found), _in_process(found), _goals(found)]


def _start(stack: ExitStack, contender: Contender, folder: Path) -> Server:
    server = stack.enter_context(serving(contender, folder))
    server.ask()
    print(f"{contender.name} is ready", flush=True)
    return server


def _round(servers: Sequence[Server], seconds: int) -> Round:
    loads = {}
    for server in servers:
        with server.awake():
            for _ in range(WARM):
                server.ask()
            for connections in (ALONE, MANY):
                loads[server.contender.name, connections] = load(server, connections, seconds)
    with on_server_core():
        return Round(loads, inside())


def _side_by_side(found: Sequence[Round]) -> Table:
    head = ("server", *(f"{what}, c={count}" for count in (ALONE, MANY) for what in ("req/s", "p50", "p99", "CPU")))
    rows = []
    for name, _ in {key: None for key in found[0].loads if key[1] == ALONE}:
        each = [cells([one.loads[name, count] for one in found]) for count in (ALONE, MANY)]
        rows.append((name, *each[0], *each[1]))
    note = (
        "Medians over the rounds; p50, p99 and CPU (of the server's processes, for a request) in microseconds. A rate "
        "with `!` had failures, counted behind it."
    )
    return Table("Side by side", head, rows, note)


def cells(loads: Sequence[Load]) -> tuple[str, ...]:
    """Return the medians of loads as cells of a table: rate, p50, p99, processor time of a request."""
    rate, p50, p99, processor = (
        f"{statistics.median(values):,.0f}" for values in list(zip(*loads, strict=True))[: len(Load._fields) - 1]
    )
    failed = sum(one.failed for one in loads)
    return (f"{rate} !{failed}" if failed else rate), p50, p99, processor


def _in_process(found: Sequence[Round]) -> Table:
    each = [one.inside for one in found]
    rows = [
        (f"forward, {engine}, 1 window", spread([one.alone[engine] for one in each], "{:.0f}"))
        for engine in each[0].alone
    ]
    rows += [
        (f"forward, {engine}, per window of {MANY}", spread([one.many[engine] for one in each], "{:.0f}"))
        for engine in each[0].many
    ]
    rows.append(("parse the body", spread([one.parse for one in each], "{:.0f}")))
    rows.append(("queue of batches, for a lone window", spread([one.queued for one in each], "{:.0f}")))
    return Table(
        "In process", ("part", "processor time, microseconds"), rows, "On the core of the servers, one thread."
    )


def _goals(found: Sequence[Round]) -> Table:
    goals = [
        Goal("c=1: p50 / (F + K)", _alone_over_floor, 1.25, most=True),
        Goal(
            "c=1: queue of batches / p50", lambda one: one.inside.queued / one.loads[OURS, ALONE].p50, 0.05, most=True
        ),
        Goal("c=32: rate x (F + parse + K per window)", _share_of_floor, 0.8),
    ]
    bounds = [(MLFLOW, ALONE, 5.5), (MLSERVER, ALONE, 4.0), (MLFLOW, MANY, 12.0), (MLSERVER_BATCHED, MANY, 4.5)]
    goals += [
        Goal(f"c={count}: rate / {peer}", _over(peer, count), bound)
        for peer, count, bound in bounds
        if (peer, count) in found[0].loads
    ]
    note = (
        "Ratios within a round: median (the middle half; all). F is the p50 of the bare server at c=1 and its "
        "processor time for a request at c=32. The service runs in one configuration, its defaults, throughout."
    )
    return Table("Goals", HEAD, [goal.row(found) for goal in goals], note)


def _alone_over_floor(one: Round) -> float:
    return one.loads[OURS, ALONE].p50 / (one.loads[FLOOR, ALONE].p50 + min(one.inside.alone.values()))


def _share_of_floor(one: Round) -> float:
    least = one.loads[FLOOR, MANY].processor + one.inside.parse + min(one.inside.many.values())
    return one.loads[OURS, MANY].rate * least / 1e6


def _over(peer: str, connections: int) -> Callable[[Round], float]:
    return lambda one: one.loads[OURS, connections].rate / one.loads[peer, connections].rate

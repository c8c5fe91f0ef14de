"""Three times as many requests as can be answered, to a timetable that waits for nobody, and what comes after.

Capacity is what wrk gets over 32 connections just before. A request whose time has come when every connection waits for
an answer is held back: it is never sent, and counted.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import uvloop

from benchmarks.publishing import Table
from benchmarks.serving.clients import Answer, Clients, one_by_one
from benchmarks.serving.contenders import ours
from benchmarks.serving.load import load
from benchmarks.serving.ours import make_home
from benchmarks.serving.running import Server, serving

TIMES, SECONDS, BEFORE_SECONDS = 3, 6.0, 3
CONNECTIONS = 1024
QUIET, PROBES, PAUSE_SECONDS = 100, 200, 0.005
IN_A_ROW, NEAR = 5, 3.0
GROUPS = {"200": (200,), "refused (503, 429)": (503, 429), "lost": (0,)}


class Flood(NamedTuple):
    """What one flood did; rates a second, times in seconds."""

    capacity: float
    offered: float
    held_back: int
    answers: list[Answer]
    recovered: float | None
    grown_mib: float
    grown_after_mib: float


def measure(folder: Path, floods: int, times: int = TIMES, connections: int = CONNECTIONS) -> list[Table]:
    """Flood the service a few times, and return the tables."""
    home = folder / "home"
    make_home(home)
    with serving(ours(home), folder / "ours") as server:
        load(server, 32, 1)  # warm
        found = [_flood(server, times, connections) for _ in range(floods)]
    return [_table(found, times, connections), _answers(found)]


def _flood(server: Server, times: int, connections: int) -> Flood:
    capacity = load(server, 32, BEFORE_SECONDS).rate
    quiet = statistics.median(one.seconds for one in uvloop.run(one_by_one(server, QUIET, PAUSE_SECONDS)))
    before = server.held_mib()
    server.forget_peak()
    clients = Clients(server)
    held_back = uvloop.run(clients.to_timetable(times * capacity, SECONDS, connections))
    ended = max(one.sent for one in clients.answers)
    probes = uvloop.run(one_by_one(server, PROBES, PAUSE_SECONDS))
    grown = server.peak_mib() - before
    return Flood(
        capacity=capacity,
        offered=(len(clients.answers) + held_back) / SECONDS,
        held_back=held_back,
        answers=clients.answers,
        recovered=recovery(probes, ended, NEAR * quiet),
        grown_mib=grown,
        grown_after_mib=server.held_mib() - before,
    )


def recovery(probes: Sequence[Answer], ended: float, quick: float) -> float | None:
    """Return how long after the end the first of some good and quick answers in a row was asked for; None: never."""
    good = [one.status == 200 and one.seconds <= quick for one in probes]
    for place in range(len(good) - IN_A_ROW + 1):
        if all(good[place : place + IN_A_ROW]):
            return max(probes[place].sent - ended, 0.0)
    return None


def _table(found: Sequence[Flood], times: int, connections: int) -> Table:
    note = (
        f"{times} x capacity for {SECONDS:.0f} s over {connections:,} connections. Recovered: from the last request of "
        f"the flood to the first of {IN_A_ROW} probes in a row, each answered within {NEAR:.0f} x the quiet median. "
        "The probes start when the last answer of the flood has come. Memory is resident: the most, and what was kept. "
        "Goals: goodput >= 90 % of capacity, recovery <= 1 s."
    )
    rates = ("capacity, req/s", "offered, req/s", "held back", "goodput, req/s", "/ capacity")
    head = ("flood", *rates, "recovered after, s", "peak memory, + MiB", "kept, + MiB")
    return Table("Overload", head, [(str(number), *_row(one)) for number, one in enumerate(found, start=1)], note)


def _row(one: Flood) -> tuple[str, ...]:
    good = _goodput(one)
    rates = f"{one.capacity:,.0f}", f"{one.offered:,.0f}", f"{one.held_back:,}", f"{good:,.0f}"
    recovered = "never" if one.recovered is None else f"{one.recovered:.2f}"
    return *rates, f"{good / one.capacity:.2f}", recovered, f"{one.grown_mib:.1f}", f"{one.grown_after_mib:.1f}"


def _goodput(one: Flood) -> float:
    start = min(answer.sent for answer in one.answers)
    return sum(answer.status == 200 and answer.came <= start + SECONDS for answer in one.answers) / SECONDS


def _answers(found: Sequence[Flood]) -> Table:
    rows = []
    everything = [answer for one in found for answer in one.answers]
    for name, statuses in GROUPS.items():
        group = [answer for answer in everything if answer.status in statuses]
        rows.append((name, f"{len(group):,}", *_percentiles(group), _with_retry_after(group)))
    known = {status for statuses in GROUPS.values() for status in statuses}
    if other := [answer for answer in everything if answer.status not in known]:
        codes = ", ".join(str(code) for code in sorted({answer.status for answer in other}))
        rows.append((f"other ({codes})", f"{len(other):,}", *_percentiles(other), _with_retry_after(other)))
    note = "Over all floods, milliseconds from the sending of a request. Goal: a refusal comes within 1 ms."
    return Table("Answers", ("answer", "count", "p50, ms", "p99, ms", "with Retry-After"), rows, note)


def _percentiles(group: Sequence[Answer]) -> tuple[str, str]:
    if not group:
        return "-", "-"
    middle, high = np.percentile([1e3 * one.seconds for one in group], [50, 99])
    return f"{middle:.1f}", f"{high:.1f}"


def _with_retry_after(group: Sequence[Answer]) -> str:
    if not group or group[0].status == 200:
        return "-"
    return f"{sum(b'retry-after:' in one.head.lower() for one in group) / len(group):.0%}"

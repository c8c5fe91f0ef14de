"""The alias moves under load: when the new version answers, what fails, and what the move costs those who ask.

An answer is mixed where its numbers are not those of the version it names, or those of the other too. `back` counts
answers of the version before to requests that were sent when the new one had already answered.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import uvloop

from benchmarks.publishing import Table
from benchmarks.serving.clients import Answer, Clients
from benchmarks.serving.contenders import ours
from benchmarks.serving.ours import make_home
from benchmarks.serving.running import CLIENT_CORE, ROOT, Server, serving

CONNECTIONS = 32
STEADY_SECONDS, LONGEST_SECONDS, AFTER_SECONDS = 4.0, 15.0, 1.0
CLOSE = 1e-3
SEED_OF = {"1": 0, "2": 1}


class Swap(NamedTuple):
    """One move of the alias; None where the new version never answered. Times in seconds."""

    until_new: float | None
    answers: int
    failed: int
    mixed: int
    back: int
    steady_p99: float
    swap_p99: float


def measure(folder: Path, swaps: int) -> list[Table]:
    """Move the alias to and fro, and return the table."""
    home = folder / "home"
    make_home(home, versions=2)
    with serving(ours(home), folder / "ours") as server, _mover(home) as mover:
        uvloop.run(Clients(server).steadily(CONNECTIONS, asyncio.sleep(1)))  # warm
        known = Known(server)
        found = [_swap(server, mover, "2" if number % 2 == 0 else "1", known) for number in range(swaps)]
    return [_table(found)]


class Known:
    """What each version says to the request that is measured, learnt from answers asked for one by one."""

    def __init__(self, server: Server) -> None:
        self.numbers: dict[str, np.ndarray] = {}
        self.seen: dict[bytes, tuple[str, bool]] = {}
        self.learn(server)

    def learn(self, server: Server) -> None:
        """Keep what the version says that answers now."""
        version, numbers = _told(server.ask())
        self.numbers[version] = numbers

    def judge(self, answer: Answer) -> tuple[str, bool]:
        """Return the version that an answer names, and whether the numbers are not its own alone."""
        if answer.body not in self.seen:
            version, numbers = _told(answer.body)
            near = {one for one, said in self.numbers.items() if np.allclose(said, numbers, rtol=CLOSE, atol=CLOSE)}
            self.seen[answer.body] = version, near != {version}
        return self.seen[answer.body]


def _told(body: bytes) -> tuple[str, np.ndarray]:
    tree = msgspec.json.decode(body)
    return tree["model"]["version"], np.array(list(tree["forecast"][0]["point"].values()))


@contextmanager
def _mover(home: Path) -> Iterator[subprocess.Popen[str]]:
    """Hold another process ready that moves the alias when a version is written to it."""
    command = ["taskset", "--cpu-list", str(CLIENT_CORE), sys.executable, "-m", "benchmarks.serving.ours", str(home)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.terminate()


def _swap(server: Server, mover: subprocess.Popen[str], version: str, known: Known) -> Swap:
    clients = Clients(server)
    moved: list[float] = []

    async def during() -> None:
        await asyncio.sleep(STEADY_SECONDS)
        moved.append(await asyncio.to_thread(_move, mover, version))
        place, last = len(clients.answers), time.monotonic() + LONGEST_SECONDS
        while time.monotonic() < last:
            await asyncio.sleep(0.01)
            come, place = clients.answers[place:], len(clients.answers)
            if any(one.status == 200 and _told(one.body)[0] == version for one in come[:1]):
                break
        await asyncio.sleep(AFTER_SECONDS)

    uvloop.run(clients.steadily(CONNECTIONS, during()))
    known.learn(server)
    return _judged(clients.answers, moved[0], version, known)


def _move(mover: subprocess.Popen[str], version: str) -> float:
    """Move the alias and return when it was moved."""
    assert mover.stdin is not None
    assert mover.stdout is not None
    mover.stdin.write(f"{version}\n")
    mover.stdin.flush()
    return float(mover.stdout.readline())


def _judged(answers: Sequence[Answer], moved: float, version: str, known: Known) -> Swap:
    good = [one for one in answers if one.status == 200]
    judged = [(one, *known.judge(one)) for one in good]
    of_new = [one.came for one, named, _ in judged if named == version and one.came > moved - 1]
    new = min(of_new, default=None)
    end = (moved + LONGEST_SECONDS) if new is None else new + AFTER_SECONDS
    back = sum(1 for one, named, _ in judged if new is not None and one.sent > new and named != version)
    return Swap(
        until_new=None if new is None else new - moved,
        answers=len(answers),
        failed=len(answers) - len(good),
        mixed=sum(mixed for _, _, mixed in judged),
        back=back,
        steady_p99=p99([one.seconds for one in good if one.came < moved - 1]),
        swap_p99=p99([one.seconds for one in good if moved - 1 <= one.came <= end]),
    )


def p99(seconds: Sequence[float]) -> float:
    """Return the 99th percentile; 0 of nothing."""
    return float(np.percentile(seconds, 99)) if len(seconds) else 0.0


def _table(found: Sequence[Swap]) -> Table:
    counts = ("answers", "failed", "mixed", "back")
    head = ("move", "new version after, s", *counts, "p99 before, ms", "p99 around, ms", "around / before")
    note = (
        "32 connections. `around` is from a second before the alias is moved to a second after the new version first "
        "answered. Goals: within one poll interval (2 s by default) and the time to open the model, 0 failed and 0 "
        "mixed of >= 1,000, ratio <= 2."
    )
    return Table("The alias moves", head, [*(_row(*one) for one in enumerate(found, start=1)), _together(found)], note)


def _row(number: int, one: Swap) -> tuple[str, ...]:
    until = "never" if one.until_new is None else f"{one.until_new:.2f}"
    counts = (f"{count:,}" for count in (one.answers, one.failed, one.mixed, one.back))
    times = (f"{1e3 * seconds:.1f}" for seconds in (one.steady_p99, one.swap_p99))
    return str(number), until, *counts, *times, f"{one.swap_p99 / one.steady_p99:.2f}"


def _together(found: Sequence[Swap]) -> tuple[str, ...]:
    times = [one.until_new for one in found if one.until_new is not None]
    until = f"{statistics.median(times):.2f}" if len(times) == len(found) else "never"
    counts = zip(*((one.answers, one.failed, one.mixed, one.back) for one in found), strict=True)
    ratio = statistics.median(one.swap_p99 / one.steady_p99 for one in found)
    return "median, sum", until, *(f"{sum(each):,}" for each in counts), "", "", f"{ratio:.2f}"

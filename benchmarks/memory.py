"""Training on long series: the memory it takes beside the series itself, and its time per row.

`python -m benchmarks.memory [--fit] [--rows N ...]`; `--fit` also trains the default network for an epoch, minutes for
ten million rows. Each length is measured in a process of its own: memory that an earlier one has given back would hide
growth.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import torch

from benchmarks.data import demo_project
from benchmarks.publishing import Table, publish
from benchmarks.resident import forget_peak, held_mib, peak_mib
from forecasting.calendar import Calendar, nanoseconds
from forecasting.columns import Columns
from forecasting.project import Project
from forecasting.ridge import fit_linear
from forecasting.scaled import Part, ScaledSeries
from forecasting.scaling import Scale, Scaler
from forecasting.sequences import Sequences, Shape
from forecasting.series import Series
from forecasting.statics import Statics
from forecasting.training import Epoch, fit
from forecasting.transforms import PLAIN

COLUMNS = tuple(f"c{i}" for i in range(7))
SIZES = (100_000, 1_000_000, 10_000_000)
VALID = 10_000
FREQ = "30min"  # ten million of them are just within the 584 years that nanoseconds can count
LAGS = 336  # a week, the most that the linear road looks back over
SHAPE = Shape(batch=32, burn_in=48, length=192, horizon=1, prior=LAGS)
MIB = 2**20
ROOT = Path(__file__).parents[1]

Figures = dict[str, float]


def main() -> None:
    """Measure every length and write the result; or one, as JSON, for the process that asked."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description="Memory and time by rows.")
    parser.add_argument("--rows", type=int, nargs="+", default=SIZES)
    parser.add_argument("--fit", action="store_true", help="train the default network for an epoch as well")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(_measured(asked.rows[0], with_fit=asked.fit)))
        return
    _publish(asked.rows, [_in_a_process(rows, with_fit=asked.fit) for rows in asked.rows])


def _in_a_process(rows: int, *, with_fit: bool) -> Figures:
    command = [
        sys.executable,
        "-m",
        "benchmarks.memory",
        "--one",
        "--rows",
        str(rows),
        *(["--fit"] if with_fit else []),
    ]
    done = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    found: Figures = json.loads(done.stdout.splitlines()[-1])
    print(f"{rows:,} rows:", ", ".join(f"{name} {value:.1f}" for name, value in found.items()), flush=True)
    return found


def _publish(sizes: Sequence[int], found: Sequence[Figures]) -> None:
    head = ("rows", *found[0])
    rows = [(f"{size:,}", *(f"{value:.1f}" for value in one.values())) for size, one in zip(sizes, found, strict=True)]
    level = tuple(_level(name, [one[name] for one in found]) for name in found[0])
    note = (
        "`traced` is what Python and numpy allocated at most at one time (tracemalloc), `extra` the most resident "
        "memory over what was held before, tensors included. Times are of the processor. The linear road is fitted to "
        "the newest 100,000 rows at most, chosen on the newest 40,000. Goals: an epoch's extra memory <= 64 MiB, time "
        "in proportion to rows."
    )
    publish(
        "memory",
        f"One series of {len(COLUMNS)} columns, rows 30 minutes apart, of which the last {VALID:,} are for validation. "
        f"`pass`: an epoch of `Sequences`, batches of {SHAPE.batch} stretches of {SHAPE.prior} + {SHAPE.burn_in} + "
        f"{SHAPE.length} rows. `fit`: an epoch of `fit` with the defaults, batches, network and validation.",
        [Table("By length", head, [*rows, ("largest / least", *level)], note)],
    )


def _level(name: str, values: Sequence[float]) -> str:
    """Say how far times per row differ, which is not at all where time is in proportion to rows."""
    return f"{max(values) / min(values):.2f}" if "a million" in name else ""


def _measured(rows: int, *, with_fit: bool) -> Figures:
    utc, berlin = _series(rows, "UTC"), _series(rows, "Europe/Berlin")
    figures = {
        "series, MiB": (utc.series.values.nbytes + utc.times.nbytes) / MIB,
        "pass extra, MiB": _extra(lambda: _pass(utc)),
        "pass traced, MiB": _traced(lambda: _pass(utc)),
        "pass, s a million rows": _seconds(lambda: _pass(utc)) / rows * 1e6,
        "pass (Berlin), s a million rows": _seconds(lambda: _pass(berlin)) / rows * 1e6,
        **_linear(utc),
    }
    return {**figures, **_fit(utc)} if with_fit else figures


def _linear(one: ScaledSeries) -> Figures:
    start = time.process_time()
    extra = _extra(lambda: fit_linear([one], SHAPE.horizon))
    return {"linear road extra, MiB": extra, "linear road, s": time.process_time() - start}


def _pass(one: ScaledSeries) -> None:
    for _ in Sequences([one], SHAPE, least=1, seed=0):
        pass


def _extra(work: Callable[[], object]) -> float:
    gc.collect()
    forget_peak()
    before = held_mib()
    work()
    return peak_mib() - before


def _traced(work: Callable[[], object]) -> float:
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / MIB


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


class Onlooker:
    """A watcher of the first epoch: from where the network starts (epoch 0) to its last step."""

    def __init__(self) -> None:
        """Wait for epoch 0."""
        self.started = self.last = 0.0

    def step(self, done: int, most: int) -> None:  # noqa: ARG002 - a watcher hears both
        self.last = time.process_time()

    def epoch(self, epoch: Epoch) -> None:
        if epoch.epoch == 0:
            forget_peak()
            self.before, self.started = held_mib(), time.process_time()
        else:
            self.extra = peak_mib() - self.before

    def stopping(self) -> bool:
        return False


def _fit(one: ScaledSeries) -> Figures:
    watcher = Onlooker()
    fit(_project(), [one], watcher)
    seconds = (watcher.last - watcher.started) / one.train.stop * 1e6
    return {"fit extra, MiB": watcher.extra, "fit, s a million rows": seconds}


def _project() -> Project:
    """Return a project with the defaults, an epoch long, and one way of seeing the channels so that there is one."""
    project = demo_project()
    data = msgspec.structs.replace(project.data, targets=list(COLUMNS))
    model = msgspec.structs.replace(project.model, channels="independent")
    train = msgspec.structs.replace(project.train, epochs=1, device="cpu")
    return msgspec.structs.replace(project, data=data, model=model, train=train)


def _series(rows: int, timezone: str) -> ScaledSeries:
    index = pd.date_range("1690-01-01", periods=rows + VALID, freq=FREQ, tz="UTC", unit="ns")
    values = np.random.default_rng(0).standard_normal((rows + VALID, len(COLUMNS)), dtype=np.float32)
    calendar = Calendar(freq=FREQ, timezone=timezone)
    calendar.features(np.zeros(1, np.int64))  # finds the zone's changes of clocks, once in a process
    series, statics = Series("all", index, values), Statics()
    parts = Part(0, rows), Part(rows, rows + VALID), Part(rows + VALID, rows + VALID)
    return ScaledSeries(
        series,
        Columns(COLUMNS),
        _scaler().units(None),
        statics.encode(None),
        statics,
        calendar,
        nanoseconds(index),
        *parts,
    )


def _scaler() -> Scaler:
    width = len(COLUMNS)
    none, ones = (None,) * width, (1.0,) * width
    scale = Scale(mean=(0.0,) * width, std=ones, spread=ones, lower=none, upper=none)
    return Scaler(series={}, overall=scale, transforms=(PLAIN,) * width, ids=())


if __name__ == "__main__":
    main()

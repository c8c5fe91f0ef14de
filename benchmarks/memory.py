"""Training sequences: the memory an epoch takes beside the series itself, and its time per row.

`python -m benchmarks.memory --largest` also takes ten million rows.
"""

from __future__ import annotations

import sys
import time
import tracemalloc

import numpy as np
import pandas as pd
import psutil
import torch

from benchmarks.publishing import Table, publish
from forecasting.calendar import Calendar, nanoseconds
from forecasting.scaled import Part, ScaledSeries
from forecasting.scaling import Units
from forecasting.sequences import Sequences, Shape
from forecasting.series import Series

COLUMNS = 7
SIZES, LARGEST = (100_000, 1_000_000), 10_000_000
SHAPE = Shape(batch=32, burn_in=48, length=192, horizon=1)
MEGABYTE = 1e6


def main() -> None:
    """Measure every size and write the result."""
    torch.set_num_threads(1)
    sizes = (*SIZES, LARGEST) if "--largest" in sys.argv else SIZES
    head = (
        "rows",
        "series, MB",
        "traced peak beside it, MB",
        "process growth, MB",
        "UTC, ns a row",
        "Berlin, ns a row",
    )
    note = (
        "The traced peak is what Python and numpy allocated at most at one time (tracemalloc); the growth is of "
        "resident memory, looked at after every batch."
    )
    publish(
        "memory",
        f"An epoch of `Sequences` over one minutely series of {COLUMNS} columns, a pass over all rows: batches of "
        f"{SHAPE.batch} stretches of {SHAPE.burn_in} + {SHAPE.length} rows.",
        [Table("An epoch", head, [_measured(rows) for rows in sizes], note)],
    )


def _measured(rows: int) -> tuple[str, ...]:
    utc, berlin = _series(rows, "UTC"), _series(rows, "Europe/Berlin")
    held = (utc.series.values.nbytes + utc.times.nbytes) / MEGABYTE
    growth = _growth(utc)
    seconds = [_seconds(one) / rows * 1e9 for one in (utc, berlin)]
    figures = (held, _traced_peak(utc), growth)
    return f"{rows:,}", *(f"{one:.1f}" for one in figures), *(f"{one:.0f}" for one in seconds)


def _sequences(one: ScaledSeries) -> Sequences:
    return Sequences([one], SHAPE, least=1, seed=0)


def _growth(one: ScaledSeries) -> float:
    """Return by how many megabytes resident memory grew at most in an epoch."""
    process = psutil.Process()
    before: int = process.memory_info().rss
    most = before
    for _ in _sequences(one):
        most = max(most, process.memory_info().rss)
    return (most - before) / MEGABYTE


def _traced_peak(one: ScaledSeries) -> float:
    tracemalloc.start()
    for _ in _sequences(one):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / MEGABYTE


def _seconds(one: ScaledSeries) -> float:
    start = time.process_time()
    for _ in _sequences(one):
        pass
    return time.process_time() - start


def _series(rows: int, timezone: str) -> ScaledSeries:
    index = pd.date_range("2000-01-01", periods=rows, freq="min", tz="UTC", unit="ns")
    values = np.random.default_rng(0).standard_normal((rows, COLUMNS), dtype=np.float32)
    bounds = np.full(COLUMNS, np.inf, dtype=np.float32)
    units = Units(np.zeros(COLUMNS, np.float32), np.ones(COLUMNS, np.float32), -bounds, bounds)
    train, none = Part(0, rows), Part(rows, rows)
    calendar = Calendar(freq="min", timezone=timezone)
    calendar.features(np.zeros(1, np.int64))  # finds the zone's changes of clocks, once in a process
    return ScaledSeries(Series("all", index, values), units, calendar, nanoseconds(index), train, none, none)


if __name__ == "__main__":
    main()

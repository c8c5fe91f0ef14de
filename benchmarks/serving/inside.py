"""What the parts of an answer cost in process: the forward pass by each engine, and parsing the body."""

from __future__ import annotations

import statistics
import time
from functools import cache, partial
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.inprocess import NEWEST, ROWS
from benchmarks.measuring import Way
from benchmarks.serving.ours import body, measured_bundle, rows
from forecasting.engines import CompiledEngine, EagerEngine, Inputs
from service.body import decode

WINDOWS = 32
ROUNDS = 40


class Inside(NamedTuple):
    """Microseconds of processor time: by engine for one window, by engine for each of 32, and to parse one body."""

    alone: dict[str, float]
    many: dict[str, float]
    parse: float


def inside() -> Inside:
    """Measure all of it, one after another: a part that has the caches for itself costs the least it can."""
    times = {name: 1e6 * _median_seconds(way) for name, way in _ways().items()}
    parse = times.pop("parse")
    alone = {name.removesuffix(" x 1"): time for name, time in times.items() if name.endswith(" x 1")}
    many = {name.removesuffix(" x 32"): time / WINDOWS for name, time in times.items() if name.endswith(" x 32")}
    return Inside(alone, many, parse)


def _median_seconds(way: Way) -> float:
    seconds = []
    for _ in range(ROUNDS):
        start = time.process_time()
        way()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)


@cache
def _ways() -> dict[str, Way]:
    torch.set_num_threads(1)
    bundle = measured_bundle()
    times = NEWEST - np.arange(ROWS - 1, -1, -1, dtype=np.int64) * bundle.spec.calendar.step
    calendar = bundle.spec.calendar.features(times)
    ways: dict[str, Way] = {"parse": partial(decode, body())}
    for engine in (CompiledEngine(bundle.forecaster), EagerEngine(bundle.forecaster)):
        for count in (1, WINDOWS):
            values = np.stack([rows(seed) for seed in range(count)]).astype(np.float32)
            known = np.zeros((count, ROWS + bundle.spec.horizon, 0), dtype=np.float32)
            given = Inputs(values, np.stack([calendar] * count), known)
            ways[f"{engine.name} x {count}"] = partial(engine.forecast_last, given)
    return ways

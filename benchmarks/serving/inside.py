"""What the parts of an answer cost in process: the forward pass by each engine, parsing the body, and the queue."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from functools import cache, partial
from typing import NamedTuple

import numpy as np
import torch
import uvloop

from benchmarks.inprocess import NEWEST, ROWS
from benchmarks.measuring import Way
from benchmarks.serving.ours import NAME, body, measured_bundle, rows
from forecasting.engines import CompiledEngine, EagerEngine, Engine, Inputs
from forecasting.prediction import Asked, forecast_many
from forecasting.windows import RawWindow, build_window
from service.batching import Batcher
from service.body import decode
from service.models import ServedModel, ServedRef
from service.settings import Settings
from service.telemetry import Metrics

WINDOWS = 32
ROUNDS, PAIRS = 40, 200


class Inside(NamedTuple):
    """Microseconds of processor time: by engine for one window, by engine for each of 32, and to parse one body.

    `queued` is what a lone window costs more through the queue of batches than without it.
    """

    alone: dict[str, float]
    many: dict[str, float]
    parse: float
    queued: float


def inside() -> Inside:
    """Measure all of it, one after another: a part that has the caches for itself costs the least it can."""
    torch.set_num_threads(1)
    alone, many = ({one.name: _microseconds(_forward(one, count)) / count for one in _engines()} for count in (1, 32))
    return Inside(alone, many, _microseconds(partial(decode, body())), uvloop.run(_queued()))


def _microseconds(way: Way) -> float:
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        way()
        times.append(time.process_time() - start)
    return 1e6 * statistics.median(times)


@cache
def _engines() -> tuple[Engine, ...]:
    forecaster = measured_bundle().forecaster
    return CompiledEngine(forecaster), EagerEngine(forecaster)


def _forward(engine: Engine, count: int) -> Way:
    spec = measured_bundle().spec
    times = NEWEST - np.arange(ROWS - 1, -1, -1, dtype=np.int64) * spec.calendar.step
    values = np.stack([rows(seed) for seed in range(count)]).astype(np.float32)
    calendar = np.stack([spec.calendar.features(times)] * count)
    return partial(
        engine.forecast_last, Inputs(values, calendar, np.zeros((count, ROWS + spec.horizon, 0), np.float32))
    )


async def _queued() -> float:
    """Ask in pairs, once through the queue and once without, on one event loop."""
    model = ServedModel(ServedRef(NAME, "1", "production", "run"), measured_bundle())
    asked = [Asked(build_window(model.bundle.spec, RawWindow(rows().tolist(), last_timestamp=NEWEST)))]
    batcher = Batcher(Settings(), Metrics())

    async def without() -> None:
        await asyncio.sleep(0)  # as an answer also waits for the loop to come round
        forecast_many(model.bundle, model.engine, asked)

    async def through() -> None:
        await batcher.submit(model, asked, lambda: False)

    pairs = [(await _spent(through), await _spent(without)) for _ in range(PAIRS)]
    batcher.close()
    return 1e6 * statistics.median(more - less for more, less in pairs)


async def _spent(way: Callable[[], Awaitable[None]]) -> float:
    start = time.process_time()
    await way()
    return time.process_time() - start

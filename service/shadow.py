"""A model in the shadow of the one in production: it sees the same windows, what it says is compared and never sent.

It runs in one thread behind the answers, and only while that thread is free: what it misses is counted, nothing waits.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch

from forecasting.prediction import Asked, WindowForecast, forecast_many
from service.models import Models, ServedModel
from service.telemetry import Metrics

MOST_WAITING = 8

log = logging.getLogger(__name__)


class Said(NamedTuple):
    """A window and what the model in production said of it."""

    asked: Asked
    answer: WindowForecast


class Shadow:
    """Compares what is answered with what the shadow of the model would have answered."""

    def __init__(self, models: Callable[[], Models], metrics: Metrics) -> None:
        """Remember where models are found; nothing runs before there is a shadow."""
        self._models = models
        self._metrics = metrics
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="shadow", initializer=_one_core)
        self.waiting = 0

    def beside(self, model: ServedModel, asked: Sequence[Asked], answers: Sequence[WindowForecast]) -> None:
        """Hand windows that were answered to the shadow of the model, if it has one."""
        shadow = self._models().shadow(model.ref.name)
        if shadow is None or shadow.ref.key == model.ref.key:
            return
        if self.waiting >= MOST_WAITING:
            self._metrics.shadowed(shadow.ref, "missed", len(asked))
            return
        self.waiting += 1
        said = [Said(*pair) for pair in zip(asked, answers, strict=True)]
        self._thread.submit(self._compare, model, shadow, said)

    def close(self) -> None:
        """Let go of the thread; what waits for it is not computed."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _compare(self, model: ServedModel, shadow: ServedModel, said: Sequence[Said]) -> None:
        try:
            for one, other in zip(said, forecast_many(shadow.bundle, shadow.engine, _same(said)), strict=True):
                if isinstance(other, WindowForecast):
                    self._metrics.shadowed(shadow.ref, "compared", 1)
                    self._metrics.differed(shadow.ref, difference(model, one, other))
                else:
                    self._metrics.shadowed(shadow.ref, "failed", 1)
        except Exception:
            log.exception("the shadow of %s, version %s, failed", model.ref.name, shadow.ref.version)
            self._metrics.shadowed(shadow.ref, "failed", len(said))
        finally:
            self.waiting -= 1


def _same(said: Sequence[Said]) -> list[Asked]:
    """Ask for the same windows and steps; intervals are not compared, and the shadow may have other levels."""
    return [one.asked._replace(levels=()) for one in said]


def difference(model: ServedModel, said: Said, other: WindowForecast) -> float:
    """Return the mean distance of two points over steps and columns, in standard deviations of the training rows."""
    spread = model.bundle.scaler.units(said.asked.window.series).first(len(model.bundle.spec.targets)).spread
    return float(np.mean(np.abs(said.answer.point - other.point) / spread))


def _one_core() -> None:
    torch.set_num_threads(1)

"""What goes on behind the pushes: the log is opened, streams follow a new version, old rows are deleted."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import numpy as np

from forecasting.admission import Window
from forecasting.errors import GatecastError
from forecasting.log.memory import MemoryLog
from forecasting.stepping import times_after
from forecasting.streams.keeper import Keeper, Policy
from forecasting.streams.pushes import Pushes
from forecasting.streams.streamed import Streamed
from service.background import in_background
from service.gate import means
from service.models import Models
from service.patience import backoff
from service.rounds import Rounds
from service.settings import Settings
from service.streams.queue import Queue
from service.streams.store import Store
from service.telemetry import Metrics

START_SECONDS = 5.0
"""How long a start waits for the log before the service answers without it."""

PAUSE_SECONDS, LONGEST_SECONDS = 1.0, 15.0
SLICE_SECONDS = 0.05
"""How long streams are brought to a new version before it is looked what else is due."""

COUNT_SECONDS, PRUNE_SECONDS, DAY_NANOSECONDS = 15.0, 3600.0, 86_400 * 10**9

log = logging.getLogger(__name__)


@dataclass
class Upkeep:
    """One task, beside the pushes; whatever goes wrong in it, it goes on."""

    store: Store
    queue: Queue
    settings: Settings
    metrics: Metrics
    models: Callable[[], Models]
    _begun: asyncio.Event = field(default_factory=asyncio.Event)
    _failures: int = 0
    _said: str = ""
    _due: dict[str, float] = field(default_factory=dict)
    _warm_ones: set[tuple[str, str, str]] = field(default_factory=set)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Go on while the block runs; it begins once the log is open, or could not be opened, or takes its time."""
        if not self.store.enabled:
            yield
            return
        task = asyncio.create_task(Rounds(PAUSE_SECONDS).run(self._round, 0.0))
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._begun.wait(), START_SECONDS)
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            await self.queue.close(self.store.close)

    async def _round(self, _: bool) -> float:
        """Do what is due; return the seconds until the next round."""
        if not self.store.is_open:
            return await self._open()
        try:
            await self._warm()
            more = await in_background(self.store.keeper.migrate, SLICE_SECONDS)
            if self._is_due("count", COUNT_SECONDS):
                await in_background(self._count)
            if self.settings.retention_days and self._is_due("prune", PRUNE_SECONDS):
                await in_background(self._prune)
        except Exception as error:  # noqa: BLE001 - see the class
            return self._fail(error)
        self._failures, self._said = 0, ""
        return 0.0 if more else PAUSE_SECONDS

    async def _open(self) -> float:
        try:
            await in_background(self.store.open)
        except Exception as error:  # noqa: BLE001 - whatever it is, windows are forecast and the log is tried again
            self.store.lost(error)
            return self._patience()
        finally:
            self._begun.set()
        self._failures = 0
        self.store.found()
        return 0.0

    async def _warm(self) -> None:
        """Push once to a stream of each new model that is forgotten at once, so that no real push waits for a compiler.

        Only the first one on a machine does; windows are forecast meanwhile.
        """
        served = {model.ref.key: model for model in self.models().served.values()}
        for key in served.keys() - self._warm_ones:
            if not served[key].streamed.endless:
                await in_background(push_once, served[key].streamed, means(served[key].bundle))
            self._warm_ones.add(key)
        self._warm_ones &= served.keys()

    def _count(self) -> None:
        """Tell how many streams of each model drift."""
        for name in {slot.name for slot in self.models().served}:
            self.metrics.streams.drifting(name, self.store.keeper.log.drifting(name))

    def _prune(self) -> None:
        before = time.time_ns() - self.settings.retention_days * DAY_NANOSECONDS
        deleted = self.store.keeper.prune(before, self.settings.replay_rows)
        if deleted:
            log.info("streams: %d rows older than %d days were deleted", deleted, self.settings.retention_days)

    def _is_due(self, what: str, seconds: float) -> bool:
        now = asyncio.get_running_loop().time()
        if now < self._due.get(what, 0.0):
            return False
        self._due[what] = now + seconds
        return True

    def _fail(self, error: Exception) -> float:
        """Log what went wrong, once as long as it does; return the seconds until it is tried again."""
        if str(error) != self._said:
            self._said = str(error)
            known = isinstance(error, GatecastError)
            log.error("streams: upkeep failed, and is tried again: %s", error, exc_info=None if known else error)
        return self._patience()

    def _patience(self) -> float:
        self._failures += 1
        return backoff(PAUSE_SECONDS, self._failures - 1, LONGEST_SECONDS)


def push_once(model: Streamed, window: Window) -> None:
    """Push the last row of a window to a stream of no log."""
    times = times_after(model.spec.calendar, 0, 1)
    ahead = None if window.ahead is None else window.ahead[None]
    pushes = Pushes("", ("first",), np.arange(2), times, window.values[-1:], ahead)
    Keeper(MemoryLog(), Policy(cache_bytes=0)).push(model, pushes, 0)

"""The queue of pushes: what waits for the same model and principal is taken together, and committed at once.

There is no timer: a lone push is taken when the event loop has read every socket that is ready, and under load a batch
is what came while the one before was written. One thing is done at a time, so that pushes to a stream are in the order
in which they came. Where a disk is waited for, or much is to be computed, that is done in the thread `streams`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
from starlette.requests import ClientDisconnect

from forecasting.streams.keeper import Keeper
from forecasting.streams.pushes import Outcomes, Pushes
from forecasting.streams.streamed import Streamed
from service.problems import Overloaded
from service.settings import Settings
from service.streams.forms import Texts
from service.streams.joining import joined
from service.telemetry import Metrics

LARGEST_BATCH = 1024
"""Rows that are taken together, unless one request has more."""

QUICK_ROWS = 64
"""Rows that are taken on the event loop where no disk is waited for: about a millisecond."""

CLOSING_SECONDS = 10.0
"""How long the last commit is waited for at the end."""

T = TypeVar("T")


class Share(NamedTuple):
    """What came of one request: the outcomes of its batch, and the place of its first push among them.

    `texts` is what was written of the batch so far, on the event loop only.
    """

    outcomes: Outcomes
    first: int
    texts: Texts


@dataclass(eq=False, slots=True)
class Job:
    """A request that waits, and until when an answer is of use; `work` is done alone, instead of pushes.

    `tell` is called with what came of it, or with what went wrong; `gone` tells whether nobody waits for that.
    """

    tell: Callable[[Any], None]
    deadline: float
    gone: Callable[[], bool]
    pushes: Pushes | None = None
    rows: int = 0
    work: Callable[[], Any] | None = None


@dataclass(eq=False, slots=True)
class Group:
    """Jobs that may be taken together."""

    keeper: Keeper | None
    model: Streamed | None
    jobs: deque[Job]


class Queue:
    """What waits for the log; `submit` and `alone` are for the event loop only."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        """Remember the limits; nothing runs before the first push."""
        self._settings, self._metrics = settings, metrics
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="streams")
        self._groups: dict[Any, Group] = {}
        self._busy = False
        self._counting = metrics.streams
        self.waiting = 0
        """Rows that wait."""

    @property
    def full(self) -> bool:
        """Tell whether nothing more is taken; asked before a request is read."""
        return self.waiting >= self._settings.max_queue

    def refusal(self) -> Overloaded:
        """Count a request that is refused, and say why."""
        self._metrics.dropped("overloaded")
        return Overloaded(f"{self.waiting} rows wait for the log; at most {self._settings.max_queue} may: come again")

    def submit(
        self, keeper: Keeper, model: Streamed, pushes: Pushes, left: Callable[[], bool]
    ) -> asyncio.Future[Share]:
        """Queue pushes; `left` tells whether their client is gone.

        Raises:
            Overloaded: too many rows wait; a request that finds none waiting is taken whatever its size.
        """
        done: asyncio.Future[Share] = asyncio.get_running_loop().create_future()
        if not self.call(keeper, model, pushes, lambda: done.cancelled() or left(), partial(_settle, done)):
            raise self.refusal()
        return done

    def call(
        self,
        keeper: Keeper,
        model: Streamed,
        pushes: Pushes,
        gone: Callable[[], bool],
        tell: Callable[[Share | Exception], None],
    ) -> bool:
        """Queue pushes, and call `tell` with what comes of them; False, and nothing is done, where too many wait."""
        rows = len(pushes.times)
        if self.waiting and self.waiting + rows > self._settings.max_queue:
            return False
        deadline = asyncio.get_running_loop().time() + self._settings.deadline_seconds
        job = Job(tell, deadline, gone, pushes, rows)
        self._put((id(keeper), id(model), pushes.principal, pushes.history), keeper, model, job)
        self.waiting += rows
        return True

    async def alone(self, work: Callable[[], T]) -> T:
        """Do something in the thread while nothing else is done, and return what it returns.

        Raises:
            Overloaded: it would have to wait too long.
        """
        if self.full:
            raise self.refusal()
        loop, seconds = asyncio.get_running_loop(), self._settings.deadline_seconds
        done: asyncio.Future[T] = loop.create_future()
        job = Job(partial(_settle, done), loop.time() + seconds, done.cancelled, rows=1, work=work)
        self._put(job, None, None, job)
        self.waiting += 1
        return await done

    async def close(self, last: Callable[[], None]) -> None:
        """Finish what is under way, then do a last thing; whatever hangs is not waited for."""
        try:
            await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(self._thread, last), CLOSING_SECONDS)
        except TimeoutError:
            pass
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _put(self, key: Any, keeper: Keeper | None, model: Streamed | None, job: Job) -> None:
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(keeper, model, deque())
        group.jobs.append(job)
        if not self._busy:
            self._go_on()

    def _go_on(self) -> None:
        self._busy = True
        asyncio.get_running_loop().call_soon(self._work)

    def _work(self) -> None:
        """Take the next batch, then let the loop read and answer before the one after it."""
        if not self._groups:
            self._busy = False
            return
        key = next(iter(self._groups))  # the one that has waited longest
        group = self._groups.pop(key)
        batch, began = self._next(group), time.perf_counter()
        if group.jobs:
            self._groups[key] = group
        if not batch:
            self._go_on()
        elif group.keeper and not group.keeper.log.durable and sum(job.rows for job in batch) <= QUICK_ROWS:
            self._finish(batch, _take(group, batch), began)
        else:
            future = asyncio.get_running_loop().run_in_executor(self._thread, _take, group, batch)
            future.add_done_callback(lambda done: self._finish(batch, done.result(), began))

    def _next(self, group: Group) -> list[Job]:
        """Take jobs, one at least; those nobody waits for are dropped, not computed."""
        batch: list[Job] = []
        rows, now = 0, asyncio.get_running_loop().time()
        while group.jobs and not (batch and rows + group.jobs[0].rows > LARGEST_BATCH):
            job = group.jobs.popleft()
            self.waiting -= job.rows
            if job.gone():
                job.tell(ClientDisconnect())
                self._metrics.dropped("client left")
            elif now > job.deadline:
                job.tell(Overloaded("the deadline passed before the rows could be written; come again"))
                self._metrics.dropped("deadline")
            else:
                batch.append(job)
                rows += job.rows
        return batch

    def _finish(self, batch: list[Job], found: list[Any] | Exception, began: float) -> None:
        if batch[0].pushes is not None and not isinstance(found, Exception):
            self._counting.committed(sum(job.rows for job in batch), time.perf_counter() - began)
        for place, job in enumerate(batch):
            job.tell(found if isinstance(found, Exception) else found[place])
        if self._groups:
            self._go_on()
        else:
            self._busy = False


def _take(group: Group, batch: Sequence[Job]) -> list[Any] | Exception:
    """Do what a batch asks; what goes wrong with all of it is each one's answer."""
    try:
        if group.keeper is None or group.model is None:
            return [job.work() for job in batch if job.work]
        pushes = [job.pushes for job in batch if job.pushes]
        outcomes = group.keeper.push(group.model, joined(pushes), time.time_ns())
    except Exception as error:  # noqa: BLE001 - it is raised again where the request is answered
        return error
    firsts = np.cumsum([0, *(len(one.names) for one in pushes[:-1])]).tolist() if len(pushes) > 1 else [0]
    texts: Texts = {}
    return [Share(outcomes, first, texts) for first in firsts]


def _settle(done: asyncio.Future[Any], found: Any) -> None:
    if done.done():  # nobody waits any longer
        return
    if isinstance(found, Exception):
        done.set_exception(found)
    else:
        done.set_result(found)

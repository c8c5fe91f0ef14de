"""Micro-batches without a timer: what waits when the model is free is computed together, and nothing waits for more.

A request's windows join a queue; the queue is worked off as soon as the event loop has read every socket that is ready.
So a lone request is computed at once, and under load a batch is what came while the one before was computed.

Quick work is done on the event loop itself: handing 0.3 ms of work to a thread and back takes a tenth of that again.
Long work, and all work of a GPU, is done in one thread, so that the loop goes on reading, refusing and answering.
"""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import torch
from starlette.requests import ClientDisconnect

from forecasting.errors import GatecastError
from forecasting.prediction import Asked, WindowForecast, forecast_many
from service.models import ServedModel
from service.problems import OutOfMemory, Overloaded
from service.settings import Settings
from service.telemetry import Metrics

LARGEST_BATCH = 16
"""Windows; the time for each of them falls no further in larger batches, which leave a core's nearest memory."""

QUICK_ROWS = 4096
"""Rows of a request's windows that are computed on the event loop: about 10 ms of an ordinary model."""

Answer = WindowForecast | GatecastError
T = TypeVar("T")


@dataclass(eq=False, slots=True)
class Job:
    """The windows of one request, whom they are for, and until when an answer is of use."""

    model: ServedModel
    asked: Sequence[Asked]
    deadline: float
    left: Callable[[], bool]
    done: asyncio.Future[list[Answer]]


class Batcher:
    """The queues of a service, and the limits of what may wait in them."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        """Remember the limits; nothing runs before the first request."""
        self._settings = settings
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="forecast", initializer=_one_core)
        self.open = 0
        """Requests for computations that have arrived and are not answered yet, as the wire counts them."""

        self.quick = Lane(metrics, None)
        self.long = Lane(metrics, self._threads)

    def submit(self, model: ServedModel, asked: Sequence[Asked], left: Callable[[], bool]) -> asyncio.Future[Any]:
        """Queue the windows of a request; `left` tells whether its client is gone.

        Raises:
            Overloaded: too many windows wait, or they would wait longer than the deadline.
        """
        rows = sum(len(one.window.values) for one in asked)
        lane = self.quick if model.quick and rows <= QUICK_ROWS else self.long
        loop, seconds = asyncio.get_running_loop(), self._settings.deadline_seconds
        if self.waiting and (self.waiting + len(asked) > self._settings.max_queue or lane.seconds > seconds):
            raise self.refusal()
        job = Job(model, asked, loop.time() + seconds, left, loop.create_future())
        lane.put(job)
        return job.done

    @property
    def full(self) -> bool:
        """Tell whether nothing more is taken; asked before a request is read, which is a good part of answering it."""
        return self.waiting >= self._settings.max_queue

    @property
    def flooded(self) -> bool:
        """Tell the same on the wire, where what has arrived may not be in the queue yet, or may be computed already."""
        return self.full or self.open >= self._settings.max_queue + LARGEST_BATCH

    def shed(self) -> None:
        """Count a request that is refused on the wire, without the app."""
        self.refusal()
        self._metrics.answered("POST", "shed", 503, 0.0)

    def refusal(self) -> Overloaded:
        """Count a request that is refused, and say why."""
        self._metrics.dropped("overloaded")
        return Overloaded(
            f"{self.waiting} windows wait for an answer; at most {self._settings.max_queue} may: come again"
        )

    @property
    def waiting(self) -> int:
        """Windows that wait."""
        return self.quick.waiting + self.long.waiting

    async def beside(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do something in the thread of long work, between its batches."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(work, *arguments))

    def close(self) -> None:
        """Let go of the thread; what it computes is finished."""
        self._threads.shutdown(wait=False, cancel_futures=True)


@dataclass
class Lane:
    """One queue and what works it off: the event loop, or a thread."""

    metrics: Metrics
    executor: Executor | None
    jobs: deque[Job] = field(default_factory=deque)
    waiting: int = 0
    pace: float = 0.0
    """Seconds a window took lately."""
    busy: bool = False

    @property
    def seconds(self) -> float:
        """About how long a job that comes now will wait."""
        return self.waiting * self.pace

    def put(self, job: Job) -> None:
        """Queue a job, and see to it that the queue is worked off."""
        self.jobs.append(job)
        self.waiting += len(job.asked)
        if not self.busy:
            self._go_on()

    def _go_on(self) -> None:
        self.busy = True
        asyncio.get_running_loop().call_soon(self._work)

    def _work(self) -> None:
        """Compute the next batch, then let the loop read and answer before the one after it."""
        loop, batch = asyncio.get_running_loop(), self._next()
        began = loop.time()
        if not batch:
            self.busy = False
        elif self.executor is None:
            self._finish(batch, compute(batch), loop.time() - began)
        else:
            future = loop.run_in_executor(self.executor, compute, batch)
            future.add_done_callback(lambda done: self._finish(batch, done.result(), loop.time() - began))

    def _finish(self, batch: list[Job], found: list[list[Answer] | Exception], seconds: float) -> None:
        windows = sum(len(job.asked) for job in batch)
        self.pace = 0.8 * self.pace + 0.2 * seconds / windows
        self.metrics.batch(windows)
        for job, answers in zip(batch, found, strict=True):
            if job.done.done():  # its client left while it was computed
                continue
            if isinstance(answers, Exception):
                job.done.set_exception(answers)
            else:
                job.done.set_result(answers)
        if self.jobs:
            self._go_on()
        else:
            self.busy = False

    def _next(self) -> list[Job]:
        """Take jobs of one model, one at least; those nobody waits for are dropped, not computed."""
        batch: list[Job] = []
        windows, now = 0, asyncio.get_running_loop().time()
        while self.jobs:
            job = self.jobs[0]
            if batch and (job.model is not batch[0].model or windows + len(job.asked) > LARGEST_BATCH):
                break
            self.waiting -= len(self.jobs.popleft().asked)
            if job.done.cancelled() or job.left():
                if not job.done.cancelled():
                    job.done.set_exception(ClientDisconnect())
                self.metrics.dropped("client left")
            elif now > job.deadline:
                job.done.set_exception(Overloaded("the deadline passed before an answer could be computed; come again"))
                self.metrics.dropped("deadline")
            else:
                batch.append(job)
                windows += len(job.asked)
        return batch


def compute(batch: list[Job]) -> list[list[Answer] | Exception]:
    """Answer jobs of one model together; what goes wrong with all of them is each one's answer."""
    model, asked = batch[0].model, [one for job in batch for one in job.asked]
    try:
        answers = iter(_in_memory(model, asked))
    except Exception as error:  # noqa: BLE001 - it is raised again where the request is answered
        return [error] * len(batch)
    return [[next(answers) for _ in job.asked] for job in batch]


def _in_memory(model: ServedModel, asked: list[Asked]) -> list[Answer]:
    """Answer windows; where the device has not the memory for all of them at once, in two halves."""
    try:
        return list(forecast_many(model.bundle, model.engine, asked))
    except (torch.OutOfMemoryError, MemoryError):
        pass  # outside the handler, whose traceback would hold the tensors
    _free_memory()
    half = (len(asked) + 1) // 2
    try:
        return [
            answer
            for part in (asked[:half], asked[half:])
            if part
            for answer in forecast_many(model.bundle, model.engine, part)
        ]
    except (torch.OutOfMemoryError, MemoryError):
        pass
    _free_memory()
    message = f"{len(asked)} windows do not fit into the device's memory, not in halves either; send fewer"
    raise OutOfMemory(message)


def _free_memory() -> None:
    gc.collect()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()


def _one_core() -> None:
    """Forecasts run beside the event loop and shall not take every core."""
    torch.set_num_threads(1)

"""Micro-batches: who is computed with whom, who is not computed at all, and what happens when memory runs out."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from starlette.requests import ClientDisconnect

from forecasting.bundle import Bundle
from forecasting.engines import EagerEngine, Inputs, ZForecast
from forecasting.prediction import Asked, WindowForecast
from service.batching import LARGEST_BATCH, QUICK_ROWS, Batcher
from service.models import ServedModel, ServedRef
from service.problems import OutOfMemory, Overloaded
from service.settings import Settings
from service.telemetry import Metrics
from tests.bundles import make_bundle, window


class Counting(EagerEngine):
    """Notes how many windows it was asked about at once, and in which thread."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle.forecaster)
        self.batches: list[int] = []
        self.threads: set[str] = set()
        self.most: float = float("inf")
        self.go_on: threading.Event | None = None

    def forecast_last(self, inputs: Inputs) -> ZForecast:
        self.batches.append(len(inputs.values))
        self.threads.add(threading.current_thread().name)
        if self.go_on is not None:
            assert self.go_on.wait(30)
        if len(inputs.values) > self.most:
            message = "CUDA out of memory"
            raise torch.OutOfMemoryError(message)
        return super().forecast_last(inputs)


@pytest.fixture
def model() -> ServedModel:
    return served(make_bundle())


def served(bundle: Bundle) -> ServedModel:
    """Serve a bundle with an engine that counts."""
    one = ServedModel(ServedRef("tiny", "1", "production", "r1"), bundle)
    one.__dict__["engine"] = Counting(bundle)
    return one


def counting(model: ServedModel) -> Counting:
    engine = model.engine
    assert isinstance(engine, Counting)
    return engine


def asked(windows: int = 1, rows: int = 3) -> list[Asked]:
    return [Asked(window(rows, seed)) for seed in range(windows)]


def here() -> bool:
    return False


def run(work: Callable[[Batcher], Any], **settings: Any) -> Any:
    """Run a coroutine function with a batcher on a loop of its own."""
    batcher = Batcher(Settings(**settings), Metrics())
    try:
        return asyncio.run(work(batcher))
    finally:
        batcher.close()


def test_a_lone_request_is_computed_alone_and_at_once(model: ServedModel) -> None:
    async def one(batcher: Batcher) -> list[Any]:
        done = batcher.submit(model, asked(), here)
        await asyncio.sleep(0)
        assert done.done()
        return await done

    (answer,) = run(one)
    assert isinstance(answer, WindowForecast)
    assert counting(model).batches == [1]
    assert counting(model).threads == {"MainThread"}


def test_requests_that_come_together_are_computed_together(model: ServedModel) -> None:
    async def many(batcher: Batcher) -> list[Any]:
        return await asyncio.gather(*(batcher.submit(model, asked(), here) for _ in range(2 * LARGEST_BATCH + 3)))

    answers = run(many)
    assert [len(one) for one in answers] == [1] * (2 * LARGEST_BATCH + 3)
    assert counting(model).batches == [LARGEST_BATCH, LARGEST_BATCH, 3]


def test_every_request_gets_the_answer_to_its_own_windows(model: ServedModel) -> None:
    questions = [asked(count) for count in (1, 3, 2)]

    async def many(batcher: Batcher) -> list[list[Any]]:
        return await asyncio.gather(*(batcher.submit(model, one, here) for one in questions))

    for question, answers in zip(questions, run(many), strict=True):
        for one, answer in zip(question, answers, strict=True):
            assert answer.instants[0] == one.window.times[-1] + 3_600_000_000_000
            assert len(answers) == len(question)


def test_models_are_never_mixed_in_a_batch(model: ServedModel) -> None:
    other = served(make_bundle())

    async def many(batcher: Batcher) -> None:
        await asyncio.gather(*(batcher.submit([model, other][place % 2], asked(), here) for place in range(6)))

    run(many)
    assert counting(model).batches == counting(other).batches == [1, 1, 1]


def test_long_windows_are_computed_in_a_thread_and_short_ones_are_answered_meanwhile(model: ServedModel) -> None:
    other = served(make_bundle())
    counting(model).go_on = threading.Event()

    async def both(batcher: Batcher) -> None:
        long = batcher.submit(model, asked(1, QUICK_ROWS + 1), here)
        await asyncio.wait_for(batcher.submit(other, asked(), here), 30)
        assert not long.done()
        gate = counting(model).go_on
        assert gate is not None
        gate.set()
        await long

    run(both)
    assert counting(model).threads == {"forecast_0"}
    assert counting(other).threads == {"MainThread"}


def test_what_does_not_fit_into_the_queue_is_refused_at_once_and_later_taken_again(model: ServedModel) -> None:
    async def flood(batcher: Batcher) -> None:
        taken = [batcher.submit(model, asked(), here) for _ in range(5)]
        assert batcher.waiting == 5
        with pytest.raises(Overloaded, match="5 windows wait for an answer; at most 5 may: come again"):
            batcher.submit(model, asked(), here)
        await asyncio.gather(*taken)
        assert batcher.waiting == 0
        await batcher.submit(model, asked(5), here)

    run(flood, max_queue=5)


def test_a_request_larger_than_the_queue_is_taken_by_a_service_that_is_idle(model: ServedModel) -> None:
    async def one(batcher: Batcher) -> list[Any]:
        return await batcher.submit(model, asked(9), here)

    assert len(run(one, max_queue=5)) == 9


def test_what_nobody_waits_for_is_not_computed(model: ServedModel) -> None:
    async def leave(batcher: Batcher) -> None:
        gone = batcher.submit(model, asked(), lambda: True)
        stays = batcher.submit(model, asked(2), here)
        await stays
        with pytest.raises(ClientDisconnect):
            await gone

    run(leave)
    assert counting(model).batches == [2]


def test_what_has_waited_longer_than_its_deadline_is_not_computed(model: ServedModel) -> None:
    async def wait(batcher: Batcher) -> None:
        late = batcher.submit(model, asked(), here)
        batcher.quick.jobs[0].deadline = 0.0
        with pytest.raises(Overloaded, match="the deadline passed"):
            await late

    run(wait)
    assert counting(model).batches == []


class TestMemory:
    def test_that_is_too_small_for_a_batch_takes_it_in_halves(self, model: ServedModel) -> None:
        counting(model).most = 4

        async def many(batcher: Batcher) -> list[Any]:
            return await batcher.submit(model, asked(7), here)

        answers = run(many)
        assert all(isinstance(one, WindowForecast) for one in answers)
        assert counting(model).batches == [7, 4, 3]

    def test_that_is_too_small_for_halves_refuses_and_goes_on(self, model: ServedModel) -> None:
        async def many(batcher: Batcher) -> None:
            counting(model).most = 1
            with pytest.raises(OutOfMemory, match="7 windows do not fit into the device's memory"):
                await batcher.submit(model, asked(7), here)
            assert len(await batcher.submit(model, asked(), here)) == 1

        run(many)
        assert counting(model).batches == [7, 4, 1]


def test_what_goes_wrong_with_a_batch_is_told_to_each_of_its_requests(model: ServedModel) -> None:
    def fail(_: Inputs) -> ZForecast:
        raise ZeroDivisionError

    model.engine.forecast_last = fail  # type: ignore[method-assign]

    async def many(batcher: Batcher) -> list[Any]:
        futures = (batcher.submit(model, asked(), here) for _ in range(3))
        return await asyncio.gather(*futures, return_exceptions=True)

    assert [type(one) for one in run(many)] == [ZeroDivisionError] * 3

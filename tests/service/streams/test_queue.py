"""The queue of pushes: together, in order, within limits, and nothing for who has left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.requests import ClientDisconnect

from forecasting.errors import LogUnavailable
from forecasting.log.memory import MemoryLog
from forecasting.log.opening import open_log
from forecasting.log.records import Commit, Version
from forecasting.streams.keeper import Keeper, Policy
from forecasting.streams.pushes import Pushes
from forecasting.streams.streamed import Streamed
from service.problems import Overloaded
from service.settings import Settings
from service.streams.joining import joined
from service.streams.queue import Queue
from service.telemetry import Metrics
from tests.bundles import HOUR, make_bundle
from tests.forecasting.panels import START

MODEL = Streamed(Version("tiny", "1", "r1"), make_bundle())


def pushed(name: str, number: int = 0, principal: str = "me", rows: int = 1) -> Pushes:
    times = START.value + HOUR * np.arange(number, number + rows)
    return Pushes(principal, (name,), np.array([0, rows]), times, np.full((rows, 2), 9.0 + number, np.float32))


def stay() -> bool:
    return False


class Counting(MemoryLog):
    """A log in memory that counts its commits, and fails when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.commits = 0
        self.fails = False

    def commit(self, commit: Commit) -> None:
        if self.fails:
            message = "the disk is gone"
            raise LogUnavailable(message)
        self.commits += 1
        super().commit(commit)


def in_loop(work: Callable[[Queue, Keeper, Counting], Awaitable[None]], **settings: Any) -> None:
    """Do something with a queue, a keeper and its log."""

    async def run() -> None:
        log = Counting()
        queue = Queue(Settings(**settings), Metrics())
        await work(queue, Keeper(log, Policy()), log)
        await queue.close(log.close)

    asyncio.run(run())


def test_what_waits_together_is_committed_once_and_each_gets_its_own_answer() -> None:
    async def work(queue: Queue, keeper: Keeper, log: Counting) -> None:
        jobs = [queue.submit(keeper, MODEL, pushed(f"s{number}", number), stay) for number in range(8)]
        shares = await asyncio.gather(*jobs)
        assert log.commits == 1
        assert [share.first for share in shares] == list(range(8))
        for number, (outcomes, first, _) in enumerate(shares):
            alone = Keeper(MemoryLog(), Policy()).push(MODEL, pushed(f"s{number}", number), 0)
            np.testing.assert_array_equal(outcomes.point[first], alone.point[0])

    in_loop(work)


def test_pushes_to_one_stream_are_taken_in_the_order_in_which_they_came() -> None:
    async def work(queue: Queue, keeper: Keeper, _: Counting) -> None:
        jobs = [queue.submit(keeper, MODEL, pushed("one", number), stay) for number in range(20)]
        shares = await asyncio.gather(*jobs)
        assert [int(outcomes.seq[first]) for outcomes, first, _ in shares] == list(range(20))

    in_loop(work)


def test_principals_are_never_mixed() -> None:
    async def work(queue: Queue, keeper: Keeper, log: Counting) -> None:
        jobs = [queue.submit(keeper, MODEL, pushed("same", 0, f"p{number % 2}"), stay) for number in range(4)]
        shares = await asyncio.gather(*jobs)
        assert [bool(outcomes.replayed[first]) for outcomes, first, _ in shares] == [False, False, True, True]
        assert [one.key.principal for who in ("p0", "p1") for one in log.streams(who, "tiny", "", 9)] == ["p0", "p1"]

    in_loop(work)


def test_too_many_rows_are_refused_but_one_request_is_taken_whatever_its_size() -> None:
    async def work(queue: Queue, keeper: Keeper, _: Counting) -> None:
        large = queue.submit(keeper, MODEL, pushed("large", 0, rows=50), stay)
        assert queue.full
        with pytest.raises(Overloaded, match="50 rows wait"):
            queue.submit(keeper, MODEL, pushed("small"), stay)
        outcomes, first, _ = await large
        assert outcomes.accepted[first] == 50
        assert not queue.full

    in_loop(work, max_queue=10)


def test_what_nobody_waits_for_is_not_taken() -> None:
    async def work(queue: Queue, keeper: Keeper, log: Counting) -> None:
        gone = queue.submit(keeper, MODEL, pushed("gone"), lambda: True)
        with pytest.raises(ClientDisconnect):
            await gone
        cancelled = queue.submit(keeper, MODEL, pushed("cancelled"), stay)
        cancelled.cancel()
        await queue.submit(keeper, MODEL, pushed("kept"), stay)
        assert [one.key.stream for one in log.streams("me", "tiny", "", 9)] == ["kept"]
        assert queue.waiting == 0

    in_loop(work)


def test_what_has_waited_too_long_is_refused_and_not_taken() -> None:
    async def work(queue: Queue, keeper: Keeper, log: Counting) -> None:
        with pytest.raises(Overloaded, match="deadline"):
            await queue.submit(keeper, MODEL, pushed("late"), stay)
        assert log.commits == 0

    in_loop(work, deadline_seconds=-1.0)


def test_a_log_that_fails_fails_that_batch_only() -> None:
    async def work(queue: Queue, keeper: Keeper, log: Counting) -> None:
        log.fails = True
        jobs = [queue.submit(keeper, MODEL, pushed(f"s{number}"), stay) for number in range(3)]
        found = await asyncio.gather(*jobs, return_exceptions=True)
        assert [type(one) for one in found] == [LogUnavailable] * 3
        log.fails = False
        outcomes, first, _ = await queue.submit(keeper, MODEL, pushed("s0"), stay)
        assert (int(outcomes.seq[first]), bool(outcomes.replayed[first])) == (0, False)

    in_loop(work)


def test_work_that_is_done_alone_waits_for_its_turn() -> None:
    async def work(queue: Queue, keeper: Keeper, _: Counting) -> None:
        job = queue.submit(keeper, MODEL, pushed("one"), stay)
        stands = await queue.alone(lambda: keeper.log.streams("me", "tiny", "", 9)[0].seq)
        assert job.done()
        assert stands == 0

    in_loop(work)


def test_a_durable_log_is_written_in_a_thread_and_the_end_waits_for_it(tmp_path: Path) -> None:
    log = open_log(None, tmp_path / "streams.db")

    async def run() -> None:
        queue = Queue(Settings(), Metrics())
        keeper = Keeper(log, Policy())
        jobs = [queue.submit(keeper, MODEL, pushed(f"s{number}"), stay) for number in range(4)]
        await asyncio.gather(*jobs)
        await queue.close(log.close)

    asyncio.run(run())
    again = open_log(None, tmp_path / "streams.db")
    assert [one.key.stream for one in again.streams("me", "tiny", "", 9)] == ["s0", "s1", "s2", "s3"]
    again.close()


def test_pushes_are_joined_as_they_are() -> None:
    told = pushed("b", 2)._replace(series=["north"], static=[{"size": 1.0}])
    whole = joined([pushed("a", 0, rows=2), told, pushed("a", 5)])
    assert list(whole.names) == ["a", "b", "a"]
    assert whole.starts.tolist() == [0, 2, 3, 4]
    assert whole.values[:, 0].tolist() == [9.0, 9.0, 11.0, 14.0]
    assert (whole.series, whole.static) == ([None, "north", None], [{}, {"size": 1.0}, {}])

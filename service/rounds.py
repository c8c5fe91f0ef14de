"""Rounds of work, one at a time: at intervals, and at once for whoever asks; who asks together shares a round."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from service.problems import NotReady

Round = Callable[[bool], Awaitable[float]]
"""Does the work, told whether somebody waits for it; returns the seconds until the next, if nobody asks before."""

log = logging.getLogger(__name__)


class Rounds:
    """Runs rounds for ever; whatever goes wrong in one, the next one comes."""

    def __init__(self, seconds: float) -> None:
        """Remember the pause after a round that failed; nothing runs yet."""
        self._seconds = seconds
        self._wake = asyncio.Event()
        self._running = False
        self._coming: list[asyncio.Future[None]] = []
        self._present: list[asyncio.Future[None]] = []

    async def run(self, work: Round, pause: float) -> None:
        """After a pause do one round after the other until cancelled; then tell those who wait that none will come."""
        self._running = True
        try:
            while True:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), pause)
                self._wake.clear()
                self._present, self._coming = self._coming, []
                pause = await self._one(work)
                _answer(self._present)
        finally:
            self._running = False
            _answer([*self._present, *self._coming], NotReady("the service is about to end"))

    async def next(self) -> None:
        """Wait for the end of a round that begins after this call.

        Raises:
            NotReady: the service has not started, or is about to end.
        """
        if not self._running:
            message = "the service is not running"
            raise NotReady(message)
        done = asyncio.get_running_loop().create_future()
        self._coming.append(done)
        self._wake.set()
        await done

    def wake(self) -> None:
        """Let the next round begin now, or after the one that is under way."""
        self._wake.set()

    async def _one(self, work: Round) -> float:
        try:
            return await work(bool(self._present))
        except Exception:
            log.exception("a round of following the registry failed; the next one comes")
            return self._seconds


def _answer(waiting: list[asyncio.Future[None]], error: Exception | None = None) -> None:
    for one in waiting:
        if one.done():  # who waited has left
            continue
        if error:
            one.set_exception(error)
        else:
            one.set_result(None)

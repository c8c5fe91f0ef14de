"""Work in a thread that nobody waits for when the service ends: what hangs there must not keep it from ending."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import NoReturn, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_background(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in a daemon thread of its own, and return what it returns or raise what it raises."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Callable[[], T]] = loop.create_future()

    def work() -> None:
        try:
            found = function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            tell(_raiser(error))
        else:
            tell(lambda: found)

    def tell(answer: Callable[[], T]) -> None:
        with suppress(RuntimeError):  # the loop has ended, and with it who waited
            loop.call_soon_threadsafe(lambda: None if done.done() else done.set_result(answer))

    Thread(target=work, name="gatecast-background", daemon=True).start()
    return (await done)()


def _raiser(error: Exception) -> Callable[[], NoReturn]:
    def answer() -> NoReturn:
        raise error

    return answer

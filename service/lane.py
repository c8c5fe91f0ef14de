"""The quick lane: usual pushes to streams, from the bytes on the wire to the bytes of the answer by plain calls.

It does what the door, the routes and uvicorn's messages do for any request, in a third of the time: the key is checked,
rows are read and queued, and once they are in the log, head and body of the answer are written at once. What is not as
usual is left to the app before anything was done; what goes wrong later is answered as the door would answer it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from functools import partial
from typing import NamedTuple, cast

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from forecasting.errors import GatecastError
from service.body import JSON, declared_length
from service.door import JSON_HEADER, Door, Visit
from service.guard import Guard
from service.headers import HEADERS
from service.hot import QUICK_BYTES, left
from service.problems import problem_response
from service.streams.asked import TEMPLATE, Question, Target, principal_of, stream_asked
from service.streams.hot import Desk, Streams
from service.streams.queue import Share

OK = 200
_STANDING = b"".join(b"%b: %b\r\n" % header for header in (JSON_HEADER, *HEADERS))
_REST = b"content-length: %d\r\nx-request-id: %b\r\n%b\r\n%b"
_CLOSE = b"connection: close\r\n"


class PushLane:
    """A `turnstile.Lane` for pushes to one stream."""

    def __init__(self, door: Door, guard: Guard, streams: Streams) -> None:
        """Stand beside the door; what it counts and logs, this does, too."""
        self._door, self._guard, self._streams = door, guard, streams
        self._most = min(QUICK_BYTES, streams.limits.max_body_bytes)
        self._default: object = None
        self._head = b""
        self._tasks: set[asyncio.Task[None]] = set()

    def waits_for(self, cycle: RequestResponseCycle) -> bool:
        """Tell whether a request is a small push in JSON."""
        scope = _scope_of(cycle)
        if scope["query_string"] or cycle.waiting_for_100_continue or stream_asked(scope) is None:
            return False
        try:
            return 0 < declared_length(scope["headers"], JSON) <= self._most
        except GatecastError:
            return False

    def take(self, cycle: RequestResponseCycle) -> bool:
        """Queue a push; False where there is something about it that the app should say."""
        scope, streams = _scope_of(cycle), self._streams
        target = stream_asked(scope)
        if target is None or streams.queue.full:
            return False
        visit = Visit(scope, cast("Send", cycle.send))
        try:
            self._guard.check(scope)
            desk, question = streams.read(target, principal_of(scope), bytes(cycle.body))
            if question.wishes[0].explain:
                return False  # rows are read from the log for that
            keeper = streams.store.keeper
        except Exception:  # noqa: BLE001 - the app finds the same, and says it
            return False
        tell = partial(self._answer, _Errand(cycle, scope, visit, target, desk, question))
        return streams.queue.call(keeper, desk.model.streamed, question.pushes, left(scope), tell)

    def _answer(self, errand: _Errand, found: Share | Exception) -> None:
        """Write what came of a push."""
        cycle, scope, visit, target, desk, question = errand
        try:
            content = self._streams.told(desk, question, target, found)
        except ClientDisconnect:
            self._door.note(scope, visit, TEMPLATE)
        except Exception as error:  # noqa: BLE001 - it becomes an answer
            self._spawn(errand, problem_response(error, visit.id)(scope, cast("Receive", cycle.receive), visit.send))
        else:
            if cycle.disconnected or cycle.flow.write_paused:  # a client that has not read what it was sent before
                self._spawn(errand, visit.answer(content))
            else:
                self._write(cycle, visit, content)
                self._door.note(scope, visit, TEMPLATE)

    def _write(self, cycle: RequestResponseCycle, visit: Visit, content: bytes) -> None:
        if cycle.default_headers is not self._default:  # another second, another date
            lines = b"".join(b"%b: %b\r\n" % header for header in cycle.default_headers)
            self._default, self._head = cycle.default_headers, STATUS_LINE[OK] + lines + _STANDING
        visit.status = OK
        cycle.response_started = cycle.response_complete = True
        close = b"" if cycle.keep_alive else _CLOSE
        cycle.transport.write(self._head + _REST % (len(content), visit.id.encode(), close, content))
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()
        cycle.on_response = _nothing

    def _spawn(self, errand: _Errand, answer: Awaitable[None]) -> None:
        """Answer with a task after all."""
        task = asyncio.get_running_loop().create_task(self._finish(errand, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish(self, errand: _Errand, answer: Awaitable[None]) -> None:
        await answer
        self._door.note(errand.scope, errand.visit, TEMPLATE)


class _Errand(NamedTuple):
    """A push on its way."""

    cycle: RequestResponseCycle
    scope: Scope
    visit: Visit
    target: Target
    desk: Desk
    question: Question


def _scope_of(cycle: RequestResponseCycle) -> Scope:
    return cast("Scope", cycle.scope)


def _nothing() -> None:
    """Stand where the connection stood: a request that was answered shall not keep it."""

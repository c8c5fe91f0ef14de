"""Requests that wait on the wire until their body is there: what then answers them is a plain call, not a task.

A task, its events and the messages of ASGI cost as much as a whole push to a stream does. Whatever is not taken by the
`Lane` goes to the app, as any request does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

App = Any
"""An ASGI app, in uvicorn's words."""


class Lane(Protocol):
    """What answers requests without a task."""

    def waits_for(self, cycle: RequestResponseCycle) -> bool:
        """Tell by its head whether a request may be one to take."""

    def take(self, cycle: RequestResponseCycle) -> bool:
        """Begin to answer a request that is there whole; False where the app is to do that, and nothing was done."""


class Turnstile:
    """Where the requests of one connection are sent on their way: `start` hands one to the app."""

    def __init__(self, lane: Lane | None, start: Callable[[RequestResponseCycle, App], None]) -> None:
        """Hold nothing yet; without a lane everything is handed on."""
        self._lane, self._start = lane, start
        self._held: tuple[RequestResponseCycle, App] | None = None

    def enter(self, cycle: RequestResponseCycle, app: App) -> None:
        """Let in a request whose turn it is; its body may be still to come."""
        if self._lane is None or not self._lane.waits_for(cycle):
            self._start(cycle, app)
        elif cycle.more_body:
            self._held = cycle, app
        elif not self._lane.take(cycle):
            self._start(cycle, app)

    def complete(self) -> None:
        """Go on with the request that was held: its body is there."""
        if self._held is not None and self._lane is not None:
            cycle, app = self._held
            self._held = None
            if not self._lane.take(cycle):
                self._start(cycle, app)

    def give_up(self) -> None:
        """Let the app say what is wrong with a request whose body does not come."""
        if self._held is not None:
            self._start(*self._held)
            self._held = None

    def forget(self) -> None:
        """Drop what is held: its client has left."""
        self._held = None

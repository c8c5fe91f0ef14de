"""Requests that wait on the wire until their body is there: what then answers them is a plain call, not a task.

A task, its events and the messages of ASGI cost as much as a whole push to a stream does. Whatever is not taken by the
`Lane` goes to the app, as any request does.
"""

from __future__ import annotations

from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

Begun = tuple[RequestResponseCycle, Any]
"""A request, and the ASGI app that would answer it."""


class Lane(Protocol):
    """What answers requests without a task."""

    def waits_for(self, cycle: RequestResponseCycle) -> bool:
        """Tell by its head whether a request may be one to take."""

    def take(self, cycle: RequestResponseCycle) -> bool:
        """Begin to answer a request that is there whole; False where the app is to do that, and nothing was done."""


class Turnstile:
    """Where the requests of one connection are sent on their way; what is returned is for the app to answer."""

    def __init__(self, lane: Lane | None) -> None:
        """Hold nothing yet; without a lane everything is for the app."""
        self._lane = lane
        self._held: Begun | None = None

    def enter(self, begun: Begun) -> Begun | None:
        """Let in a request whose turn it is; its body may be still to come."""
        cycle = begun[0]
        if self._lane is None or not self._lane.waits_for(cycle):
            return begun
        if not cycle.more_body:
            return None if self._lane.take(cycle) else begun
        self._held = begun
        return None

    def complete(self) -> Begun | None:
        """Go on with the request that is held: its body is there."""
        held = self.give_up()
        return None if held is None or (self._lane is not None and self._lane.take(held[0])) else held

    def give_up(self) -> Begun | None:
        """Hold nothing any longer: its body does not come, or its client has left."""
        held, self._held = self._held, None
        return held

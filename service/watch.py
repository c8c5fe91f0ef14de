"""One look a second at all connections of a server, instead of a timer for each request."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.server import ServerState

from service.settings import Settings


class Watch:
    """Looks at connections while there are any; `patience` is how long each may take."""

    def __init__(self, state: ServerState, loop: asyncio.AbstractEventLoop, patience: float) -> None:
        """Begin when there is a connection."""
        self._every = min(1.0, patience / 4)
        self.patience = patience - self._every  # what is late is seen at the next look, and is to be closed in time
        self._connections, self._loop = state.connections, loop
        self._next: asyncio.TimerHandle | None = None

    @classmethod
    def of(cls, state: ServerState, app_state: dict[str, Any], loop: asyncio.AbstractEventLoop) -> Watch:
        """Return the one of a server; it is kept where the connections of a server have everything in common."""
        found: Watch | None = getattr(state, "gatecast_watch", None)
        if found is None:
            found = cls(state, loop, app_state.get("receive_seconds", Settings.receive_seconds))
            state.gatecast_watch = found  # type: ignore[attr-defined] # no place of its own for this
        return found

    def begin(self) -> None:
        """Look from now on, while there are connections."""
        if self._next is None:
            self._next = self._loop.call_later(self._every, self._look)

    def _look(self) -> None:
        self._next = None
        if self._connections:
            self.begin()
        now = self._loop.time()
        for connection in list(self._connections):
            connection.look(now)  # type: ignore[union-attr] # all of them are of `wire`

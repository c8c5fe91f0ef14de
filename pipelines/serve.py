"""Start uvicorn on the service, by import strings: this package does not import it."""

from __future__ import annotations

import contextlib
import signal
import time
from types import FrameType

import uvicorn

from forecasting.keys import asks_for_keys, refuse_no_keys
from pipelines.processes import refuse_taken
from pipelines.settings import Settings

APP = "service.app:create_app"
WIRE = "service.wire:Wire"
BACKLOG = 2048

KEEP_ALIVE_SECONDS = 75
"""Longer than proxies and pools before us keep a connection: they close it, and no request is lost on its way."""

NOTICE_SECONDS = 1.0
"""After SIGTERM, how long `/readyz` says no while all else is answered: time for whoever sends requests to hear it."""

DRAIN_SECONDS = 20


def serve(settings: Settings, host: str, port: int) -> None:
    """Serve until a signal ends it; requests at hand are finished first.

    Raises:
        SettingsError: others can reach that host, and nobody has a key.
        OSError: nothing can listen at that address.
    """
    if asks_for_keys(settings.auth, host):
        refuse_no_keys(settings.keys_path, host)
    refuse_taken(host, port, "--host and --port")  # now: uvicorn would import everything first
    settings.export(GATECAST_HOST=host)
    config = uvicorn.Config(
        APP,
        factory=True,
        host=host,
        port=port,
        http=WIRE,
        ws="none",
        lifespan="on",
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        access_log=False,
        log_config=None,  # the service configures its logs
        proxy_headers=False,  # nothing depends on who the client is
        server_header=False,
    )
    with contextlib.suppress(KeyboardInterrupt):
        Server(config).run()


class Server(uvicorn.Server):
    """Uvicorn, but SIGTERM gives notice before the port is closed, and ends in an ordinary exit."""

    _leave_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note what a signal asks for; a second one is obeyed at once."""
        if sig != signal.SIGTERM:
            super().handle_exit(sig, frame)
        elif self.started and self._leave_at is None:
            self.lifespan.state["draining"] = True
            self._leave_at = time.monotonic() + NOTICE_SECONDS
        else:
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Leave when the notice is over."""
        if self._leave_at is not None and time.monotonic() >= self._leave_at:
            self.should_exit = True
        return await super().on_tick(counter)

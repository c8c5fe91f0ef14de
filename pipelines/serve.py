"""Start uvicorn on the service, by import string: this package does not import it."""

from __future__ import annotations

import socket

import uvicorn

from pipelines.settings import Settings

APP = "service.app:create_app"
DRAIN_SECONDS = 20


def serve(settings: Settings, host: str, port: int) -> None:
    """Serve until a signal ends it; requests at hand are finished first.

    Raises:
        OSError: nothing can listen at that address.
    """
    _refuse_taken(host, port)
    settings.export()
    uvicorn.run(APP, factory=True, host=host, port=port, timeout_graceful_shutdown=DRAIN_SECONDS, server_header=False)


def _refuse_taken(host: str, port: int) -> None:
    """Say it now and in our words: uvicorn would import everything first."""
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        cause = str(error.strerror).partition(" (")[0]
        message = f"cannot listen on {host}:{port} ({cause}); choose another with --host and --port"
        raise OSError(message) from error

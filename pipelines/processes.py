"""Servers as child processes: started, waited for, and ended however the block ends."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from forecasting.errors import GatecastError

PATIENCE_SECONDS = 60.0
PAUSE_SECONDS = 0.05
GRACE_SECONDS = 25.0


class NotStarted(GatecastError):
    """A server ended, or did not answer in time; its log says why."""


def free_port() -> int:
    """Return a port of the loopback interface that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def refuse_taken(host: str, port: int, options: str) -> None:
    """Say in our words that nothing can listen at an address; `options` choose another.

    Raises:
        OSError: nothing can.
    """
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        cause = str(error.strerror).partition(" (")[0]
        message = f"cannot listen on {host}:{port} ({cause}); choose another with {options}"
        raise OSError(message) from error


@contextmanager
def running(command: Sequence[str], log: Path, environ: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command beside the block, its output in a file; SIGTERM at the end, SIGKILL where that does not help.

    It is in a session of its own, so that Ctrl-C reaches the block, which then ends it.
    """
    with log.open("wb") as sink:
        process = subprocess.Popen(  # noqa: S603 - our own command
            command, stdout=sink, stderr=subprocess.STDOUT, env=dict(environ), start_new_session=True
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> float:
    """Wait until a URL of a child process answers 200, and return how many seconds that took.

    Raises:
        NotStarted: it ended or did not answer within a minute.
    """
    start = time.monotonic()
    while (waited := time.monotonic() - start) < PATIENCE_SECONDS:
        if process.poll() is not None:
            message = f"the server ended with code {process.returncode}; its log is {log}"
            raise NotStarted(message)
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own address
                if answer.status == 200:  # noqa: PLR2004 - OK
                    return waited
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(PAUSE_SECONDS)
    message = f"{url} did not answer within {PATIENCE_SECONDS:.0f} s; the log of its server is {log}"
    raise NotStarted(message)

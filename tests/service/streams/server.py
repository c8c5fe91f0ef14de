"""A service of streams in a process of its own, which listens once it is told to: to import takes it seconds."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.app import create_app
from service.settings import Settings
from tests.service.live import Live, Turned, listening


@contextmanager
def waiting(folder: Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Start a process that serves the registry in a folder as soon as `go` says; it is killed at the end."""
    command = [sys.executable, "-m", "tests.service.streams.server", str(folder)]
    environ = {**os.environ, "GATECAST_DEVICE": "cpu", "GATECAST_AUTH": "off", "OMP_NUM_THREADS": "1", **variables}
    root, pipe = Path(__file__).parents[3], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=root, env=environ) as process:
        try:
            yield process
        finally:
            process.kill()


def go(process: subprocess.Popen[str]) -> Live:
    """Let it serve, and wait until it does."""
    assert process.stdin
    assert process.stdout
    process.stdin.write("go\n")
    process.stdin.flush()
    return Live(int(process.stdout.readline()), process.pid)


def main() -> None:
    sys.stdin.readline()
    with listening(create_app(Settings.from_env(), Turned(Path(sys.argv[1])))) as live:
        print(live.port, flush=True)  # noqa: T201 - who started this reads it
        threading.Event().wait()


if __name__ == "__main__":
    main()

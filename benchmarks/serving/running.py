"""A server as a process on the first core: its address, its processor time and its memory.

A server that is not asked is stopped (SIGSTOP), so that what it does when idle is not paid by the one that is.
"""

from __future__ import annotations

import os
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.resident import forget_peak, held_mib, peak_mib
from benchmarks.serving.contenders import Contender
from pipelines.processes import NotStarted, free_port, running, wait_for

SERVER_CORE, CLIENT_CORE = 0, 1
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Server:
    """A server that runs. `started` are the seconds it took until it was ready."""

    contender: Contender
    port: int
    root: psutil.Process
    log: Path
    started: float

    @property
    def url(self) -> str:
        """Where it is asked for a forecast."""
        return f"http://127.0.0.1:{self.port}{self.contender.path}"

    def tree(self) -> list[psutil.Process]:
        """Return the process and all below it."""
        return [self.root, *self.root.children(recursive=True)]

    def processor_seconds(self) -> float:
        """Return what all of them have used so far."""
        times = [one.cpu_times() for one in self.tree()]
        return float(sum(one.user + one.system for one in times))

    def held_mib(self) -> float:
        """Return the resident memory of all of them."""
        return sum(held_mib(one.pid) for one in self.tree())

    def peak_mib(self) -> float:
        """Return the most they held since `forget_peak`, each at its own time."""
        return sum(peak_mib(one.pid) for one in self.tree())

    def forget_peak(self) -> None:
        """Let the peak start again."""
        for one in self.tree():
            forget_peak(one.pid)

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Let it run for the time of the block only."""
        self.resume()
        try:
            yield
        finally:
            for one in self.tree():
                one.suspend()

    def resume(self) -> None:
        """Let it run again."""
        for one in self.tree():
            one.resume()

    def ask(self, body: bytes | None = None) -> bytes:
        """Return its answer to a request, by default to the one that is measured; anything but a 200 raises."""
        content = self.contender.body if body is None else body
        request = urllib.request.Request(self.url, content, {"Content-Type": "application/json"})  # noqa: S310 - our own
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own address
            found: bytes = answer.read()
        return found


@contextmanager
def serving(contender: Contender, folder: Path) -> Iterator[Server]:
    """Start a server on the first core, wait until it is ready, and end it with the block, and all below it."""
    folder.mkdir(parents=True, exist_ok=True)
    port, log = free_port(), folder / "log"
    command = ["taskset", "--cpu-list", str(SERVER_CORE), *contender.arguments(folder, port)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), **contender.environ, **ONE_THREAD}
    with running(command, log, environ) as process:
        try:
            seconds = wait_for(f"http://127.0.0.1:{port}{contender.ready}", process, log)
        except NotStarted:
            print(log.read_text(encoding="utf-8", errors="replace")[-3000:], file=sys.stderr)
            raise
        server = Server(contender, port, psutil.Process(process.pid), log, seconds)
        below = server.tree()
        try:
            yield server
        finally:
            server.resume()
            process.terminate()
            _end(below[1:])


def _end(processes: list[psutil.Process]) -> None:
    for one in psutil.wait_procs(processes, timeout=10)[1]:
        with suppress(psutil.NoSuchProcess):
            one.kill()


def stay_on_client_core() -> None:
    """Leave the first core to the servers; what this process starts from now on inherits it."""
    os.sched_setaffinity(0, {CLIENT_CORE})


def go_before_others() -> None:
    """Have this process, and what it starts from now on, scheduled before all else that runs here.

    Beside neighbours that compute, whoever waited for a disk or a socket would else wait for his turn, milliseconds.

    Raises:
        PermissionError: that is not allowed.
    """
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


@contextmanager
def on_server_core() -> Iterator[None]:
    """Do the block on the core of the servers, which are to be idle then."""
    os.sched_setaffinity(0, {SERVER_CORE})
    try:
        yield
    finally:
        stay_on_client_core()

"""One supervisor over the parts of a system: starts them, passes on what they say, starts again what ends, ends all."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from pipelines.tether import NOW

SHORTEST_SECONDS, LONGEST_SECONDS = 1.0, 60.0
SETTLED_SECONDS = 60.0
"""A part that lived as long as this is well: when it ends, it is started again as soon as the first time."""

FIRST_SECONDS = 60.0
"""How long the parts behind wait for one that is to answer before they are started."""

LOOK_SECONDS = 0.2
LONGEST_LINE = 1 << 16
ASK = b"."
OURSELVES = "gatecast"

Say = Callable[[str, str], None]
"""Prints a line that the part of that name has said."""


@dataclass(frozen=True)
class Part:
    """A command that is to run as long as the system does.

    `address` is where it answers, if it does. Asked to end, it has `grace_seconds` for that.
    """

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    grace_seconds: float
    address: tuple[str, int] | None = None


def next_pause(before: float | None, lived_seconds: float) -> float:
    """Return the seconds until a part that lived so long is started again; `before` is what it was before."""
    if before is None or lived_seconds >= SETTLED_SECONDS:
        return SHORTEST_SECONDS
    return min(before * 2, LONGEST_SECONDS)


class Supervisor:
    """Runs parts until SIGINT or SIGTERM, and then ends them, the last one first.

    Everything happens in one thread. Each part hangs on a tether: none outlives this process, however that ends.
    """

    def __init__(self, parts: Sequence[Part], say: Say, on_ready: Callable[[], None] = lambda: None) -> None:
        """Take the parts in the order of their start; `on_ready` is called once all have been started and answer."""
        self._outputs = selectors.DefaultSelector()
        self._children = [_Child(part, self._outputs, say) for part in parts]
        self._say, self._on_ready = say, on_ready
        self._ended_by: signal.Signals | None = None

    def run(self) -> signal.Signals:
        """Run the parts until a signal; return which it was. A second one kills what has not ended yet."""
        with self._stoppable():
            for child in self._children:
                self._start_first(child)
            if self._ended_by is None:
                self._on_ready()
            while self._ended_by is None:
                self._look()
        return self._ended_by or signal.SIGTERM

    @contextmanager
    def _stoppable(self) -> Iterator[None]:
        """Let a signal ask for the end of the block; however that ends, the parts are ended behind it."""

        def on_signal(number: int, _: object) -> None:
            for child in self._children if self._ended_by else ():
                child.tell(NOW)
            self._ended_by = self._ended_by or signal.Signals(number)

        before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            self._ended_by = self._ended_by or signal.SIGTERM
            for child in reversed(self._children):
                self._end(child)
            self._outputs.close()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _start_first(self, child: _Child) -> None:
        """Start a part for the first time, and wait for its answer, though not for ever."""
        if self._ended_by is None:
            child.start()
        deadline = time.monotonic() + FIRST_SECONDS
        while self._ended_by is None and not child.answers and time.monotonic() < deadline:
            self._look()

    def _look(self) -> None:
        """Pass on what is said; start again what has ended, when it is time."""
        self._pass_on()
        for child in self._children:
            if child.has_ended():
                self._say(OURSELVES, child.rest())
            child.start_if_due()

    def _end(self, child: _Child) -> None:
        """Ask a part to end, and wait until it has; what the parts say meanwhile is passed on."""
        if child.process is not None:
            self._say(OURSELVES, f"ending {child.part.name}")
            child.tell(ASK)
        while child.process is not None:
            self._pass_on()
            if child.has_ended():
                child.clear()

    def _pass_on(self) -> None:
        """Pass on the lines that have come, after a moment where none has."""
        if not self._outputs.get_map():
            time.sleep(LOOK_SECONDS)
        for key, _ in self._outputs.select(LOOK_SECONDS):
            key.data.read()


@dataclass
class _Child:
    """A part and its process, None while it waits for its next start; times are monotonic seconds."""

    part: Part
    outputs: selectors.BaseSelector
    say: Say
    process: subprocess.Popen[bytes] | None = None
    _started: float = 0.0
    _due: float = float("inf")
    _pause: float | None = None
    _unfinished: bytes = b""
    _answered: bool = field(default=False)

    @property
    def answers(self) -> bool:
        """Whether it can be reached, or does not mean to be."""
        if self.process and self.part.address and not self._answered:
            with suppress(OSError):
                socket.create_connection(self.part.address, LOOK_SECONDS).close()
                self._answered = True
        return self._answered or not self.part.address

    def start(self) -> None:
        """Start it, in a session of its own: Ctrl-C reaches the supervisor alone."""
        leash = [sys.executable, "-m", "pipelines.tether", str(self.part.grace_seconds)]
        self.process = subprocess.Popen(  # noqa: S603 - our own command
            [*leash, *self.part.command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            env=dict(self.part.environ),
            start_new_session=True,
        )
        self._started, self._due = time.monotonic(), float("inf")
        assert self.process.stdout  # noqa: S101 - piped above
        os.set_blocking(self.process.stdout.fileno(), False)
        self.outputs.register(self.process.stdout, selectors.EVENT_READ, self)

    def start_if_due(self) -> None:
        """Start it again if its pause is over."""
        if time.monotonic() >= self._due:
            self.start()

    def tell(self, what: bytes) -> None:
        """Tell the tether what to do."""
        if self.process and self.process.stdin:
            with suppress(OSError):
                self.process.stdin.write(what)

    def has_ended(self) -> bool:
        """Tell whether there is a process that has ended."""
        return self.process is not None and self.process.poll() is not None

    def rest(self) -> str:
        """Clear up behind the process that has ended, set the time of the next start, and return what to say of it."""
        lived, code = time.monotonic() - self._started, self.process.returncode if self.process else None
        self.clear()
        self._pause = next_pause(self._pause, lived)
        self._due = time.monotonic() + self._pause
        return f"{self.part.name} ended with code {code} after {lived:.0f} s; started again in {self._pause:.0f} s"

    def clear(self) -> None:
        """Pass on what the process has said last, and let go of it."""
        if self.process is None:
            return
        while self.read():
            pass
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()
        self.process, self._answered = None, False

    def read(self) -> bool:
        """Pass on lines that have come; return False where none can follow now."""
        if not (self.process and self.process.stdout) or self.process.stdout not in self._registered():
            return False
        chunk = self.process.stdout.read(LONGEST_LINE)
        if chunk is None:  # nothing for now
            return False
        *lines, self._unfinished = (self._unfinished + chunk).split(b"\n")
        if not chunk:
            self.outputs.unregister(self.process.stdout)
        if self._unfinished and (not chunk or len(self._unfinished) >= LONGEST_LINE):
            lines, self._unfinished = [*lines, self._unfinished], b""
        for line in lines:
            self.say(self.part.name, line.decode(errors="replace").rstrip("\r"))
        return bool(chunk)

    def _registered(self) -> list[object]:
        return [key.fileobj for key in self.outputs.get_map().values()]

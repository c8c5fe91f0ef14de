"""A leash between two processes: a command lives no longer than whoever holds the other end of this one's input.

`python -m pipelines.tether GRACE_SECONDS COMMAND...` runs a command in a session of its own. Once standard input ends,
because its holder let go or died of whatever, or a byte comes, or the command has ended by itself, all that it has
started is asked to end (SIGTERM), and what is left when the grace is over is killed; a byte `!` kills at once. The exit
code is that of the command, 128 + N where signal N ended it.

It is a process of its own, since nobody who was killed can clean up behind himself, and Linux tells only the direct
children of one who died. It imports as little as can be.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

LOOK_SECONDS = 0.1
KILLED_SECONDS = 5.0
"""How long one that was killed may take to be gone: it may hang on a disk."""

NOW = b"!"
SUBREAPER = 36
"""Linux, prctl(2): what our descendants leave behind becomes our child, in whatever session it is."""


def hold(grace_seconds: float, command: Sequence[str]) -> int:
    """Run a command until it ends or standard input does; return its exit code when all that it started is gone."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _let_go)
    _adopt()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603 - our own command
    deadline, asked = float("inf"), set[int]()
    while left := _alive(process):
        said = _heard()
        if said == NOW or time.monotonic() >= deadline:
            break
        if said is not None or process.returncode is not None:
            deadline = min(deadline, time.monotonic() + grace_seconds)
        if deadline < float("inf"):
            _signal(process, [pid for pid in left if pid not in asked], signal.SIGTERM)
            asked.update(left)
    _kill(process)
    code = process.wait()
    return code if code >= 0 else 128 - code


def _let_go(_: int, __: object) -> None:
    """Take a signal to this process as the end of its input."""
    with suppress(OSError), Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)


def _adopt() -> None:
    """Become the parent of orphans, where that can be."""
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - see above

        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)


def _heard() -> bytes | None:
    """Return what came on standard input, b"" where it has ended, None where nothing came for a moment."""
    ready, _, _ = select.select([0], [], [], LOOK_SECONDS)
    if not ready:
        return None
    if not (said := os.read(0, 1)):
        time.sleep(LOOK_SECONDS)  # an input that has ended is always ready
    return said


def _alive(process: subprocess.Popen[bytes]) -> list[int]:
    """Return our children that live, the command among them; orphans that have ended are let go."""
    mine = [] if process.poll() is not None else [process.pid]
    return mine + [pid for pid in _orphans(process.pid) if not _reaped(pid)]


def _orphans(command: int) -> list[int]:
    with suppress(OSError):
        listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
        return [int(pid) for pid in listed.split() if int(pid) != command]
    return []


def _reaped(pid: int) -> bool:
    with suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    return True


def _signal(process: subprocess.Popen[bytes], pids: Iterable[int], number: int) -> None:
    """Signal processes, the command with its whole group."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            (os.killpg if pid == process.pid else os.kill)(pid, number)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left: the whole group, and orphans as they become ours."""
    deadline = time.monotonic() + KILLED_SECONDS
    _signal(process, [process.pid], signal.SIGKILL)
    while (left := _alive(process)) and time.monotonic() < deadline:
        _signal(process, left, signal.SIGKILL)
        time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    sys.exit(hold(float(sys.argv[1]), sys.argv[2:]))

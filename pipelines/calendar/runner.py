"""A retraining as a process of its own, with a limit of time and of memory; what its exit code means."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from pipelines import exits
from pipelines.calendar.due import Outcome

LOOK_SECONDS = 0.5
GRACE_SECONDS = 60.0
OUTCOMES = {
    exits.DONE: Outcome.DONE,
    exits.BAD_DATA: Outcome.REJECTED,
    exits.NO_FILE: Outcome.REJECTED,
    exits.USAGE: Outcome.WRONG,
    exits.HELD: Outcome.HELD,
}
"""What a code means; any other may pass: a registry that was down, a full disk, a run that was killed."""


@dataclass(frozen=True)
class Limits:
    """How long a run may take, and how much memory, with all that it starts."""

    seconds: float
    mebibytes: int


def run(
    project: Path, limits: Limits, environ: Mapping[str, str], stopping: Callable[[], bool], reason: str = ""
) -> tuple[Outcome, str]:
    """Retrain a project, and return what came of it, in a word and in words; `stopping` asks it to end.

    It hears SIGTERM as a person's Ctrl-C: it ends in order, and is killed where that takes longer than a minute.
    """
    command = [sys.executable, "-m", "pipelines", "retrain", str(project), "--reason", reason]
    process = subprocess.Popen(command, env=dict(environ), start_new_session=True)  # noqa: S603 - our own command
    began, why = time.monotonic(), ""
    while process.poll() is None and not why:
        time.sleep(LOOK_SECONDS)
        why = _reason_to_end(process.pid, began, limits, stopping)
    if why:
        _end(process)
        return Outcome.FAILED, why
    code = process.returncode
    return OUTCOMES.get(code, Outcome.FAILED), f"exit code {code}"


def _reason_to_end(pid: int, began: float, limits: Limits, stopping: Callable[[], bool]) -> str:
    if stopping():
        return "ended with the scheduler"
    if time.monotonic() - began > limits.seconds:
        return f"took longer than {limits.seconds / 60:g} minutes (schedule.minutes)"
    held = _mebibytes(pid)
    if held > limits.mebibytes:
        return f"took {held:,.0f} MiB of memory; schedule.memory_mb allows {limits.mebibytes:,}"
    return ""


def _mebibytes(pid: int) -> float:
    try:
        root = psutil.Process(pid)
        return float(sum(one.memory_info().rss for one in (root, *root.children(recursive=True))) / 2**20)
    except psutil.NoSuchProcess:  # it has just ended
        return 0.0


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

"""Resident memory of a process, as Linux tells it. Standard library only: peers measure themselves with this too.

`process` is the number of another one; by default it is this one.
"""

from __future__ import annotations

from pathlib import Path

PROCESSES = Path("/proc")
Process = int | str


def held_mib(process: Process = "self") -> float:
    """Return what is held now."""
    return _status(process, "VmRSS")


def peak_mib(process: Process = "self") -> float:
    """Return the most that was held, since the start of the process or `forget_peak`.

    Not from `getrusage`, which starts at what the parent held when it started this process.
    """
    return _status(process, "VmHWM")


def forget_peak(process: Process = "self") -> None:
    """Let the peak start again at what is held now."""
    (PROCESSES / str(process) / "clear_refs").write_text("5", encoding="ascii")


def _status(process: Process, name: str) -> float:
    text = (PROCESSES / str(process) / "status").read_text(encoding="ascii")
    line = next(line for line in text.splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024

"""Resident memory of this process, as Linux tells it. Standard library only: peers measure themselves with this too."""

from __future__ import annotations

from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def held_mib() -> float:
    """Return what is held now."""
    return _status("VmRSS")


def peak_mib() -> float:
    """Return the most that was held, since the start of the process or `forget_peak`.

    Not from `getrusage`, which starts at what the parent held when it started this process.
    """
    return _status("VmHWM")


def forget_peak() -> None:
    """Let the peak start again at what is held now."""
    CLEAR.write_text("5", encoding="ascii")


def _status(name: str) -> float:
    line = next(line for line in STATUS.read_text(encoding="ascii").splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024

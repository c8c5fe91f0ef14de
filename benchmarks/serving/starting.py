"""From the start of the process to readiness, with the bundle fetched for the first time and kept from before."""

from __future__ import annotations

import statistics
from pathlib import Path

from benchmarks.publishing import Table
from benchmarks.serving.contenders import ours
from benchmarks.serving.ours import make_home
from benchmarks.serving.running import serving

AGAIN = 3


def measure(folder: Path) -> list[Table]:
    """Start the service a few times and return the table."""
    home = folder / "home"
    make_home(home)
    first = _started(home, folder / "first")
    again = [_started(home, folder / f"again-{number}") for number in range(AGAIN)]
    rows = [
        ("the first of a home", f"{first:.1f}"),
        (f"later ones, median of {AGAIN}", f"{statistics.median(again):.1f}"),
    ]
    note = "Seconds until /readyz says 200, on one core; imports are most of it."
    return [Table("Start", ("start", "ready after, s"), rows, note)]


def _started(home: Path, folder: Path) -> float:
    with serving(ours(home), folder) as server:
        return server.started

"""The command line; see the package."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.publishing import Table, publish
from benchmarks.serving.contenders import versions_of
from benchmarks.serving.load import need_wrk
from benchmarks.serving.running import go_before_others, stay_on_client_core
from benchmarks.streams import bulk, life, memory, speed

PACKAGES = ("gatecast", "uvicorn", "uvloop", "httptools", "numba", "msgspec", "pyarrow", "SQLAlchemy")
WHAT = (
    "The service on one core, what pushes to it on another; {ours}. A row has 7 columns, all of them targets; horizon "
    "1, one member, hourly calendar in UTC, intervals of 90 %. Every row is new to its stream, an hour after the one "
    "before."
)
ABOUT = {
    "speed": "The model is an LSTM of 2 x 64; a push is one row, 4 decimals, in JSON over a kept connection.",
    "bulk": "The model is an LSTM of 1 x 64; a push is a row to each of many streams, 32-bit numbers in Arrow. "
    "Two connections; GATECAST_MAX_QUEUE is 10,000, so that a request may wait behind another.",
    "life": "",
    "memory": "",
}


def main() -> None:
    """Measure what the command line asks for, each part for itself."""
    asked = _asked()
    need_wrk()
    stay_on_client_core()
    if asked.ahead:
        go_before_others()
    ours = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    for part in asked.parts or PARTS:
        what = f"{WHAT.format(ours=ours)} {ABOUT[part]}".strip()
        if part == "speed" and asked.peers_python:
            what += f" Beside it {versions_of(asked.peers_python)}; see `benchmarks/servers`."
        if asked.ahead:
            what += " All of it is scheduled before what else ran on the machine (SCHED_RR)."
        with TemporaryDirectory(prefix="streams-") as folder:
            publish(f"streams-{part}", what, PARTS[part](Path(folder), asked), keep=not asked.draft)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streams", description="Streams under load.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--peers-python", help="interpreter that has mlflow and mlserver; without, no peer is measured")
    parser.add_argument("--rounds", type=int, default=5, help="of speed and bulk (default 5)")
    parser.add_argument("--seconds", type=int, default=2, help="of each load of a round (default 2)")
    parser.add_argument("--long", action="store_true", help="let streams live for 100,000 rows, too (many minutes)")
    parser.add_argument("--ahead", action="store_true", help="go before all else on this machine, which wants root")
    parser.add_argument("--draft", action="store_true", help="print the figures and write no file")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if asked.rounds < 2:
        parser.error("a median wants 2 rounds at least")
    return asked


PARTS: dict[str, Callable[[Path, argparse.Namespace], list[Table]]] = {
    "speed": lambda folder, asked: speed.measure(folder, asked.peers_python, asked.rounds, asked.seconds),
    "bulk": lambda folder, asked: bulk.measure(folder, asked.rounds, asked.seconds),
    "life": lambda folder, asked: life.measure(folder, life.AGES + (life.LONG,) * asked.long, 2 * asked.rounds),
    "memory": lambda folder, _: memory.measure(folder),
}


if __name__ == "__main__":
    main()

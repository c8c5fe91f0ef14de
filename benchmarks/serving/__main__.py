"""The command line; see the package."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.publishing import Table, publish
from benchmarks.serving import bodies, overload, slow, speed, starting, swap
from benchmarks.serving.contenders import MLFLOW, MLSERVER, MLSERVER_BATCHED, peers, versions_of
from benchmarks.serving.load import need_wrk
from benchmarks.serving.running import stay_on_client_core

PACKAGES = ("gatecast", "uvicorn", "uvloop", "httptools", "onnxruntime", "mlflow")
USUAL = (MLFLOW, MLSERVER, MLSERVER_BATCHED)
WHAT = (
    "The service on one core, what asks it on another; {ours}. A window of 96 rows x 7 columns, 4 decimals, in JSON "
    "over a kept connection; the model is an LSTM of 2 x 64, one member, 7 targets, horizon 1, hourly calendar in UTC, "
    "intervals of 90 %, from a registry in SQLite."
)
PEERS = (
    " The peers ({theirs}) serve an LSTM of the same size by torch on one thread, without linear road, calendar or "
    "intervals; see `benchmarks/servers`. A server that is not asked is stopped."
)


def main() -> None:
    """Measure what the command line asks for, each part for itself."""
    asked = _asked()
    need_wrk()
    stay_on_client_core()
    ours = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    for part in asked.parts or PARTS:
        what = WHAT.format(ours=ours)
        if part == "speed" and asked.peers_python:
            what += PEERS.format(theirs=versions_of(asked.peers_python))
        with TemporaryDirectory(prefix="serving-") as folder:
            publish(f"serving-{part}", what, PARTS[part](Path(folder), asked), keep=not asked.draft)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description="The service under load.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--peers-python", help="interpreter that has mlflow and mlserver; without, no peer is measured")
    parser.add_argument("--only", action="append", choices=list(peers("")), help="one of the peers; may be repeated")
    parser.add_argument("--rounds", type=int, default=5, help="of the speed, moves of the alias, floods (default 5)")
    parser.add_argument("--seconds", type=int, default=2, help="of each load of a round (default 2)")
    parser.add_argument("--times", type=int, default=3, help="what overload offers, in capacities (default 3)")
    parser.add_argument("--connections", type=int, default=1024, help="of the overload (default 1024)")
    parser.add_argument("--draft", action="store_true", help="print the figures and write no file")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if asked.rounds < 2:
        parser.error("a median wants 2 rounds at least")
    return asked


def _speed(folder: Path, asked: argparse.Namespace) -> list[Table]:
    return speed.measure(folder, asked.peers_python, asked.only or USUAL, asked.rounds, asked.seconds)


def _overload(folder: Path, asked: argparse.Namespace) -> list[Table]:
    return overload.measure(folder, asked.rounds, asked.times, asked.connections)


PARTS: dict[str, Callable[[Path, argparse.Namespace], list[Table]]] = {
    "speed": _speed,
    "swap": lambda folder, asked: swap.measure(folder, asked.rounds),
    "overload": _overload,
    "bodies": lambda folder, _: bodies.measure(folder),
    "slow": lambda folder, _: slow.measure(folder),
    "start": lambda folder, _: starting.measure(folder),
}


if __name__ == "__main__":
    main()

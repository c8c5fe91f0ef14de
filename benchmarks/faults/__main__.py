"""The command line; see the package."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.faults.asking import Outcome, ask
from benchmarks.faults.cases import MLFLOW, OURS, Dialect, Make, cases
from benchmarks.faults.page import Row, page
from benchmarks.serving.contenders import MLFLOW as PEER
from benchmarks.serving.contenders import ours, peers, versions_of
from benchmarks.serving.ours import make_home
from benchmarks.serving.running import Server, serving, stay_on_client_core

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
PACKAGES = ("gatecast", "uvicorn", "torch")
THEIRS = ("mlflow", "fastapi", "uvicorn", "torch")


def main() -> None:
    """Send every request to both and write the page."""
    asked = _asked()
    theirs = versions_of(asked.peers_python, THEIRS)
    ours_are = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    stay_on_client_core()
    with TemporaryDirectory(prefix="faults-") as folder:
        rows = list(_rows(Path(folder), asked))
    text = page(rows, f"The service: {ours_are}. The peer: {theirs}")
    if asked.draft:
        print(text)
        return
    PAGE.write_text(text, encoding="utf-8")
    print(f"written to docs/{PAGE.name}")


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description="Wrong requests.")
    parser.add_argument("--peers-python", required=True, help="interpreter that has mlflow and mlserver")
    parser.add_argument("--huge", action="store_true", help="send bodies of 200 MB too; minutes, and gigabytes, each")
    parser.add_argument("--draft", action="store_true", help="print the page instead of writing it")
    return parser.parse_args()


def _rows(folder: Path, asked: argparse.Namespace) -> Iterator[Row]:
    """Ask both, a request at a time; a good one behind each wrong one, which ours must answer."""
    home = folder / "home"
    make_home(home)
    with ExitStack() as stack:
        server = stack.enter_context(serving(ours(home), folder / "ours"))
        peer = stack.enter_context(serving(peers(asked.peers_python)[PEER], folder / "peer"))
        for one in (server, peer):
            one.ask()
        for case in cases():
            if case.huge and not asked.huge:
                continue
            row = Row(case, _outcome(server, case.make, OURS), _outcome(peer, case.make, MLFLOW))
            server.ask()
            print(f"{case.group} {case.name}: {row.ours.status}, peer {row.theirs.status}", flush=True)
            yield row


def _outcome(server: Server, make: Make, dialect: Dialect) -> Outcome:
    return ask(server, make(dialect))


if __name__ == "__main__":
    main()

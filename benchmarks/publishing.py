"""Result files: benchmarks/results/THEME_HARDWARE_DATE.md, with what is needed to read the figures later."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import torch

FOLDER = Path(__file__).parent / "results"
PACKAGES = ("torch", "pytorch-lightning", "numpy", "pandas")


class Table(NamedTuple):
    """Figures with a title, a head and a note on how to read them."""

    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str = ""


def publish(theme: str, what: str, tables: Sequence[Table], *, keep: bool = True) -> None:
    """Print the tables and, unless they are a draft, write them to the result file of today."""
    text = "\n\n".join([f"# {theme}", what, circumstances(), *(markdown(table) for table in tables)]) + "\n"
    if not keep:
        print(text)
        return
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{theme}_{hardware()}_{datetime.now(UTC):%Y-%m-%d}.md"
    path.write_text(text, encoding="utf-8")
    print(text)
    print(f"written to benchmarks/results/{path.name}")


def hardware() -> str:
    """Name the machine by its kind, for a file name."""
    return f"{platform.machine()}-{os.cpu_count()}-cores"


def circumstances() -> str:
    """Say when and on what this was measured."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    load = " ".join(f"{one:.2f}" for one in os.getloadavg())
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {_processor()}, {os.cpu_count()} cores; torch on "
        f"{torch.get_num_threads()} thread(s); load average at the end {load}\n"
        f"Python {platform.python_version()}, {versions}"
    )


def _processor() -> str:
    """Return the name of the processor, where Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def markdown(table: Table) -> str:
    """Write a table below its title."""
    rule = ("---",) * len(table.head)
    lines = [f"| {' | '.join(cells)} |" for cells in (table.head, rule, *table.rows)]
    note = [] if not table.note else ["", table.note]
    return "\n".join([f"## {table.title}", "", *lines, *note])

"""The laboratory as a command: run, shown, recorded in MLflow, and written as a page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from forecasting.lab.claims import factors, outcome, verdicts
from forecasting.lab.page import page_of
from forecasting.lab.pictures import adding_figure, flow_figure, growth_figure
from forecasting.lab.plan import FULL, QUICK
from forecasting.lab.results import Results
from forecasting.lab.running import run
from forecasting.registry import Registry

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXPERIMENT = "memory-lab"
COLOURS = {"confirmed": "green", "half right": "yellow", "refuted": "red"}


def run_lab(registry: Registry, console: Console, page: Path | None = None, *, quick: bool = False) -> Results:
    """Run it, show what it found, and record it in the experiment `memory-lab`; write the page if one is asked for.

    Raises:
        RegistryError: MLflow cannot be reached; the results are shown before.
        OSError: the page cannot be written.
    """
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.fields[note]}"))
    with Progress("laboratory", *columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None, note="gradients")

        def told(done: int, most: int, note: str) -> None:
            progress.update(task, completed=done, total=most, note=note)
            if progress.disable:
                console.print(f"laboratory {done}/{most}: {note}", highlight=False)

        found = run(QUICK if quick else FULL, told, quick=quick)
    _show(found, console)
    if page is not None:
        write_page(found, page)
        console.print(f"written: {page}", highlight=False, soft_wrap=True)
    _record(registry, found)
    return found


def write_page(results: Results, page: Path) -> None:
    """Write the page, its pictures into the folder `pictures` beside it, and the results it is made from."""
    folder = page.parent / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in _figures(results):
        figure.savefig(folder / f"memory-{name}.png", dpi=110)
    page.write_text(page_of(results), encoding="utf-8")
    page.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1))


def _figures(results: Results) -> Iterator[tuple[str, Figure]]:
    yield "flow", flow_figure(results)
    yield "adding", adding_figure(results)
    yield "growth", growth_figure(results)


def _show(results: Results, console: Console) -> None:
    flows = Table("cell, keep gates", "gradient left a step", title="before training")
    for flow in results.flows:
        flows.add_row(flow.variant.name, factors(flow))
    added = Table("cell, keep gates", "T", "solved (errors; 0.1667 remembers nothing)", title="the adding problem")
    for one in results.added:
        added.add_row(one.variant.name, str(one.length), outcome(one))
    claims = Table("claim", "verdict", "by number", title="what was claimed", show_lines=True)
    for one_claim in verdicts(results):
        colour = COLOURS.get(one_claim.verdict, "dim")
        claims.add_row(one_claim.claim, f"[{colour}]{one_claim.verdict}[/]", one_claim.evidence)
    for table in (flows, added, claims):
        console.print(table)
    console.print(f"{results.seconds:,.0f} s on {results.cores} cores", highlight=False)


def _record(registry: Registry, results: Results) -> None:
    with registry.run(EXPERIMENT, name="quick" if results.quick else "full") as recorded:
        recorded.log_json("results.json", results)
        recorded.log_text("page.md", page_of(results))
        for flow in results.flows:
            key = _key(flow.variant.name)
            recorded.log_metrics({f"factor.{key}": sum(flow.factors) / len(flow.factors)})
        for one in results.added:
            worst = max(lesson.error for lesson in one.lessons)
            recorded.log_metrics({f"adding.{one.length}.{_key(one.variant.name)}": worst})
        for name, figure in _figures(results):
            recorded.log_figure(f"pictures/{name}.png", figure)


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")

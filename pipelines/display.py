"""Tables for people: the data report, the scorecard, the models, a forecast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from forecasting.conformal import JUDGED
from forecasting.describing import describe_memory, describe_streaming
from forecasting.registry import ModelVersion
from forecasting.report import DataReport
from forecasting.scores import FullScores, Scorecard
from pipelines.carried import Carried
from pipelines.doctor import Check

if TYPE_CHECKING:
    from pipelines.remembered import Remembered

COLOURS = {"refused": "red", "repaired": "yellow", "noted": "dim"}
SCORES = ("mse_z", "mae_z", "mae", "rmse", "mase", "mql", "coverage", "width")
MOST_ROWS = 24
MOST_DECIMALS = 1_000
NOTES = (
    "  squared errors are of the point (mean), absolute ones of the median, mql of the deciles; coverage and width are"
    " of the 90 % interval; z and mql are in training standard deviations"
)


def show_report(report: DataReport, console: Console) -> None:
    """Print what was found in the data, and what is left of it."""
    console.print(
        f"[bold]Data[/] {escape(report.source)}: {report.rows:,} rows, sha256 {report.digest[:12]}", highlight=False
    )
    for finding in report.findings:
        console.print(f"  [{COLOURS[finding.action]}]{finding.action:9}[/]", end="")
        console.print(finding.sentence, markup=False, highlight=False)
    for one in report.series[:MOST_ROWS]:
        console.print(
            f"  series {one.id}: {one.rows:,} rows from {one.start} to {one.end}", markup=False, highlight=False
        )
    if len(report.series) > MOST_ROWS:
        console.print(f"  and {len(report.series) - MOST_ROWS:,} more series")


def show_trust(trust: np.ndarray, console: Console) -> None:
    """Print how far the corrections of the network are believed; none means that the model is its linear road."""
    believed = f"{np.count_nonzero(trust)} of its {trust.size} outputs, {trust.mean():.0%} on average"
    console.print(f"the network corrects the linear road in {believed}", highlight=False)


def show_carried(found: Carried, freq: str, console: Console) -> None:
    """Print how far back the model looks, and whether it may be carried from row to row, or what is done instead."""
    streaming, memory = found
    if memory is not None:
        console.print(f"memory: {describe_memory(memory, streaming, freq)}", highlight=False)
    console.print(
        f"streaming: {describe_streaming(streaming)}", style="" if streaming.safe else "yellow", highlight=False
    )


def show_memory(found: Remembered, console: Console) -> None:
    """Print what a version remembers: the sentence, lengths by road, gates by layer."""
    memory, freq = found.memory, found.freq
    console.print(f"[bold]{found.model}[/] version {found.version}: {escape(found.sentence)}", highlight=False)
    roads = {"forecast": memory.forecast, "linear road": memory.linear, "network": memory.recurrent}
    table = Table(
        "looks back", "50 %", "90 %", "99 %", "above 1 %", title=f"rows of {freq}, the newest being the first"
    )
    for name, reach in roads.items():
        table.add_row(name, *(f"{rows:,}" for rows in (reach.half, reach.most, reach.all_but, reach.above)))
    console.print(table)
    gates = Table("layer", "gate", "mean", "below 0.1", "above 0.9", "keep time constant in rows: half, longest")
    for place, layer in enumerate(memory.layers):
        for name in ("keep", "write", "read"):
            if (gate := getattr(layer, name)) is not None:
                lasts = layer.constants if name == "keep" else None
                told = f"{lasts.median:.1f}, {lasts.longest:.1f}" if lasts else ""
                gates.add_row(str(place), name, f"{gate.mean:.2f}", f"{gate.low:.0%}", f"{gate.high:.0%}", told)
    if gates.row_count:
        console.print(gates)
    if found.streaming:
        console.print(f"streaming: {describe_streaming(found.streaming)}", highlight=False)


def show_scorecard(card: Scorecard, console: Console) -> None:
    """Print the model and the baselines on the same test rows, the best of each column in bold."""
    title = f"Test rows {card.start} to {card.end}, {card.origins:,} origins, observed cells only"
    table = Table(title=title, box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("", *SCORES):
        table.add_column(name, justify="right" if name else "left", no_wrap=not name)
    cards = {"model": card.model, **card.baselines}
    for name, scores in cards.items():
        cells = [_cell(scores, key, cards) for key in SCORES] if scores else ["-"] * len(SCORES)
        table.add_row(name, *cells)
    console.print(table)
    for name, reason in card.reasons.items():
        console.print(_why(name, reason, card), markup=False)
    console.print(NOTES, style="dim")


def _why(name: str, reason: str, card: Scorecard) -> str:
    return f"  {name} does not apply: {reason}" if card.baselines[name] is None else f"  {name}: {reason}"


def _cell(scores: FullScores, key: str, cards: dict[str, FullScores | None]) -> str:
    """Write a score; the best is bold, but no width is: a narrow interval is no good by itself."""
    value = getattr(scores, key)
    if value is None:
        return "-"
    known = [other for card in cards.values() if card and (other := getattr(card, key)) is not None]
    best = key != "width" and _badness(key, value) <= min(_badness(key, other) for other in known)
    written = f"{value:.4f}" if value < MOST_DECIMALS else f"{value:.6g}"
    return f"[bold]{written}[/]" if best else written


def _badness(key: str, value: float) -> float:
    return abs(value - JUDGED / 100) if key == "coverage" else value


def show_versions(versions: Sequence[ModelVersion], console: Console) -> None:
    """Print the versions of a model, the newest first, with the decision that was recorded for each."""
    table = Table("version", "alias", "created", "run", "decision")
    for one in versions:
        table.add_row(one.version, ", ".join(one.aliases), one.created, one.run_id[:8], Text(_reason(one)))
    console.print(table)


def _reason(version: ModelVersion) -> str:
    decision: dict[str, str] = msgspec.json.decode(version.tags.get("production.decision", "{}"))
    return f"{decision['by']}: {decision['reason']}" if decision else ""


def show_models(models: dict[str, list[ModelVersion]], address: str, console: Console) -> None:
    """Print every model with its newest version and the one in production."""
    if not models:
        console.print(f"nothing is registered yet in {address}; train a model", markup=False, soft_wrap=True)
        return
    table = Table("model", "versions", "newest", "in production")
    for name, versions in models.items():
        serving = [one.version for one in versions if "production" in one.aliases]
        newest = versions[0].version if versions else "-"
        table.add_row(name, str(len(versions)), newest, ", ".join(serving) or "-")
    console.print(table)


def show_checks(checks: Sequence[Check], console: Console) -> None:
    """Print what the doctor found."""
    marks = {True: "[green]ok[/]", False: "[red]fault[/]", None: "[dim]-[/]"}
    table = Table("check", "", "found")
    for check in checks:
        table.add_row(check.name, marks[check.ok], Text(check.said))
    console.print(table)

"""`docs/memory.md`: from the question to its answer by our own figures, written from results and never by hand."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files

from forecasting.cells import SYSTEMS
from forecasting.lab.claims import factors, outcome, verdicts
from forecasting.lab.results import Results
from forecasting.lab.variants import NAMES

PICTURES = {"flow": "gradient by lag", "adding": "the adding problem", "growth": "growth of a state"}


def page_of(results: Results) -> str:
    """Return the page: the story around the tables of the results."""
    story = files("forecasting.lab").joinpath("story.md").read_text(encoding="utf-8")
    parts = {
        "EQUATIONS": _equations(),
        "FLOW": _flow(results),
        "ADDING": _adding(results),
        "GROWTH": _growth(results),
        "CLAIMS": _claims(results),
        "MADE": _made(results),
    }
    for name, part in parts.items():
        story = story.replace(f"{{{name}}}", part)
    return story


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _equations() -> str:
    """List what each system says of itself: the first line of its docstring."""
    said = {name: (system.advance.__doc__ or "").split("\n", maxsplit=1)[0] for name, system in SYSTEMS.items()}
    rows = [
        (f"`{name}`", NAMES[name], said[name].removeprefix("Say ").partition(": ")[0].rstrip(".")) for name in SYSTEMS
    ]
    return _table(("`cell`", "what it is", "equations"), rows)


def _flow(results: Results) -> str:
    shown = (5, 20, 100, 199)
    rows = []
    for flow in results.flows:
        at = [flow.lags.index(lag) for lag in shown]
        left = [
            f"{min(seed[place] for seed in flow.left):.0e} to {max(seed[place] for seed in flow.left):.0e}"
            for place in at
        ]
        rows.append((flow.variant.name, factors(flow), *left))
    return _table(("cell, keep gates", "factor a step", *(f"left after {lag}" for lag in shown)), rows)


def _adding(results: Results) -> str:
    lengths = sorted({one.length for one in results.added})
    variants = list(dict.fromkeys((one.variant.name, one.variant.system, one.variant.begin) for one in results.added))
    rows = [
        (name, *(outcome(results.adding(system, begin, length)) for length in lengths))
        for name, system, begin in variants
    ]
    return _table(("cell, keep gates", *(f"T = {length}" for length in lengths)), rows)


def _growth(results: Results) -> str:
    behind = results.growths[0].behind
    rows = [
        (one.variant.name, *(f"{size:,.1f}" for size in one.sizes), "no" if one.refused else "yes")
        for one in results.growths
    ]
    return _table(("cell", *(f"{rows:,} rows" for rows in behind), "streamed"), rows)


def _claims(results: Results) -> str:
    return _table(
        ("claim", "verdict", "by number"),
        [(one.claim, f"**{one.verdict}**", one.evidence) for one in verdicts(results)],
    )


def _made(results: Results) -> str:
    versions = ", ".join(f"{name} {one}" for name, one in results.versions.items())
    seeds = f"{results.seeds} seed{'' if results.seeds == 1 else 's'}"
    return f"{results.made}, {versions}, {seeds}, {results.seconds:,.0f} s on {results.cores} cores"

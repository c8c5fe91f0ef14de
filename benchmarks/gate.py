"""Whether the gate can be fooled: by retrains that must not be promoted, that must be, and that change nothing.

`python -m benchmarks.gate [--draft] [PROJECT.toml ...]`; without a project, the demo panel. Each question is asked of
20 retrains, with the functions of `gatecast retrain`; the trainings are shortened, the comparison is not.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from benchmarks.accuracy import Nobody
from benchmarks.data import demo_project
from benchmarks.publishing import Table, publish
from forecasting.assembly import Prepared, assemble, prepare
from forecasting.bundle import Bundle, Provenance
from forecasting.comparing import compare
from forecasting.describing import Judged
from forecasting.evaluation import Backtest, backtest
from forecasting.pairing import losses_beside
from forecasting.project import Project, load_project
from forecasting.reading import read_panel
from forecasting.scaled import scale_panel
from forecasting.series import Panel, Series, rfc3339
from forecasting.training import fit
from pipelines.promotion import Champion, Decision, decide
from pipelines.retrain import on_newest

RETRAINS = 20
SHORT = {"members": 1, "epochs": 6, "steps_per_epoch": 10, "patience": 3, "device": "cpu"}


class Trained(NamedTuple):
    """A model with the rows it was made from, and what it said of the test part."""

    bundle: Bundle
    prepared: Prepared
    tested: Backtest


Ask = Callable[[int], tuple[Panel, Trained]]
"""From a seed to the rows that a challenger learns from, and the champion it is held against."""


def main() -> None:
    """Ask the gate about the projects named on the command line, or the demo."""
    names = [name for name in sys.argv[1:] if name != "--draft"]
    for project in [load_project(Path(name)) for name in names] or [demo_project()]:
        _measure(project, keep="--draft" not in sys.argv)


def _measure(project: Project, *, keep: bool) -> None:
    panel, _ = read_panel(project)
    start = time.perf_counter()
    champion, old = train(_shortened(project, 0), panel), train(_shortened(project, 0), panel, newest_tenth=True)
    questions: tuple[tuple[str, str, Ask], ...] = (
        ("rows before the test part in random order", "0", lambda seed: (_shuffled(panel, champion, seed), champion)),
        ("champion that has learnt from the newest tenth of the training rows", ">= 18", lambda _: (panel, old)),
        ("another seed, the same rows", "<= 2", lambda _: (panel, champion)),
    )
    rows, reasons = [], []
    for text, goal, ask in questions:
        asked = [(seed, *ask(seed)) for seed in range(1, RETRAINS + 1)]
        found = [judge(train(_shortened(project, seed), rows_, panel), held) for seed, rows_, held in asked]
        rows.append((text, str(sum(one.promote for one in found)), goal, *_figures(found)))
        reasons.append((text, found[0].reason))
        print(rows[-1], flush=True)
    head = ("retrains", f"promoted of {RETRAINS}", "asked", "gain, least to most", "p, least to most")
    what = (
        f"{project.name}: {RETRAINS} retrains a line, {champion.tested.scorecard.origins:,} origins from "
        f"{champion.tested.scorecard.start}; trainings shortened to one network a model ({SHORT['epochs']} epochs of "
        f"{SHORT['steps_per_epoch']} steps); {time.perf_counter() - start:.0f} s in all."
    )
    first = Table("What the gate said of the first of each", ("retrains", "reason"), reasons)
    publish(f"gate-{project.name}", what, [Table("Promotions", head, rows), first], keep=keep)


def train(project: Project, panel: Panel, judged_on: Panel | None = None, *, newest_tenth: bool = False) -> Trained:
    """Train on a panel; test on another that differs before its test part only, if one is given."""
    prepared = prepare(panel, project)
    if newest_tenth:
        grid = panel.grid()
        train_rows, valid_rows = (int((grid < at).sum()) for at in (prepared.split.valid, prepared.split.test))
        first = grid[train_rows - train_rows // 10]
        parts = (train_rows // 10, valid_rows - train_rows, len(grid) - valid_rows)
        backtest_ = msgspec.structs.replace(project.backtest, split=parts)
        prepared = prepare(panel.between(first, None), msgspec.structs.replace(project, backtest=backtest_))
    fitted = fit(project, prepared.series, Nobody())
    made_from = Provenance(seen_end=rfc3339(prepared.split.test))
    judged = Judged(architecture=fitted.forecaster.architecture, linear="", trusted=1.0, calibration=fitted.calibration)
    bundle = assemble(project, prepared, fitted.forecaster, judged, made_from)
    shown = prepared if judged_on is None else replace(prepare(judged_on, project), scales=prepared.scales)
    series = scale_panel(shown.panel, shown.scales, shown.split)  # by the training rows of the one that was trained
    tested = backtest(fitted.forecaster, fitted.calibration, series, panel.columns.targets)
    return Trained(bundle, shown, tested)


def judge(challenger: Trained, champion: Trained) -> Decision:
    """Decide as a retraining does."""
    paired = losses_beside(champion.bundle, challenger.tested, challenger.prepared.panel, challenger.prepared.split)
    found = None if paired is None else compare(paired, challenger.bundle.spec.horizon)
    return decide(challenger.tested.scorecard, Champion(version="1", comparison=found))


def _shortened(project: Project, seed: int) -> Project:
    train_ = msgspec.structs.replace(project.train, seed=seed, **SHORT)
    model = msgspec.structs.replace(project.model, channels="joint")
    return on_newest(msgspec.structs.replace(project, train=train_, model=model))


def _shuffled(panel: Panel, like: Trained, seed: int) -> Panel:
    draw, until = np.random.default_rng(seed), like.prepared.split.test

    def shuffle() -> Iterator[Series]:
        for one in panel:
            values, rows = one.values.copy(), int((one.index < until).sum())
            values[:rows] = values[draw.permutation(rows)]
            yield replace(one, values=values)

    return replace(panel, series=tuple(shuffle()))


def _figures(found: list[Decision]) -> tuple[str, str]:
    gains = [one.gain for one in found if one.gain is not None]
    chances = [one.p_value for one in found if one.p_value is not None]
    return f"{min(gains):+.1%} to {max(gains):+.1%}", f"{min(chances):.2g} to {max(chances):.2g}"


if __name__ == "__main__":
    main()

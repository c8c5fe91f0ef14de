"""Accuracy with the defaults: the model for several seeds beside the baselines, on the test part, streamed.

Figures are over all steps of the horizon.

`python -m benchmarks.accuracy [PROJECT.toml ...]`; without a project, the demo panel.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.data import demo_project
from benchmarks.publishing import Table, publish
from forecasting.assembly import prepare
from forecasting.evaluation import backtest
from forecasting.project import Project, load_project
from forecasting.reading import read_panel
from forecasting.scores import FullScores, Scorecard
from forecasting.training import Epoch, fit

SEEDS = (0, 1, 2)
FIGURES = ("mse_z", "mae_z", "mql", "interval_score", "width_z", "coverage")


class Nobody:
    """A watcher that looks away."""

    def step(self, done: int, most: int) -> None:
        pass

    def epoch(self, epoch: Epoch) -> None:
        pass

    def stopping(self) -> bool:
        return False


def main() -> None:
    """Measure the projects named on the command line, or the demo."""
    for project in [load_project(Path(name)) for name in sys.argv[1:]] or [demo_project()]:
        start = time.perf_counter()
        cards = [_card(_seeded(project, seed)) for seed in SEEDS]
        _publish(project, cards, (time.perf_counter() - start) / len(SEEDS))


def _seeded(project: Project, seed: int) -> Project:
    train = msgspec.structs.replace(project.train, seed=seed, device="cpu")
    return msgspec.structs.replace(project, train=train)


def _card(project: Project) -> Scorecard:
    panel, _ = read_panel(project)
    series = prepare(panel, project).series
    fitted = fit(project, series, Nobody())
    return backtest(fitted.forecaster, fitted.calibration, series, panel.columns.targets).scorecard


def _publish(project: Project, cards: Sequence[Scorecard], seconds: float) -> None:
    card = cards[0]
    models = [one.model for one in cards]
    rows = [(f"model, seed {seed}", *_errors(one)) for seed, one in zip(SEEDS, models, strict=True)]
    rows.append(("model, mean (largest less least)", *(_over_seeds(models, key) for key in FIGURES)))
    rows += [(name, *_errors(scores)) for name, scores in card.baselines.items()]
    what = (
        f"{project.name}: {project.model.cell} {project.model.layers} x {project.model.hidden}, "
        f"{project.train.members} members, horizon {project.model.horizon}; {card.origins:,} origins, targets from "
        f"{card.start} to {card.end}; {seconds:.0f} s for reading, training and the backtest of a seed."
    )
    note = (
        "`mse_z` is of the point, `mae_z` of the median, `mql` of the deciles; `interval_score`, `width_z` and "
        "`coverage` are of the 90 % interval, calibrated on validation rows. Over observed cells and all steps ahead; "
        "less is better, and 0.9 of `coverage`."
    )
    publish(f"accuracy-{project.name}", what, [Table("Test part", ("forecast", *FIGURES), rows, note)])


def _errors(scores: FullScores | None) -> tuple[str, ...]:
    return tuple(_figure(None if scores is None else getattr(scores, key)) for key in FIGURES)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.5f}"


def _over_seeds(models: Sequence[FullScores], key: str) -> str:
    figures = [getattr(one, key) for one in models]
    if None in figures:
        return "-"
    return f"{statistics.mean(figures):.5f} ({max(figures) - min(figures):.5f})"


if __name__ == "__main__":
    main()

"""Retraining: a training on what the data are now, whose test part is the newest rows only.

So what is promoted has learnt from nearly everything, and is what was tested.
"""

from __future__ import annotations

import msgspec
from rich.console import Console

from forecasting.project import Project
from forecasting.registry import Registry
from pipelines.settings import Settings
from pipelines.train import Trained, train

NEWEST = 1_000
"""Rows of the test part, at most."""


def retrain(project: Project, registry: Registry, settings: Settings, console: Console, reason: str = "") -> Trained:
    """Train, compare with the champion on rows that neither has seen, promote or keep; it raises what `train` does.

    `reason` is recorded with the run.
    """
    return train(on_newest(project), registry, settings, console, reason)


def on_newest(project: Project) -> Project:
    """Return a project whose test part is at most the newest thousand rows, unless it says another number."""
    backtest = project.backtest
    newest = NEWEST if backtest.newest is None else backtest.newest
    return msgspec.structs.replace(project, backtest=msgspec.structs.replace(backtest, newest=newest))

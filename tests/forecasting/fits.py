"""A watcher for tests of training, data to train on, and what is streamed from what was fitted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from forecasting.conformal import Outcome
from forecasting.project import Project
from forecasting.scaled import ScaledSeries, origins, targets
from forecasting.streaming import Job, stream
from forecasting.training import Epoch, Fitted, fit
from tests.forecasting.panels import project, scaled, series, walk


@dataclass
class Onlooker:
    """Keeps what it hears; asks to stop after `patience` batches."""

    patience: float = math.inf
    steps: list[tuple[int, int]] = field(default_factory=list)
    epochs: list[Epoch] = field(default_factory=list)

    def step(self, done: int, most: int) -> None:
        self.steps.append((done, most))

    def epoch(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)

    def stopping(self) -> bool:
        return len(self.steps) >= self.patience


def small_panel() -> tuple[ScaledSeries, ...]:
    """Scale two series of two columns, one of them with holes, the other late."""
    return scaled(series("x", walk(160, missing=0.05)), series("y", walk(100, seed=1), late=20))


def bent(columns: int, *, across: bool = False, rows: int = 700) -> np.ndarray:
    """X' = 1 - 1.6 |x| + noise, of its own column or of the one before: a line learns next to nothing of it."""
    draw, z = np.random.default_rng(0), np.zeros((rows, columns))
    for row in range(1, rows):
        told_by = np.roll(z[row - 1], 1) if across else z[row - 1]
        z[row] = 1 - 1.6 * abs(told_by) + 0.02 * draw.normal(size=columns)
    return z


def eager(columns: int = 1, **model: object) -> Project:
    """Build a project that learns what is bent in a few epochs."""
    return project(
        data={"targets": list("abc"[:columns])},
        model={"hidden": 16, **model},
        train={"learning_rate": 0.02, "epochs": 5, "steps_per_epoch": 20, "batch": 16},
    )


def fitted(of: Project | None = None, watcher: Onlooker | None = None) -> Fitted:
    """Fit on the small panel."""
    return fit(of or project(), small_panel(), watcher or Onlooker())


def judged(epoch: Epoch) -> tuple[float, float, float]:
    """Return what an epoch says of validation rows."""
    return epoch.valid_mse_z, epoch.valid_mae_z, epoch.valid_scale


def floors(epochs: Sequence[Epoch]) -> dict[str, Epoch]:
    """Return where each network started, in the order they were tried."""
    return {epoch.channels: epoch for epoch in epochs if epoch.epoch == 0}


def same(ours: Fitted, theirs: Fitted) -> bool:
    """Tell whether two forecasters have the same weights, to the bit."""
    one, other = (found.forecaster.state_dict() for found in (ours, theirs))
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


def as_trained(found: Fitted) -> Fitted:
    """Put the linear road of the training rows back in place: the one that the best epoch was judged with."""
    found.forecaster.linear = found.linear.road
    return found


def outcomes(found: Fitted, panel: Sequence[ScaledSeries]) -> list[Outcome]:
    """Stream a forecaster over validation rows, beside what came."""
    horizon = found.forecaster.architecture.horizon
    jobs = [Job(one, origins(one.valid, horizon)) for one in panel]
    came = [targets(job.one, job.at, horizon) for job in jobs]
    told = stream(found.forecaster, jobs)
    return [Outcome(*said, z, job.one.target_units) for said, z, job in zip(told, came, jobs, strict=True)]


def streamed(found: Fitted, panel: Sequence[ScaledSeries]) -> tuple[float, float, float]:
    """Return what an `Epoch` says of validation rows: squared error, absolute error, and how far the scale follows.

    The last is by step and column the mean of size / scale, times the geometric mean of scale, relative to the mean
    size: of the best constant scale it is 1.
    """
    streams = zip(*(one[:4] for one in outcomes(found, panel)), strict=True)
    point, median, scale, came = (np.concatenate(parts).astype(np.float64) for parts in streams)
    size = np.abs(came - median)
    log_scale = np.where(np.isnan(size), np.nan, np.log(scale))
    gain = np.log(np.nanmean(size / scale, axis=0) / np.nanmean(size, axis=0)) + np.nanmean(log_scale, axis=0)
    return float(np.nanmean((came - point) ** 2)), float(np.nanmean(size)), float(np.exp(gain.mean()))

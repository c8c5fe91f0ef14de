"""The fit of a forecaster: linear road, then a network for each way of seeing the channels, the better one kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from forecasting.cells import KeepBias, begin_keeping
from forecasting.conformal import Calibration
from forecasting.errors import DataError, Diverged
from forecasting.lesson import Epoch, Lesson, Watcher
from forecasting.members import Architecture
from forecasting.network import Forecaster
from forecasting.project import Project
from forecasting.ridge import LinearFit, fit_linear, refitted
from forecasting.scaled import ScaledSeries, origins
from forecasting.trainer import run
from forecasting.validation import validation_of

__all__ = ["Epoch", "Fitted", "Watcher", "architecture_of", "fit"]


@dataclass(frozen=True)
class Fitted:
    """A forecaster in evaluation mode on the CPU, with the best weights; how it got there; whether it was stopped.

    `calibration` is of its errors on validation rows, before its linear road was solved again with these rows. Best for
    the newest rows; the network keeps what it learnt beside the road of the training rows (lab log).
    `trust` says how far each correction of the network is believed (see `validation`): point, median and scale, in this
    order. `epochs` holds those of every network that was tried; `best` is the one whose weights these are.
    """

    forecaster: Forecaster
    trust: Float[np.ndarray, "3 horizon target"]
    epochs: tuple[Epoch, ...]
    best: Epoch
    linear: LinearFit
    calibration: Calibration
    stopped: bool


class Start(NamedTuple):
    """What networks start from: the linear road, where they were kept if they began before, and a forecaster."""

    linear: LinearFit
    kept: Path | None
    warm: Forecaster | None

    def file(self, channels: str) -> Path | None:
        """Return where a network of this way of seeing the channels is kept."""
        return None if self.kept is None else self.kept / f"{channels}.safetensors"

    def members(self, architecture: Architecture) -> dict[str, Tensor] | None:
        """Return the weights to begin with, of members of the same shapes; None where there are none."""
        if self.warm is None or _alike(self.warm.architecture) != _alike(architecture):
            return None
        return self.warm.members.state_dict()


def _alike(architecture: Architecture) -> Architecture:
    """Return an architecture without what weights of members do not depend on."""
    return msgspec.structs.replace(architecture, lags=0, dropout=0.0)


def fit(
    project: Project,
    panel: Sequence[ScaledSeries],
    watcher: Watcher,
    kept: Path | None = None,
    warm: Forecaster | None = None,
) -> Fitted:
    """Fit the forecaster that the project asks for.

    After each epoch training is kept in the folder `kept`; where it was ended there, it goes on, and comes to the same.
    Networks of the architecture of `warm` begin with its members.

    Raises:
        DataError: no series has enough rows in training and validation for the horizon, or validation holds no value.
        Diverged: the loss, or a forecast, stopped being a finite number, of every network that was tried.
    """
    _refuse_too_few_rows(panel, project.model.horizon)
    with torch.random.fork_rng(), _one_thread():
        linear = fit_linear(panel, project.model.horizon, project.model.linear)
        lessons = _lessons(project, panel, Start(linear, kept, warm), watcher)
        best = min(lessons, key=lambda lesson: lesson.best.objective)
        forecaster = _with_best_weights(best)
        calibration = best.validation.calibrated(forecaster, project.model.levels)
        forecaster.linear = refitted(linear, panel, project.model.horizon)
    epochs = tuple(epoch for lesson in lessons for epoch in lesson.epochs)
    return Fitted(forecaster, best.trust, epochs, best.best, linear, calibration, watcher.stopping())


def _with_best_weights(lesson: Lesson) -> Forecaster:
    forecaster = lesson.forecaster.cpu().eval()
    forecaster.load_state_dict(lesson.weights)
    forecaster.spread.mul_(torch.from_numpy(lesson.trust))
    return forecaster


def _lessons(project: Project, panel: Sequence[ScaledSeries], start: Start, watcher: Watcher) -> list[Lesson]:
    """Train a network for each way of seeing the channels; one that diverges is left out, unless all do."""
    lessons: list[Lesson] = []
    diverged: Diverged | None = None
    for channels in _ways(project):
        if not (lessons and watcher.stopping()):
            rival = lessons[-1].epochs if lessons else ()
            try:
                lessons.append(_lesson(project, panel, start, channels, watcher, rival))
            except Diverged as error:
                diverged = error
    if not lessons and diverged:
        raise diverged
    return lessons


def _ways(project: Project) -> tuple[str, ...]:
    """Return the ways of seeing the channels that are tried, the cheaper one first; of a single target there is one."""
    if len(project.data.targets) == 1:
        return ("joint",)
    return ("joint", "independent") if project.model.channels == "auto" else (project.model.channels,)


def _lesson(
    project: Project,
    panel: Sequence[ScaledSeries],
    start: Start,
    channels: str,
    watcher: Watcher,
    rival: Sequence[Epoch],
) -> Lesson:
    torch.manual_seed(project.train.seed)
    road = start.linear.road
    forecaster = Forecaster(architecture_of(project, panel, road.shape.lags, channels))
    forecaster.linear = road
    for member in forecaster.members:
        begin_keeping(member.cell, KeepBias.of(project.train.keep_bias, project.train.length))  # type: ignore[arg-type]
    warm = start.members(forecaster.architecture)
    lesson = Lesson(forecaster, validation_of(forecaster, panel), project.train, watcher, rival, warm)
    run(lesson, project, panel, start.file(channels))
    return lesson


def architecture_of(project: Project, panel: Sequence[ScaledSeries], lags: int, channels: str) -> Architecture:
    """Return the architecture for a project and its data."""
    one = panel[0]
    return Architecture(
        cell=project.model.cell,
        channels=channels,
        targets=len(one.columns.targets),
        seen=one.columns.seen,
        known=len(one.columns.known),
        statics=len(one.static.numbers),
        categories=one.statics.categories,
        calendar=one.calendar.width,
        horizon=project.model.horizon,
        lags=lags,
        hidden=project.model.hidden,
        layers=project.model.layers,
        dropout=project.model.dropout,
        members=project.train.members,
    )


def _refuse_too_few_rows(panel: Sequence[ScaledSeries], horizon: int) -> None:
    trainable = any(one.train.stop > horizon + 1 for one in panel)
    if not trainable or not any(len(origins(one.valid, horizon)) for one in panel):
        message = f"no series has the rows to train and validate forecasts {horizon} steps ahead; give more data"
        raise DataError(message)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let every operation run on one thread: small ones gain nothing by more, and collapse beside other processes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

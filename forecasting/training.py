"""Fitting a forecaster: a thin Lightning module over `Forecaster.unroll_members`. The only importer of Lightning.

The linear road is solved first and stays as it is. Each member learns what it leaves, from the loss at every position
of every sequence; training stops by the streamed validation error, and the best weights seen are the ones kept.
"""

from __future__ import annotations

import copy
import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import numpy as np
import pytorch_lightning as pl
import torch
from jaxtyping import Float
from pytorch_lightning.callbacks import EarlyStopping
from torch import Tensor
from torch.utils.data import DataLoader

from forecasting.errors import DataError, Diverged
from forecasting.network import Architecture, Forecaster
from forecasting.project import Project, TrainSection
from forecasting.ridge import Choice, fit_linear
from forecasting.scaled import ScaledSeries, origins
from forecasting.sequences import Batch, Sequences, Shape
from forecasting.validation import Judgement, Validation, validation_of


class Epoch(msgspec.Struct, frozen=True, kw_only=True):
    """Where training stands after an epoch (0 is the linear road alone): errors in z units, streamed over validation.

    `objective` is the sum of both errors relative to those of the linear road; the least one is the best.
    """

    epoch: int
    train_loss: float | None
    valid_mse_z: float
    valid_mae_z: float
    objective: float


class Watcher(Protocol):
    """Who looks on, and may ask training to end."""

    def step(self, done: int, most: int) -> None:
        """Hear that `done` of at most `most` batches were taken."""

    def epoch(self, epoch: Epoch) -> None:
        """Hear how an epoch ended."""

    def stopping(self) -> bool:
        """Tell whether training should end after this batch, with the best weights so far."""


@dataclass(frozen=True)
class Fitted:
    """A forecaster in evaluation mode on the CPU, with the best weights; how it got there; whether it was stopped.

    `trust` says how far each correction of the network is believed (see `validation`): point and median, in this order.
    """

    forecaster: Forecaster
    trust: Float[np.ndarray, "2 horizon column"]
    epochs: tuple[Epoch, ...]
    best: Epoch
    tried: tuple[Choice, ...]
    stopped: bool


def fit(project: Project, panel: Sequence[ScaledSeries], watcher: Watcher) -> Fitted:
    """Fit the forecaster that the project asks for.

    Raises:
        DataError: no series has enough rows in training and validation for the horizon, or validation holds no value.
        Diverged: the loss, or a forecast, stopped being a finite number.
    """
    _refuse_too_few_rows(panel, project.model.horizon)
    with torch.random.fork_rng(), _threads(project.train.threads):
        torch.manual_seed(project.train.seed)
        linear = fit_linear(panel, project.model.horizon)
        forecaster = Forecaster(architecture_of(project, panel, linear.road.lags))
        forecaster.linear = linear.road
        validation = validation_of(forecaster, panel)
        forecaster.spread.copy_(torch.from_numpy(validation.left_over()).expand_as(forecaster.spread))
        lesson = Lesson(forecaster, validation, project.train, watcher)
        _run(lesson, project, panel)
    forecaster.cpu().load_state_dict(lesson.weights)
    forecaster.spread.mul_(torch.from_numpy(lesson.trust))
    best = min(lesson.epochs, key=lambda epoch: epoch.objective)
    return Fitted(forecaster.eval(), lesson.trust, tuple(lesson.epochs), best, linear.tried, watcher.stopping())


def architecture_of(project: Project, panel: Sequence[ScaledSeries], lags: int) -> Architecture:
    """Return the architecture for a project and its data."""
    return Architecture(
        cell=project.model.cell,
        columns=len(project.data.targets),
        calendar=panel[0].calendar.width,
        horizon=project.model.horizon,
        lags=lags,
        hidden=project.model.hidden,
        layers=project.model.layers,
        dropout=project.model.dropout,
        members=project.train.members,
    )


class Lesson(pl.LightningModule):
    """The loss of all members at every position behind the burn-in, and the streamed error after each epoch."""

    def __init__(self, forecaster: Forecaster, validation: Validation, train: TrainSection, watcher: Watcher) -> None:
        """Start with the linear road alone as the best there is."""
        super().__init__()
        self.forecaster, self.validation, self.settings, self.watcher = forecaster, validation, train, watcher
        self.burn_in = 0
        self.floor = validation.judge(forecaster)
        self.trust = self.floor.trust
        self.weights = copy.deepcopy(forecaster.state_dict())
        self.epochs = [self._epoch(0, None, self.floor)]

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Return the summed loss of the members, so that each learns as if it were alone."""
        state = self.forecaster.primed_state(batch.prior)
        members = self.forecaster.unroll_members(batch.rows, state)[0]
        loss = torch.stack(
            [lesson_loss(made[:, self.burn_in :], batch.targets(self.burn_in)) for made in members]
        ).sum()
        self.log("train_loss", loss.detach() / len(members), on_step=False, on_epoch=True, batch_size=1)
        return loss

    def on_train_batch_end(self, *_: Any) -> None:
        """Tell the watcher, and end training when it asks for that."""
        self.watcher.step(self.global_step, int(self.trainer.estimated_stepping_batches))
        self.trainer.should_stop = self.trainer.should_stop or self.watcher.stopping()

    def on_train_epoch_end(self) -> None:
        """Measure the streamed validation error and keep the weights if they are the best so far."""
        found = self.validation.judge(self.forecaster)
        loss = float(self.trainer.callback_metrics["train_loss"])
        epoch = self._epoch(self.current_epoch + 1, loss, found)
        if not (math.isfinite(loss) and math.isfinite(epoch.objective)):
            message = (
                f"the loss is {loss:.6g} and the squared error on validation rows {epoch.valid_mse_z:.6g} "
                f"after epoch {epoch.epoch}; lower train.learning_rate"
            )
            raise Diverged(message)
        if epoch.objective < min(earlier.objective for earlier in self.epochs):
            self.weights, self.trust = copy.deepcopy(self.forecaster.state_dict()), found.trust
        self.epochs.append(epoch)
        self.watcher.epoch(epoch)
        self.log("objective", epoch.objective)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW at one small rate: a few hundred steps on what the linear road leaves."""
        train = self.settings
        return torch.optim.AdamW(self.parameters(), lr=train.learning_rate, weight_decay=train.weight_decay)

    def _epoch(self, number: int, loss: float | None, found: Judgement) -> Epoch:
        tiny = float(np.finfo(np.float32).tiny)  # a series that the linear road says exactly leaves 0 to divide by
        objective = found.mse_z / max(self.floor.mse_z, tiny) + found.mae_z / max(self.floor.mae_z, tiny)
        return Epoch(
            epoch=number, train_loss=loss, valid_mse_z=found.mse_z, valid_mae_z=found.mae_z, objective=objective
        )


def lesson_loss(made: Tensor, came: Tensor) -> Tensor:
    """Squared error of the point plus absolute error of the median, over observed targets.

    `made` has shape (batch, time, 2, horizon, column), `came` (batch, time, horizon, column) with NaN where unobserved.
    """
    seen = ~torch.isnan(came)
    point, median = (made - came.nan_to_num(0.0)[:, :, None]).unbind(dim=2)
    return torch.where(seen, point.square() + median.abs(), 0.0).sum() / seen.sum().clamp(min=1)


def _refuse_too_few_rows(panel: Sequence[ScaledSeries], horizon: int) -> None:
    trainable = any(one.train.stop > horizon + 1 for one in panel)
    if not trainable or not any(len(origins(one.valid, horizon)) for one in panel):
        message = f"no series has the rows to train and validate forecasts {horizon} steps ahead; give more data"
        raise DataError(message)


def _run(lesson: Lesson, project: Project, panel: Sequence[ScaledSeries]) -> None:
    train = project.train
    lags = lesson.forecaster.architecture.lags
    shape = Shape(train.batch, train.burn_in, train.length, project.model.horizon, prior=lags)
    sequences = Sequences(panel, shape, train.steps_per_epoch, train.seed)
    lesson.burn_in = sequences.shape.burn_in
    with _quiet_lightning():
        trainer = pl.Trainer(
            **_device(train.device),
            max_epochs=train.epochs,
            gradient_clip_val=train.clip * train.members**0.5,
            callbacks=[EarlyStopping("objective", patience=train.patience, check_on_train_epoch_end=True)],
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
        trainer.fit(lesson, DataLoader(sequences, batch_size=None))


def _device(device: str) -> dict[str, Any]:
    """Translate `auto | cpu | cuda | cuda:N | mps` to Lightning's words; auto takes CUDA where it is."""
    kind, _, number = device.partition(":")
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "cpu"
    return {"accelerator": {"cuda": "gpu"}.get(kind, kind), "devices": [int(number or 0)] if kind == "cuda" else 1}


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keep Lightning's hints about hardware, workers and loggers out of a user's terminal; its errors still come."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"pytorch_lightning|lightning")
        try:
            yield
        finally:
            logger.setLevel(level)

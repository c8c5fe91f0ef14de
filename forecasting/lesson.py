"""A network's training by Lightning: the loss at every position, the streamed error after each epoch, the best kept."""

from __future__ import annotations

import copy
import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol, cast

import msgspec
import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping
from torch import Tensor, nn
from torch.utils.data import DataLoader

from forecasting.errors import Diverged
from forecasting.members import Architecture
from forecasting.network import Each, Forecaster, State
from forecasting.project import Project
from forecasting.scaled import ScaledSeries
from forecasting.sections import TrainSection
from forecasting.sequences import SMALLEST, Batch, Sequences, Shape
from forecasting.validation import Judgement, Validation

LESSONS = 6
"""How often a target is said, from different distances, in one sequence, at most but for a horizon below twice that."""

PROBATION = 6
"""Epochs that a network is given, whatever one before it came to."""

RECENT = 3
"""Epochs whose gain says what the next ones may bring."""

SCALE_WEIGHT = 0.05
"""Of the likelihood of the scale in the loss: it shall use what the cell remembers, not decide what that is."""


class Epoch(msgspec.Struct, frozen=True, kw_only=True):
    """Where training stands after an epoch (0 is the linear road alone): errors in z units, streamed over validation.

    `valid_scale` is the size of errors under the best scale relative to a scale that never changes; `objective` the
    mean of the two errors and the scale relative to those of the linear road: the least one is the best.
    """

    channels: str
    epoch: int
    train_loss: float | None
    valid_mse_z: float
    valid_mae_z: float
    valid_scale: float
    objective: float


class Watcher(Protocol):
    """Who looks on, and may ask training to end."""

    def step(self, done: int, most: int) -> None:
        """Hear that `done` of at most `most` batches were taken."""

    def epoch(self, epoch: Epoch) -> None:
        """Hear how an epoch ended."""

    def stopping(self) -> bool:
        """Tell whether training should end after this batch, with the best weights so far."""


class Lesson(pl.LightningModule):
    """The loss of all members at every position behind the burn-in, and the streamed error after each epoch.

    `rival` holds the epochs of a network that was tried before; this one is given up once it will not do better.
    `each` runs the members, side by side if it is the `map` of a thread pool.
    """

    def __init__(
        self,
        forecaster: Forecaster,
        validation: Validation,
        train: TrainSection,
        watcher: Watcher,
        rival: Sequence[Epoch] = (),
    ) -> None:
        """Start with the linear road alone as the best there is."""
        super().__init__()
        self.automatic_optimization = False
        self.forecaster, self.validation, self.settings, self.watcher = forecaster, validation, train, watcher
        self.rival, self.burn_in, self.each = rival, 0, cast("Each", map)
        self.floor = validation.judge(forecaster)
        self.trust = self.floor.trust
        self.weights = copy.deepcopy(forecaster.state_dict())
        self.epochs = [self._epoch(0, None, self.floor)]
        watcher.epoch(self.epochs[0])

    @property
    def best(self) -> Epoch:
        """The epoch whose weights are kept."""
        return min(self.epochs, key=lambda epoch: epoch.objective)

    def training_step(self, batch: Batch, number: int) -> None:
        """Take a step down the loss of each member; each learns as if it were alone."""
        optimizer = self.optimizers()
        optimizer.zero_grad()  # type: ignore[union-attr]
        losses = self._losses(batch, number)
        list(self.each(Tensor.backward, losses))
        for member in self.forecaster.members:
            nn.utils.clip_grad_norm_(member.parameters(), self.settings.clip)
        optimizer.step()  # type: ignore[union-attr]
        mean = torch.stack([loss.detach() for loss in losses]).mean()
        self.log("train_loss", mean, on_step=False, on_epoch=True, batch_size=1)

    def _losses(self, batch: Batch, number: int) -> list[Tensor]:
        rows = batch.rows.values.shape[1]
        positions = self._positions(rows - self.burn_in, number)
        after = batch.rows.part(self.burn_in, rows)
        members, _ = self.forecaster.unroll_members(after, self._brought_up(batch), positions, self.each)
        came = batch.targets(range(positions.start + self.burn_in, rows, positions.step))
        return [lesson_loss(made, came) for made in members]

    @torch.no_grad()
    def _brought_up(self, batch: Batch) -> State:
        """Return the state behind the burn-in, from which nothing is learnt."""
        state = self.forecaster.primed_state(batch.prior, batch.static)
        if not self.burn_in:
            return state
        newest = range(self.burn_in - 1, self.burn_in)
        return self.forecaster.unroll_members(batch.rows.part(0, self.burn_in), state, newest, self.each)[1]

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
        if epoch.objective < _least(self.epochs):
            self.weights, self.trust = copy.deepcopy(self.forecaster.state_dict()), found.trust
        self.epochs.append(epoch)
        self.watcher.epoch(epoch)
        self.log("objective", epoch.objective)
        self.trainer.should_stop = self.trainer.should_stop or self._hopeless()

    def _hopeless(self) -> bool:
        """Tell whether the rival stays ahead even if `patience` more epochs gain as much as the last ones did."""
        if not self.rival or len(self.epochs) <= PROBATION:
            return False
        least = _least(self.epochs)
        gain = (_least(self.epochs[:-RECENT]) - least) / RECENT
        return least - gain * self.settings.patience > _least(self.rival)

    def _positions(self, rows: int, number: int) -> range:
        """Return the positions that are lessons: every one, or some of them far ahead.

        Lessons of neighbouring positions share most of their targets: with `LESSONS` of each target little is lost.
        """
        stride = min(max(self.forecaster.architecture.horizon // LESSONS, 1), rows)
        return range(number % stride, rows, stride)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW at one small rate: a few hundred steps on what the linear road leaves."""
        train = self.settings
        return torch.optim.AdamW(self.parameters(), lr=train.learning_rate, weight_decay=train.weight_decay)

    def _epoch(self, number: int, loss: float | None, found: Judgement) -> Epoch:
        tiny = float(np.finfo(np.float32).tiny)  # a series that the linear road says exactly leaves 0 to divide by
        scale = math.exp(found.noise)
        relative = (found.mse_z / max(self.floor.mse_z, tiny), found.mae_z / max(self.floor.mae_z, tiny), scale)
        return Epoch(
            channels=self.forecaster.architecture.channels,
            epoch=number,
            train_loss=loss,
            valid_mse_z=found.mse_z,
            valid_mae_z=found.mae_z,
            valid_scale=scale,
            objective=sum(relative) / len(relative),
        )


def _least(epochs: Sequence[Epoch]) -> float:
    return min(epoch.objective for epoch in epochs)


def lesson_loss(made: Tensor, came: Tensor) -> Tensor:
    """Squared error of the point, absolute error of the median, likelihood of its size; over observed targets.

    `made` has shape (batch, time, 3, horizon, target), `came` (batch, time, horizon, target) with NaN where unobserved.
    The errors are taken as Laplace distributed around the median, which the scale does not move.
    """
    seen = ~torch.isnan(came)
    point, median = (made[:, :, :2] - came.nan_to_num(0.0)[:, :, None]).unbind(dim=2)
    log_scale = made[:, :, 2]
    unlikely = log_scale + median.detach().abs() * torch.exp(-log_scale)
    loss = point.square() + median.abs() + SCALE_WEIGHT * unlikely
    return torch.where(seen, loss, 0.0).sum() / seen.sum().clamp(min=1)


def shape_of(train: TrainSection, architecture: Architecture) -> Shape:
    """Return the shape of a batch; a sequence counts once for each target where these are seen alone, at half price."""
    folds = architecture.folds
    batch = train.batch if folds == 1 else max(2 * train.batch // folds, SMALLEST)
    return Shape(batch, train.burn_in, train.length, architecture.horizon, prior=architecture.lags)


def run(lesson: Lesson, project: Project, panel: Sequence[ScaledSeries]) -> None:
    """Train until it no longer helps, or the watcher asks for an end; the lesson keeps the best weights."""
    train = project.train
    shape = shape_of(train, lesson.forecaster.architecture)
    sequences = Sequences(panel, shape, train.steps_per_epoch, train.seed)
    lesson.burn_in = sequences.shape.burn_in
    device = _device(train.device)
    # a thread that is not told so lets each operation run on all cores, and waits there for other processes
    pool = ThreadPoolExecutor(train.threads, initializer=torch.set_num_threads, initargs=(1,))
    with _quiet_lightning(), pool as threads:
        lesson.each = threads.map if device["accelerator"] == "cpu" and _side_by_side(project) else map
        trainer = pl.Trainer(
            **device,
            max_epochs=train.epochs,
            callbacks=[EarlyStopping("objective", patience=train.patience, check_on_train_epoch_end=True)],
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
        trainer.fit(lesson, DataLoader(sequences, batch_size=None))


def _side_by_side(project: Project) -> bool:
    """Tell whether members run side by side; not where dropout between layers would draw in another order each time.

    One at a time they need no thread of their own: memory that other threads ask for is given back and asked for again.
    """
    repeatable = project.model.layers == 1 or not project.model.dropout
    return repeatable and project.train.threads > 1


def _device(device: str) -> dict[str, Any]:
    """Translate `auto | cpu | cuda | cuda:N | mps` to Lightning's words; auto takes CUDA where it is."""
    kind, _, number = device.partition(":")
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "cpu"
    return {"accelerator": {"cuda": "gpu"}.get(kind, kind), "devices": [int(number or 0)] if kind == "cuda" else 1}


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

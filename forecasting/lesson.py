"""A network's training by Lightning: the loss at every position, the streamed error after each epoch, the best kept."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

import msgspec
import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from forecasting.errors import Diverged
from forecasting.network import Each, Forecaster, State
from forecasting.sections import TrainSection
from forecasting.sequences import Batch
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
    """Where training stands after an epoch: errors in z units, streamed over validation.

    Epoch 0 is before any: the linear road alone, or with the members that a warm start begins with.

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
    `warm` holds the weights of members of the same shapes to begin with.
    `each` runs the members, side by side if it is the `map` of a thread pool.
    """

    def __init__(
        self,
        forecaster: Forecaster,
        validation: Validation,
        train: TrainSection,
        watcher: Watcher,
        rival: Sequence[Epoch] = (),
        warm: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Start with what there is before training as the best."""
        super().__init__()
        self.automatic_optimization = False
        self.forecaster, self.validation, self.settings, self.watcher = forecaster, validation, train, watcher
        self.rival, self.burn_in, self.each = rival, 0, cast("Each", map)
        self.floor = start = validation.judge(forecaster)
        if warm is not None:
            forecaster.members.load_state_dict(warm)
            start = validation.judge(forecaster)
        self.trust = start.trust
        self.weights = copy.deepcopy(forecaster.state_dict())
        self.epochs = [self._epoch(0, None, start)]
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

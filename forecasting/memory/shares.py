"""A point shared out among the rows it was made from.

    point = last value + what each row gave the linear road + what each row left in the memory + the rest

The linear road is a sum over changes, so each row's share is a product. In a gated cell a row leaves write * content in
the memory, of which the gates after it keep a product: c_T = sum_s (prod_(r > s) keep_r) write_s content_s. What the
head reads is linear in c_T (gru) or read_T tanh(c_T) (lstm), which is shared out in the proportion of the sum. That is
exact along the cell path; how a row came to write what it wrote, by the hidden state before it, is not followed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from forecasting.memory.told import Gated, Layer, Told
from forecasting.network import Forecaster

NEAR_ZERO = 1e-12


class Shares(NamedTuple):
    """What moved the point, in z units, oldest row first; `recurrent` is None where the cell has no path of its own.

    `rest` is what no row moved by itself: biases, calendar, levels, what is known in advance. `kept`, a mean over units
    and members, is how much of what each row left in the memory of the last layer is still there; None without gates.
    """

    last: Float[np.ndarray, " target"]
    linear: Float[np.ndarray, "time column horizon target"]
    recurrent: Float[np.ndarray, "time horizon target"] | None
    rest: Float[np.ndarray, "horizon target"]
    kept: Float[np.ndarray, " time"] | None


class Sharer:
    """Shares out what a network says; later changes of it are not seen."""

    def __init__(self, forecaster: Forecaster) -> None:
        """Take the weights of the road and of the heads over."""
        a, road = forecaster.architecture, forecaster.linear
        changes = road.changes.reshape(a.horizon, a.targets, a.seen, a.lags) * forecaster.share[0][:, :, None, None]
        self._changes = np.ascontiguousarray(changes.permute(3, 2, 0, 1).cpu().numpy())  # by lag, oldest first
        self._spread, self._folds = forecaster.spread[0].cpu().numpy(), a.folds
        shape = (-1, a.horizon, a.targets // a.folds, a.hidden)
        self._heads = [
            weight.detach().reshape(shape)[0].cpu().numpy()
            for name, weight in forecaster.named_parameters()
            if name.endswith(".head.weight")
        ]

    def share(self, told: Told) -> Shares:
        """Share out the point of one window."""
        linear, kept = self._linear(told.changes), [_still(layers[-1].keep) for layers in told.members]
        rest = told.base - told.last + np.mean(told.points, axis=0) * self._spread - linear.sum(axis=(0, 1))
        left = [_left(layers[-1], still) for layers, still in zip(told.members, kept, strict=True)]
        parts = [self._read(one, head) for one, head in zip(left, self._heads, strict=True) if one is not None]
        found = [still.mean(axis=(1, 2)) for still in kept if still is not None]
        means = np.mean(found, axis=0) if found else None
        if not parts:
            return Shares(told.last, linear, None, rest, means)
        recurrent = np.mean(parts, axis=0) * self._spread
        return Shares(told.last, linear, recurrent, rest - recurrent.sum(axis=0), means)

    def _linear(self, changes: Float[np.ndarray, "time column"]) -> Float[np.ndarray, "time column horizon target"]:
        """Multiply each change with its weight; changes before the first row are not known."""
        reached = min(len(changes), len(self._changes))
        found = np.zeros((len(changes), *self._changes.shape[1:]), np.float32)
        np.multiply(changes[-reached:, :, None, None], self._changes[-reached:], out=found[-reached:])
        return found

    def _read(self, left: Layer, head: np.ndarray) -> Float[np.ndarray, "time horizon target"]:
        """Read what each row left with the weights of the point."""
        time, folds, hidden = left.shape
        if self._folds == 1:
            steps, targets, _ = head.shape
            together: np.ndarray = left[:, 0] @ head.reshape(-1, hidden).T
            return together.reshape(time, steps, targets)
        each: np.ndarray = left.reshape(-1, hidden) @ head[:, 0].T
        return each.reshape(time, folds, -1).transpose(0, 2, 1)


def _still(keep: Layer | None) -> Layer | None:
    """Return the product of the keep gates behind each row."""
    if keep is None:
        return None
    after = np.ones(keep.shape)
    np.cumprod(keep[:0:-1], axis=0, dtype=np.float64, out=after[-2::-1])
    return after


def _left(layer: Gated, still: Layer | None) -> Layer | None:
    """Return what each row left in what the head reads."""
    if still is None or layer.write is None or layer.content is None:
        return None
    added: np.ndarray = still * layer.write * layer.content
    if layer.read is None:
        return added
    memory = added.sum(axis=0)
    small = np.abs(memory) < NEAR_ZERO
    slope = np.where(small, 1.0, np.tanh(memory) / np.where(small, 1.0, memory))
    added *= slope * layer.read[-1]
    return added

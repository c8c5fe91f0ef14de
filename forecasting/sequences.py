"""Training sequences: stretches of the training rows, gathered from views when a batch is due and never before.

Each pass over a panel cuts every series into stretches of `length` rows from a random first row, so that every row is a
target about once a pass. `burn_in` rows before a stretch bring the state up and carry no loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import IterableDataset

from forecasting.network import Rows
from forecasting.scaled import ScaledSeries
from forecasting.scaling import Units


class Batch(NamedTuple):
    """Sequences of burn_in + length rows; `following` holds `horizon` more, so that every position has its targets."""

    rows: Rows
    following: Float[Tensor, "batch horizon column"]

    def targets(self, burn_in: int) -> Float[Tensor, "batch time horizon column"]:
        """Return the rows that come after each position behind the burn-in, as a view."""
        values = torch.cat([self.rows.values, self.following], dim=1)
        horizon = self.following.shape[1]
        return values[:, burn_in + 1 :].unfold(1, horizon, 1).transpose(2, 3)


class Shape(NamedTuple):
    """Lengths of a batch, in rows."""

    batch: int
    burn_in: int
    length: int
    horizon: int

    @property
    def rows(self) -> int:
        """Rows of a sequence, the following ones included."""
        return self.burn_in + self.length + self.horizon


class Sequences(IterableDataset[Batch]):
    """Batches of one epoch after another; the order depends on the seed and the number of epochs taken, nothing else."""

    def __init__(self, panel: Sequence[ScaledSeries], shape: Shape, least: int, seed: int) -> None:
        """`least` is the number of batches of an epoch at least; more where a pass over the panel needs more."""
        self.panel = [one for one in panel if one.train.stop > shape.horizon]
        self.shape = fitting(shape, max(one.train.stop for one in self.panel))
        self.order = np.random.default_rng(seed)
        rows = sum(one.train.stop for one in self.panel)
        self.batches = max(least, rows // (shape.batch * self.shape.length))

    def __len__(self) -> int:
        """Batches of an epoch."""
        return self.batches

    def __iter__(self) -> Iterator[Batch]:
        """Go through one epoch."""
        starts = self._passes()
        for _ in range(self.batches):
            yield gather([next(starts) for _ in range(self.shape.batch)], self.shape)

    def _passes(self) -> Iterator[tuple[ScaledSeries, int]]:
        while True:
            stretches = [(i, start) for i, one in enumerate(self.panel) for start in self._starts(one)]
            for i, start in self.order.permuted(np.array(stretches), axis=0):
                yield self.panel[i], int(start)

    def _starts(self, one: ScaledSeries) -> range:
        """First rows of the sequences of one series in one pass."""
        room = one.train.stop - self.shape.horizon - self.shape.burn_in
        phase = int(self.order.integers(min(self.shape.length, max(room, 1))))
        return range(phase, max(room, phase + 1), self.shape.length)


def fitting(shape: Shape, longest: int) -> Shape:
    """Shorten burn-in and length where no series has as many training rows."""
    room = max(longest - shape.horizon, 2)
    burn_in = min(shape.burn_in, room // 3)
    return shape._replace(burn_in=burn_in, length=min(shape.length, room - burn_in))


def gather(places: list[tuple[ScaledSeries, int]], shape: Shape) -> Batch:
    """Copy the rows of one batch out of the series, in z units; rows behind the training part are missing."""
    values = np.stack([_stretch(one, start, shape.rows) for one, start in places])
    units = Units(*(np.stack(numbers)[:, None] for numbers in zip(*(one.units for one, _ in places), strict=True)))
    z = torch.from_numpy(units.to_z(values))
    steps = shape.rows - shape.horizon
    calendar = places[0][0].calendar.features(np.stack([_times(one, start, steps) for one, start in places]))
    return Batch(Rows(z[:, :steps], torch.from_numpy(calendar)), z[:, steps:])


def _stretch(one: ScaledSeries, start: int, rows: int) -> Float[np.ndarray, "rows column"]:
    stretch = one.series.values[start : min(start + rows, one.train.stop)]
    return np.pad(stretch, ((0, rows - len(stretch)), (0, 0)), constant_values=np.nan)


def _times(one: ScaledSeries, start: int, rows: int) -> np.ndarray:
    times = one.times[start : start + rows]
    return np.pad(times, (0, rows - len(times)), mode="edge")

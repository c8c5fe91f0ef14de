"""Training sequences: stretches of the training rows, gathered from views when a batch is due and never before.

Each pass over a panel cuts every series into stretches of `length` rows from a random first row, so that every row is a
target about once a pass. `burn_in` rows before a stretch bring the state up and carry no loss, and `prior` rows before
those fill the lags of the linear road, so that it says in training what it says when it is served. Before the first row
of a series they are missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import IterableDataset

from forecasting.members import Static
from forecasting.network import Rows
from forecasting.scaled import ScaledSeries, static_of

SMALLEST = 4
FORGOTTEN = 0.1
"""Share of the sequences whose static covariates are taken as unknown, so that this is learnt too."""


class Batch(NamedTuple):
    """Sequences of burn_in + length rows, the `prior` rows before and the targets of the `horizon` rows after them.

    With those after, every position has its targets.
    """

    prior: Float[Tensor, "batch lag seen"]
    rows: Rows
    following: Float[Tensor, "batch horizon target"]
    static: Static

    def targets(self, positions: range) -> Float[Tensor, "batch position horizon target"]:
        """Return the targets that come after some positions, as a view."""
        horizon, width = self.following.shape[1:]
        values = torch.cat([self.rows.values[..., :width], self.following], dim=1)
        following = values[:, 1:].unfold(1, horizon, 1).transpose(2, 3)
        return following[:, positions.start : positions.stop : positions.step]


class Shape(NamedTuple):
    """Lengths of a batch, in rows."""

    batch: int
    burn_in: int
    length: int
    horizon: int
    prior: int = 0

    @property
    def steps(self) -> int:
        """Rows of a sequence that the network unrolls."""
        return self.burn_in + self.length


class Sequences(IterableDataset[Batch]):
    """Batches of one epoch after another; their order depends on the seed and the number of epochs taken only."""

    def __init__(self, panel: Sequence[ScaledSeries], shape: Shape, least: int, seed: int) -> None:
        """`least` is the number of batches of an epoch at least; more where a pass over the panel needs more."""
        self.panel = [one for one in panel if one.train.stop > shape.horizon]
        rows = sum(one.train.stop for one in self.panel)
        self.shape = fitting(shape, max(one.train.stop for one in self.panel), rows)
        self.order = np.random.default_rng(seed)
        self.batches = max(least, rows // (self.shape.batch * self.shape.length))

    def __len__(self) -> int:
        """Batches of an epoch."""
        return self.batches

    def __iter__(self) -> Iterator[Batch]:
        """Go through one epoch."""
        starts = self._passes()
        for _ in range(self.batches):
            batch = gather([next(starts) for _ in range(self.shape.batch)], self.shape)
            yield batch._replace(static=_forgetting(batch.static, self.order))

    def _passes(self) -> Iterator[tuple[ScaledSeries, int]]:
        while True:
            stretches = [(i, start) for i, one in enumerate(self.panel) for start in self._starts(one)]
            for i, start in self.order.permutation(stretches):
                yield self.panel[i], int(start)

    def _starts(self, one: ScaledSeries) -> range:
        """First rows of the sequences of one series in one pass; a negative one lies before the series."""
        room, burn_in = one.train.stop - self.shape.horizon, self.shape.burn_in
        phase = int(self.order.integers(min(self.shape.length, room)))
        return range(phase - burn_in, room - burn_in, self.shape.length)


def fitting(shape: Shape, longest: int, rows: int) -> Shape:
    """Fit a shape to a panel of `rows` training rows, `longest` of them in one series.

    Burn-in and length shrink where no series has as many rows; the batch, down to `SMALLEST`, to the sequences of one
    pass: a batch of many passes is the same few rows again, and costs as much as new ones.
    """
    room = max(longest - shape.horizon, 2)
    burn_in = min(shape.burn_in, room // 3)
    length = min(shape.length, room - burn_in)
    batch = min(shape.batch, max(rows // length, SMALLEST))
    return shape._replace(batch=batch, burn_in=burn_in, length=length)


def gather(places: list[tuple[ScaledSeries, int]], shape: Shape) -> Batch:
    """Copy the rows of one batch out of the series, in z units; rows outside the training part are missing."""
    rows = shape.prior + shape.steps + shape.horizon
    z = _stacked([_stretch(one, start - shape.prior, rows) for one, start in places])
    calendar = places[0][0].calendar.features(np.stack([_times(one, start, shape.steps) for one, start in places]))
    known = _stacked([_known(one, start, shape.steps + shape.horizon) for one, start in places])
    prior, values, following = z.split_with_sizes([shape.prior, shape.steps, shape.horizon], dim=1)
    targets = len(places[0][0].columns.targets)
    static = static_of([one for one, _ in places])
    return Batch(prior, Rows(values, torch.from_numpy(calendar), known), following[..., :targets], static)


def _stacked(arrays: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(arrays))


def _forgetting(static: Static, order: np.random.Generator) -> Static:
    if not (static.numbers.shape[1] or static.codes.shape[1]):
        return static
    kept = torch.from_numpy(order.random(len(static.codes)) >= FORGOTTEN)[:, None]
    return Static(static.numbers * kept, static.codes * kept)


def _stretch(one: ScaledSeries, start: int, rows: int) -> Float[np.ndarray, "rows seen"]:
    first, stop = max(start, 0), min(start + rows, one.train.stop)
    stretch = np.full((rows, one.columns.seen), np.nan, dtype=np.float32)
    stretch[first - start : stop - start] = one.z(first, stop)
    return stretch


def _known(one: ScaledSeries, start: int, rows: int) -> Float[np.ndarray, "rows known"]:
    known = one.known(start, start + rows)
    known[max(one.train.stop - start, 0) :] = np.nan
    return known


def _times(one: ScaledSeries, start: int, rows: int) -> Int[np.ndarray, " rows"]:
    return one.times.take(np.arange(start, start + rows), mode="clip")

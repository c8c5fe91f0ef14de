"""One recurrent member of a forecaster: from what a row looks like to what it would add to the linear road.

joint         one cell sees all columns together; its head speaks for all targets
independent   one cell, shared by the targets, sees each of them alone (with its embedding), beside the covariates
"""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from forecasting.cells import CellState, cell_of
from forecasting.filling import LONGEST_ABSENCE, Filled

VIEWS = 4  # of each column: level, change, mask, absence
OUTPUTS = 3  # point, median, logarithm of the scale
WIDEST = 8  # of an embedding


class Architecture(msgspec.Struct, frozen=True, kw_only=True):
    """Everything needed to build a forecaster without its weights.

    Lengths in rows, widths in numbers. `seen` counts targets and past covariates; `statics` is the width of the static
    numbers, `categories` holds the number of codes of each static category.
    """

    cell: str
    channels: str
    targets: int
    seen: int
    known: int
    statics: int
    categories: tuple[int, ...]
    calendar: int
    horizon: int
    lags: int
    hidden: int
    layers: int
    dropout: float
    members: int

    @property
    def folds(self) -> int:
        """How often a cell is unrolled for one series: once for all targets together, or once for each."""
        return 1 if self.channels == "joint" else self.targets


class Static(NamedTuple):
    """Static covariates of a batch of series: scaled numbers with masks, codes of categories (0: unknown)."""

    numbers: Float[Tensor, "batch static"]
    codes: Int[Tensor, "batch category"]


class Seen(NamedTuple):
    """What members are told of a batch of series.

    `shared` is what all targets see: calendar and, after it, the known covariates with their masks, of `horizon` rows
    more than there are rows in `filled`.
    """

    filled: Filled
    shared: Float[Tensor, "batch reach feature"]
    static: Static


class Member(nn.Module):
    """Embeddings, a cell and a head; knows the shapes of joint and independent channels, and nobody else does."""

    def __init__(self, architecture: Architecture) -> None:
        """Build with random cells and a head at zero: that adds nothing."""
        super().__init__()
        a = architecture
        self.architecture = a
        self.embeddings = nn.ModuleList(nn.Embedding(codes, min(codes, WIDEST)) for codes in a.categories)
        own = VIEWS * a.seen if a.channels == "joint" else VIEWS * (1 + a.seen - a.targets) + min(a.targets, WIDEST)
        embedded = sum(min(codes, WIDEST) for codes in a.categories)
        features = own + a.calendar + 2 * a.known + a.statics + embedded
        self.cell = cell_of(a.cell, features, a.hidden, a.layers, a.dropout)
        self.head = _zeros(nn.Linear(a.hidden, OUTPUTS * a.horizon * a.targets // a.folds))
        if a.channels == "independent":
            self.channel = nn.Embedding(a.targets, min(a.targets, WIDEST))
        if a.known:
            self.ahead = Ahead(a)

    def initial_state(self, batch: int) -> CellState:
        """Return the state before the first row: tensors of shape (layers, batch, folds * hidden)."""
        return tuple(part.reshape(len(part), batch, -1) for part in self.cell.initial_state(batch * self._folds))

    def kept(self, batch: int) -> Float[Tensor, "folded one hidden"] | None:
        """Draw which outputs of the cell dropout keeps in training, for all positions of a sequence alike.

        Source: Gal and Ghahramani 2016. Drawn here, and not in `forward`, so that members may run side by side and
        still take the same random numbers in the same order.
        """
        rate, hidden = self.architecture.dropout, self.architecture.hidden
        if not (self.training and rate):
            return None
        like = self.head.weight
        drawn = torch.rand(batch * self._folds, 1, hidden, device=like.device, dtype=like.dtype)
        return (drawn >= rate) / (1 - rate)

    def forward(
        self, seen: Seen, state: CellState, kept: Tensor | None, positions: range
    ) -> tuple[Float[Tensor, "batch position output horizon target"], CellState]:
        """Return the corrections at some positions, and the state after the last row; `kept` is of `self.kept`."""
        batch = len(seen.shared)
        output, after = self.cell.unroll(self.inputs(seen), self.folded(state))
        output = _at(output, positions) if kept is None else _at(output, positions) * kept
        return self.said(output, seen, positions), tuple(part.reshape(len(part), batch, -1) for part in after)

    def said(
        self, output: Float[Tensor, "folded position hidden"], seen: Seen, positions: range
    ) -> Float[Tensor, "batch position output horizon target"]:
        """Return the corrections that the outputs of the cell at some positions come to."""
        raw: Tensor = self.head(output)
        if self.architecture.known:
            raw = raw + self.ahead(output, self._repeated(seen.shared[..., self.architecture.calendar :]), positions)
        return self._unfolded(raw, len(seen.shared))

    def inputs(self, seen: Seen) -> Float[Tensor, "folded time feature"]:
        """Return what the cell is told of each row."""
        filled, shared, static = seen
        time = filled.level.shape[1]
        return torch.cat([self._own(filled), self._common(shared[:, :time], static)], dim=-1)

    def folded(self, state: CellState) -> CellState:
        """Lay the targets beside the series: (layers, batch, folds * hidden) to (layers, batch * folds, hidden)."""
        return tuple(part.reshape(len(part), part.shape[1] * self._folds, -1).contiguous() for part in state)

    @property
    def _folds(self) -> int:
        return self.architecture.folds

    def _own(self, filled: Filled) -> Float[Tensor, "folded time feature"]:
        """Return the views of the columns: of all of them, or of each target beside the past covariates."""
        batch, time = filled.level.shape[:2]
        absence = torch.log1p(filled.absence) / math.log1p(LONGEST_ABSENCE)
        views = [filled.level, filled.changes[:, -time:], filled.observed.float(), absence]
        if self.architecture.channels == "joint":
            return torch.cat(views, dim=-1)
        targets = self.architecture.targets
        each = torch.stack([view[..., :targets] for view in views], dim=-1)
        folded = each.transpose(1, 2).flatten(0, 1)
        past = self._repeated(torch.cat([view[..., targets:] for view in views], dim=-1))
        channel = self.channel.weight.repeat(batch, 1)[:, None].expand(-1, time, -1)
        return torch.cat([folded, past, channel], dim=-1)

    def _common(self, shared: Tensor, static: Static) -> Float[Tensor, "folded time feature"]:
        codes = [embedding(static.codes[:, i]) for i, embedding in enumerate(self.embeddings)]
        constant = torch.cat([static.numbers, *codes], dim=-1)[:, None].expand(-1, shared.shape[1], -1)
        return self._repeated(torch.cat([shared, constant], dim=-1))

    def _repeated(self, rows: Tensor) -> Tensor:
        """Give every target of a series the same rows."""
        return rows if self._folds == 1 else rows.repeat_interleave(self._folds, dim=0)

    def _unfolded(self, raw: Tensor, batch: int) -> Float[Tensor, "batch position output horizon target"]:
        a = self.architecture
        if self._folds == 1:
            return raw.reshape(batch, -1, OUTPUTS, a.horizon, a.targets)
        return raw.reshape(batch, a.targets, -1, OUTPUTS, a.horizon).permute(0, 2, 3, 4, 1)


class Ahead(nn.Module):
    """What covariates known in advance change: V tanh(A output_t + B known_(t+h)), the same V, A, B for all steps."""

    def __init__(self, architecture: Architecture) -> None:
        """Build with V at zero."""
        super().__init__()
        a = architecture
        self.steps = a.horizon
        self.context = nn.Linear(a.hidden, a.hidden)
        self.known = nn.Linear(2 * a.known, a.hidden, bias=False)
        self.out = _zeros(nn.Linear(a.hidden, OUTPUTS * a.targets // a.folds, bias=False))

    def forward(
        self,
        output: Float[Tensor, "folded position hidden"],
        known: Float[Tensor, "folded reach known"],
        positions: range,
    ) -> Float[Tensor, "folded position output"]:
        """Return corrections by output, step and target; `known` are those of all rows and of the steps after them."""
        context, mixed = self.context(output), self.known(known)
        steps = (_at(mixed[:, step:], positions) for step in range(1, self.steps + 1))
        made = [self.out(torch.tanh(context + step)) for step in steps]
        by_output = torch.stack(made, dim=2).reshape(*output.shape[:2], self.steps, OUTPUTS, -1)
        return by_output.transpose(2, 3).flatten(2)


def _at(rows: Tensor, positions: range) -> Tensor:
    """Return the rows at some positions, as a view."""
    return rows[:, positions.start : positions.stop : positions.step]


def _zeros(linear: nn.Linear) -> nn.Linear:
    for parameter in linear.parameters():
        nn.init.zeros_(parameter)
    return linear

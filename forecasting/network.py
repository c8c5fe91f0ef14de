"""The forecaster: (observation, state) -> (forecast, state). Training, backtesting and serving all unroll this.

    forecast = last value + share * linear road + what the recurrent members add (the mean of them)

All values are in z units (see `scaling`). Recurrent inputs are levels, changes, masks and times since last seen, never
anchored on a window, so that a window, a stream and an unroll over all of history are the same computation.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from forecasting.cells import CellState, FusedCell
from forecasting.linear import LinearRoad

LONGEST_ABSENCE = 1000.0
"""Rows after which "not seen for a long time" grows no more; also the value before a column was ever seen."""


class Architecture(msgspec.Struct, frozen=True, kw_only=True):
    """Everything needed to build a forecaster without its weights. Lengths in rows, widths in numbers."""

    cell: str
    columns: int
    calendar: int
    horizon: int
    lags: int
    hidden: int
    layers: int
    dropout: float
    members: int

    @property
    def features(self) -> int:
        """Width of a row as the cells see it: level, change, mask and absence of each column, and the calendar."""
        return 4 * self.columns + self.calendar


class Rows(NamedTuple):
    """Observations of a batch of series, oldest first; NaN is a missing cell."""

    values: Float[Tensor, "batch time column"]
    calendar: Float[Tensor, "batch time feature"]


class State(NamedTuple):
    """All that a forecaster carries from one row to the next."""

    level: Float[Tensor, "batch column"]
    seen: Bool[Tensor, "batch column"]
    absence: Float[Tensor, "batch column"]
    changes: Float[Tensor, "batch lag column"]
    cells: tuple[CellState, ...]


class Forecast(NamedTuple):
    """Point (mean) and median of the next `horizon` rows, made at each position in time."""

    point: Float[Tensor, "*position horizon column"]
    median: Float[Tensor, "*position horizon column"]


class Filled(NamedTuple):
    """Rows without holes: each missing cell holds the last value seen (0 before the first)."""

    level: Float[Tensor, "batch time column"]
    observed: Bool[Tensor, "batch time column"]
    absence: Float[Tensor, "batch time column"]
    changes: Float[Tensor, "batch past column"]


class Forecaster(nn.Module):
    """Anchor, linear road and recurrent members behind `initial_state`, `step` and `unroll`."""

    share: Tensor
    spread: Tensor

    def __init__(self, architecture: Architecture) -> None:
        """Build with random cells, heads at zero and the linear road at zero: that forecasts persistence."""
        super().__init__()
        a = architecture
        self.architecture = a
        self.linear = LinearRoad(a.columns, a.horizon, a.lags, a.calendar)
        cells = [FusedCell(a.cell, a.features, a.hidden, a.layers, a.dropout) for _ in range(a.members)]
        self.cells = nn.ModuleList(cells)
        self.heads = nn.ModuleList(_zero_head(a.hidden, 2 * a.horizon * a.columns) for _ in range(a.members))
        self.dropout = nn.Dropout(a.dropout)
        # How much of what the linear road adds the point (all of it) and the median take: a road fitted to squares is
        # no good median of a column that mostly stays as it is.
        self.register_buffer("share", torch.ones(2, a.horizon, a.columns))
        # Members speak in units of what the linear road leaves, so that all columns learn at one pace; after training
        # also scaled by how far each correction is trusted (see `validation`).
        self.register_buffer("spread", torch.ones(2, a.horizon, a.columns))

    def initial_state(self, batch: int) -> State:
        """Return the state before any row was seen."""
        a, like = self.architecture, self.spread
        zeros = torch.zeros(batch, a.columns, device=like.device)
        return State(
            level=zeros,
            seen=torch.zeros_like(zeros, dtype=torch.bool),
            absence=torch.full_like(zeros, LONGEST_ABSENCE),
            changes=torch.zeros(batch, a.lags - 1, a.columns, device=like.device),
            cells=tuple(cell.initial_state(batch) for cell in self._cells()),
        )

    def primed_state(self, values: Float[Tensor, "batch time column"]) -> State:
        """Return the state behind rows that the linear road remembers and the cells do not."""
        state = self.initial_state(len(values))
        return _after(fill(values, state), state, state.cells)

    def step(
        self, row: Float[Tensor, "batch column"], calendar: Float[Tensor, "batch feature"], state: State
    ) -> tuple[Forecast, State]:
        """Take one row and forecast what follows it."""
        forecast, state = self.unroll(Rows(row[:, None], calendar[:, None]), state)
        return Forecast(forecast.point[:, 0], forecast.median[:, 0]), state

    def unroll(self, rows: Rows, state: State) -> tuple[Forecast, State]:
        """Take many rows and forecast at every one of them; the same as as many steps."""
        members, state = self.unroll_members(rows, state)
        mean = members[0] if len(members) == 1 else torch.stack(members).mean(dim=0)
        return Forecast(*mean.unbind(dim=2)), state

    def forecast_last(self, rows: Rows, state: State) -> tuple[Forecast, State]:
        """Take many rows and forecast at the last of them only."""
        members, state = self.unroll_members(rows, state, last=True)
        mean = members[0] if len(members) == 1 else torch.stack(members).mean(dim=0)
        return Forecast(*mean[:, 0].unbind(dim=1)), state

    def unroll_members(self, rows: Rows, state: State, *, last: bool = False) -> tuple[list[Tensor], State]:
        """Return each member's own (point, median), of shape (batch, time, 2, horizon, column)."""
        filled = fill(rows.values, state)
        inputs = torch.cat([self._inputs(filled), rows.calendar], dim=-1)
        outputs, cells = zip(
            *(cell.unroll(inputs, before) for cell, before in zip(self._cells(), state.cells, strict=True)),
            strict=True,
        )
        position = slice(-1, None) if last else slice(None)
        base = self._base(filled, rows.calendar, position)
        members = [
            base + self._correction(head, output[:, position]) for head, output in zip(self.heads, outputs, strict=True)
        ]
        return members, _after(filled, state, cells)

    def _cells(self) -> list[FusedCell]:
        return list(self.cells)  # type: ignore[arg-type]

    def _inputs(self, filled: Filled) -> Float[Tensor, "batch time feature"]:
        time = filled.level.shape[1]
        absence = torch.log1p(filled.absence) / math.log1p(LONGEST_ABSENCE)
        return torch.cat([filled.level, filled.changes[:, -time:], filled.observed.float(), absence], dim=-1)

    def _base(self, filled: Filled, calendar: Tensor, position: slice) -> Float[Tensor, "batch time 2 horizon column"]:
        changes = filled.changes[:, -self.architecture.lags :] if position.start == -1 else filled.changes
        level = filled.level[:, position]
        added: Tensor = self.linear(changes, level, calendar[:, position])
        return level[:, :, None, None] + self.share * added[:, :, None]

    def _correction(self, head: nn.Module, output: Tensor) -> Float[Tensor, "batch time 2 horizon column"]:
        raw: Tensor = head(self.dropout(output))
        return raw.reshape(*raw.shape[:2], *self.spread.shape) * self.spread


def fill(values: Float[Tensor, "batch time column"], state: State) -> Filled:
    """Carry the last seen value of each column forward, and say since when; a change is 0 until both values are known.

    Vectorised over time: the running maximum of the positions of observed cells is the position of the last one.
    """
    known = torch.cat([state.level[:, None], values], dim=1)  # row 0 is the one before
    observed = ~torch.isnan(known)
    position = torch.arange(known.shape[1], device=values.device)[None, :, None]
    source = torch.where(observed, position, 0).cummax(dim=1).values
    level = known.gather(1, source)
    seen = source > 0
    waited = torch.where(seen, position - source, state.absence[:, None] + position)
    changes = torch.where(seen[:, :-1] | state.seen[:, None], level.diff(dim=1), 0.0)
    return Filled(
        level=level[:, 1:],
        observed=observed[:, 1:],
        absence=waited[:, 1:].clamp(max=LONGEST_ABSENCE),
        changes=torch.cat([state.changes, changes], dim=1),
    )


def fill_alone(values: Float[Tensor, "time column"], lags: int = 1) -> Filled:
    """`fill` one series from its first row, without a network."""
    nothing = torch.zeros(1, values.shape[1])
    changes = torch.zeros(1, lags - 1, values.shape[1])
    return fill(values[None], State(nothing, nothing.bool(), nothing + LONGEST_ABSENCE, changes, ()))


def _after(filled: Filled, state: State, cells: tuple[CellState, ...]) -> State:
    kept = filled.changes[:, filled.changes.shape[1] - state.changes.shape[1] :]
    return State(
        level=filled.level[:, -1],
        seen=state.seen | filled.observed.any(dim=1),
        absence=filled.absence[:, -1],
        changes=kept,
        cells=cells,
    )


def _zero_head(features: int, outputs: int) -> nn.Linear:
    head = nn.Linear(features, outputs)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head

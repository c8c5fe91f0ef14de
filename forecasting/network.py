"""The forecaster: (observation, state) -> (forecast, state). Training, backtesting and serving all unroll this.

    forecast = last value + share * linear road + what the recurrent members add (the mean of them)

All values are in z units (see `scaling`). Recurrent inputs are levels, changes, masks and times since last seen, never
anchored on a window, so that a window, a stream and an unroll over all of history are the same computation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from forecasting.cells import CellState
from forecasting.filling import Past, fill, nothing, past_after
from forecasting.linear import LinearRoad, RoadShape
from forecasting.members import OUTPUTS, Architecture, Member, Seen, Static

Each = Callable[..., Iterable[Any]]
"""A `map`: of a function over the items of several lists, in their order."""

LARGEST_STRETCH = 3.0
"""How far a member may stretch or shrink the scale: by a factor of e to this."""


class Rows(NamedTuple):
    """Observations of a batch of series, oldest first; NaN is a missing cell.

    `values` are targets and past covariates. `known` are the covariates known in advance, of these rows and of the
    `horizon` rows after them.
    """

    values: Float[Tensor, "batch time seen"]
    calendar: Float[Tensor, "batch time feature"]
    known: Float[Tensor, "batch reach known"]

    def part(self, start: int, stop: int) -> Rows:
        """Return rows [start, stop), with what is known of the steps after them."""
        ahead = self.known.shape[1] - self.values.shape[1]
        return Rows(self.values[:, start:stop], self.calendar[:, start:stop], self.known[:, start : stop + ahead])


class State(NamedTuple):
    """All that a forecaster carries from one row to the next."""

    past: Past
    static: Static
    cells: tuple[CellState, ...]


class Forecast(NamedTuple):
    """Point (mean), median and scale (mean size of the median's error) of the next `horizon` rows, at each position."""

    point: Float[Tensor, "*position horizon target"]
    median: Float[Tensor, "*position horizon target"]
    scale: Float[Tensor, "*position horizon target"]


class Forecaster(nn.Module):
    """Anchor, linear road and recurrent members behind `initial_state`, `step` and `unroll`."""

    share: Tensor
    spread: Tensor
    noise: Tensor

    def __init__(self, architecture: Architecture) -> None:
        """Build with random cells, heads at zero and the linear road at zero: that forecasts persistence."""
        super().__init__()
        a = architecture
        self.architecture = a
        self.linear = LinearRoad(RoadShape(a.horizon, a.targets, a.seen, a.lags, a.calendar, a.known))
        self.members = nn.ModuleList(Member(a) for _ in range(a.members))
        outputs = (a.horizon, a.targets)
        # How much of what the linear road adds the point (all of it) and the median take: a road fitted to squares is
        # no good median of a column that mostly stays as it is.
        self.register_buffer("share", torch.ones(2, *outputs))
        # Members speak of point and median in units of what the linear road leaves, so that all columns learn at one
        # pace; after training also scaled by how far each correction is trusted (see `validation`).
        self.register_buffer("spread", torch.ones(OUTPUTS, *outputs))
        self.register_buffer("noise", torch.zeros(outputs))  # logarithm of the scale before any correction

    def initial_state(self, batch: int, static: Static | None = None) -> State:
        """Return the state before any row was seen, of series with these static covariates (default: unknown)."""
        a, device = self.architecture, self.spread.device
        unknown = Static(
            torch.zeros(batch, a.statics, device=device),
            torch.zeros(batch, len(a.categories), dtype=torch.int64, device=device),
        )
        return State(
            past=nothing(batch, a.seen, a.lags, device),
            static=unknown if static is None else static,
            cells=tuple(member.initial_state(batch) for member in self._members()),
        )

    def primed_state(self, values: Float[Tensor, "batch time seen"], static: Static | None = None) -> State:
        """Return the state behind rows that the linear road remembers and the cells do not."""
        state = self.initial_state(len(values), static)
        return state._replace(past=past_after(fill(values, state.past), state.past))

    def step(
        self,
        row: Float[Tensor, "batch seen"],
        calendar: Float[Tensor, "batch feature"],
        known: Float[Tensor, "batch reach known"],
        state: State,
    ) -> tuple[Forecast, State]:
        """Take one row, with the known covariates of it and of the steps to come, and forecast what follows it."""
        forecast, state = self.unroll(Rows(row[:, None], calendar[:, None], known), state)
        return Forecast(*(part[:, 0] for part in forecast)), state

    def unroll(self, rows: Rows, state: State) -> tuple[Forecast, State]:
        """Take many rows and forecast at every one of them; the same as as many steps."""
        members, state = self.unroll_members(rows, state)
        return _averaged(members), state

    def forecast_last(self, rows: Rows, state: State) -> tuple[Forecast, State]:
        """Take many rows and forecast at the last of them only."""
        newest = range(rows.values.shape[1] - 1, rows.values.shape[1])
        members, state = self.unroll_members(rows, state, newest)
        return Forecast(*(part[:, 0] for part in _averaged(members))), state

    def unroll_members(
        self, rows: Rows, state: State, positions: range | None = None, each: Each = map
    ) -> tuple[list[Tensor], State]:
        """Return each member's own point, median and log scale at some positions (default: all) and the state after.

        Each is of shape (batch, position, 3, horizon, target). `each` may run the members side by side, as the `map` of
        a thread pool does: the answer is the same.
        """
        base, corrections, state = self.unroll_roads(rows, state, positions, each)
        return [base + correction for correction in corrections], state

    def unroll_roads(
        self, rows: Rows, state: State, positions: range | None = None, each: Each = map
    ) -> tuple[Tensor, list[Tensor], State]:
        """Return what anchor and linear road say, what each member adds to it, and the state after.

        As `unroll_members`, whose answer is the sum of the two.
        """
        positions = range(rows.values.shape[1]) if positions is None else positions
        seen = self.seen(rows, state)
        base, members = self.base(seen, rows, positions), self._members()
        kept = [member.kept(len(base)) for member in members]
        ask = partial(_said_by, seen, positions, torch.is_grad_enabled())
        said, cells = zip(*each(ask, members, state.cells, kept), strict=True)
        after = State(past_after(seen.filled, state.past), state.static, tuple(cells))
        return base, [self._limited(correction) for correction in said], after

    def seen(self, rows: Rows, state: State) -> Seen:
        """Return what members are told of rows behind a state."""
        known = rows.known.nan_to_num(0.0)
        return Seen(fill(rows.values, state.past), self._shared(rows, known), state.static)

    def _members(self) -> list[Member]:
        return list(self.members)  # type: ignore[arg-type]

    def _shared(self, rows: Rows, known: Tensor) -> Float[Tensor, "batch reach feature"]:
        """Return what all columns see: the calendar; known covariates and their masks, also of the rows to come."""
        if not self.architecture.known:
            return rows.calendar
        after = known.shape[1] - rows.calendar.shape[1]
        calendar = torch.nn.functional.pad(rows.calendar, (0, 0, 0, after))
        return torch.cat([calendar, known, (~rows.known.isnan()).float()], dim=-1)

    def base(self, seen: Seen, rows: Rows, positions: range) -> Float[Tensor, "batch position 3 horizon target"]:
        """Return what anchor and linear road say at some positions: point, median, logarithm of the scale."""
        filled, calendar, known = seen.filled, rows.calendar, rows.known.nan_to_num(0.0)
        level = filled.level[:, positions.start : positions.stop : positions.step]
        added: Tensor = self.linear(filled.changes, filled.level, calendar, known, positions)
        said = level[:, :, None, None, : self.architecture.targets] + self.share * added[:, :, None]
        noise = self.noise.expand(*said.shape[:2], 1, *self.noise.shape)
        return torch.cat([said, noise], dim=2)

    def _limited(self, correction: Tensor) -> Tensor:
        """Scale the corrections to their units; the one of the scale stays within its limits."""
        said, stretch = correction.split_with_sizes([OUTPUTS - 1, 1], dim=2)
        return torch.cat([said, stretch.clamp(-LARGEST_STRETCH, LARGEST_STRETCH)], dim=2) * self.spread


def _said_by(
    seen: Seen, positions: range, learning: bool, member: Member, before: CellState, kept: Tensor | None
) -> tuple[Tensor, CellState]:
    """Ask a member, in whatever thread this is: whether gradients are kept is a setting of each thread."""
    with torch.set_grad_enabled(learning):
        made: tuple[Tensor, CellState] = member(seen, before, kept, positions)
        return made


def _averaged(members: list[Tensor]) -> Forecast:
    mean = members[0] if len(members) == 1 else torch.stack(members).mean(dim=0)
    point, median, log_scale = mean.unbind(dim=2)
    return Forecast(point, median, log_scale.exp())

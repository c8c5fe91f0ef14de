"""Small architectures with rows for them: complete, with holes, with covariates of every kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from forecasting.members import Static
from forecasting.network import Forecast, Forecaster, Rows, State
from tests.forecasting.panels import forecaster

CATEGORIES = (3, 9)


@dataclass(frozen=True)
class Case:
    """An architecture but for its cell, and rows of a batch of series with their static covariates."""

    fields: dict[str, Any]
    rows: Rows
    static: Static
    seed: int

    @property
    def batch(self) -> int:
        return len(self.rows.values)

    @property
    def time(self) -> int:
        return self.rows.values.shape[1]

    @property
    def horizon(self) -> int:
        return int(self.fields["horizon"])

    def forecaster(self, cell: str) -> Forecaster:
        return forecaster(self.seed, cell=cell, **self.fields)

    def unrolled(self, network: Forecaster, rows: Rows | None = None) -> Forecast:
        """Unroll from the state before any row: the rows of the case, if no others are given."""
        return network.unroll(self.rows if rows is None else rows, network.initial_state(self.batch, self.static))[0]


@st.composite
def cases(draw: st.DrawFn, **fixed: Any) -> Case:
    """Draw an architecture, with these fields fixed, and rows: with holes, late first rows, columns never seen."""
    fields = {
        "columns": draw(st.integers(1, 3)),
        "past": draw(st.integers(0, 1)),
        "known": draw(st.sampled_from([0, 0, 2])),
        "statics": draw(st.sampled_from([0, 2])),
        "categories": draw(st.sampled_from([(), CATEGORIES])),
        "channels": draw(st.sampled_from(["joint", "independent"])),
        "calendar": draw(st.sampled_from([0, 2])),
        "horizon": draw(st.integers(1, 3)),
        "lags": draw(st.integers(1, 5)),
        "layers": draw(st.integers(1, 2)),
        "members": draw(st.integers(1, 2)),
    } | fixed
    batch, time, seed = draw(st.integers(1, 3)), draw(st.integers(2, 16)), draw(st.integers(0, 2**16))
    noise = torch.Generator().manual_seed(seed)
    values = _holed(torch.randn(batch, time, fields["columns"] + fields["past"], generator=noise), draw, noise)
    values[:, : draw(st.integers(0, 3))] = torch.nan
    if draw(st.booleans()):
        values[0, :, -1] = torch.nan
    calendar = torch.randn(batch, time, fields["calendar"], generator=noise)
    known = _holed(torch.randn(batch, time + fields["horizon"], fields["known"], generator=noise), draw, noise)
    codes = [torch.randint(0, most, (batch,), generator=noise) for most in fields["categories"]]
    numbers = torch.randn(batch, fields["statics"], generator=noise)
    static = Static(numbers, torch.stack(codes, dim=1) if codes else torch.zeros(batch, 0, dtype=torch.int64))
    return Case(fields, Rows(values, calendar, known), static, seed)


def _holed(cells: Tensor, draw: st.DrawFn, noise: torch.Generator) -> Tensor:
    cells[torch.rand(cells.shape, generator=noise) < draw(st.sampled_from([0.0, 0.3, 0.9]))] = torch.nan
    return cells


def rows_of(values: Tensor, calendar: int = 0, known: Tensor | None = None, horizon: int = 2) -> Rows:
    """Put values beside a calendar of ones and, if none are given, no known covariates."""
    batch, time, _ = values.shape
    known = torch.zeros(batch, time + horizon, 0) if known is None else known
    return Rows(values, torch.ones(batch, time, calendar), known)


def one_by_one(network: Forecaster, rows: Rows, state: State) -> tuple[Forecast, State]:
    """Step through rows."""
    made = []
    for at in range(rows.values.shape[1]):
        row = rows.part(at, at + 1)
        forecast, state = network.step(row.values[:, 0], row.calendar[:, 0], row.known, state)
        made.append(forecast)
    return Forecast(*(torch.stack(parts, dim=1) for parts in zip(*made, strict=True))), state

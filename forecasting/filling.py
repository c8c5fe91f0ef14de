"""Rows without holes: the last value seen, since when, and what changed; stepped or unrolled, the same numbers."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

LONGEST_ABSENCE = 1000.0
"""Rows after which "not seen for a long time" grows no more; also the value before a column was ever seen."""


class Past(NamedTuple):
    """What is remembered of the rows before: last values, which were ever seen, since when, the last changes."""

    level: Float[Tensor, "batch column"]
    seen: Bool[Tensor, "batch column"]
    absence: Float[Tensor, "batch column"]
    changes: Float[Tensor, "batch lag column"]


class Filled(NamedTuple):
    """Rows without holes: each missing cell holds the last value seen (0 before the first)."""

    level: Float[Tensor, "batch time column"]
    observed: Bool[Tensor, "batch time column"]
    absence: Float[Tensor, "batch time column"]
    changes: Float[Tensor, "batch past column"]


def nothing(batch: int, columns: int, lags: int, device: torch.device | None = None) -> Past:
    """Return the past before any row was seen; `lags` changes are remembered, less the one of the row to come."""
    zeros = torch.zeros(batch, columns, device=device)
    return Past(
        level=zeros,
        seen=torch.zeros_like(zeros, dtype=torch.bool),
        absence=torch.full_like(zeros, LONGEST_ABSENCE),
        changes=torch.zeros(batch, lags - 1, columns, device=device),
    )


def fill(values: Float[Tensor, "batch time column"], past: Past) -> Filled:
    """Carry the last seen value of each column forward, and say since when; a change is 0 until both values are known.

    Vectorised over time: the running maximum of the positions of observed cells is the position of the last one.
    """
    known = torch.cat([past.level[:, None], values], dim=1)  # row 0 is the one before
    observed = ~torch.isnan(known)
    position = torch.arange(known.shape[1], device=values.device)[None, :, None]
    source = torch.where(observed, position, 0).cummax(dim=1).values
    level = known.gather(1, source)
    seen = source > 0
    waited = torch.where(seen, position - source, past.absence[:, None] + position)
    changes = torch.where(seen[:, :-1] | past.seen[:, None], level.diff(dim=1), 0.0)
    return Filled(
        level=level[:, 1:],
        observed=observed[:, 1:],
        absence=waited[:, 1:].clamp(max=LONGEST_ABSENCE),
        changes=torch.cat([past.changes, changes], dim=1),
    )


def fill_alone(values: Float[Tensor, "time column"], lags: int = 1) -> Filled:
    """`fill` one series from its first row."""
    return fill(values[None], nothing(1, values.shape[1], lags))


def past_after(filled: Filled, past: Past) -> Past:
    """Return what is remembered behind the filled rows."""
    return Past(
        level=filled.level[:, -1],
        seen=past.seen | filled.observed.any(dim=1),
        absence=filled.absence[:, -1],
        changes=filled.changes[:, filled.changes.shape[1] - past.changes.shape[1] :],
    )

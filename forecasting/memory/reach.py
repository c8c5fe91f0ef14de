"""How far back a forecast moves with the rows: derivatives of how far its point goes away from the last value.

The squares of the derivatives by step and target are summed by projection: a derivative along a random direction of
signs has, squared, the sum of all squares as its mean (Hutchinson 1990), and costs one way back whatever the horizon.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from forecasting.filling import fill
from forecasting.members import Static
from forecasting.network import Forecaster, Rows
from forecasting.remembering import HELD, Reach

PROBES = 8
"""Directions; where there are no more outputs than this, each output is asked by itself."""
ABOVE, DIGITS = 0.01, 6
MOST = 1e60
"""A square that is no longer told from larger ones: of a cell whose gradients explode."""


class Reaches(NamedTuple):
    """Of the forecast, of what the linear road adds to the last value, and of what the members add to that."""

    forecast: Reach
    linear: Reach
    recurrent: Reach


def reaches(forecaster: Forecaster, rows: Rows, static: Static | None) -> Reaches:
    """Measure them at the last of the rows of each window; a cell that is missing moves nothing."""
    values = rows.values.detach().clone().requires_grad_()
    newest = range(values.shape[1] - 1, values.shape[1])
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):  # which knows no way back but in training
        state = forecaster.initial_state(len(values), static)
        base, corrections, _ = forecaster.unroll_roads(rows._replace(values=values), state, newest)
        last = fill(values, state.past).level[:, -1:, : base.shape[-1]]
        added = torch.stack(corrections).mean(dim=0)
        ways = [_ways(said, values) for said in (base[:, 0, 0] - last, added[:, 0, 0])]
    linear, recurrent = (torch.stack(way) for way in ways)
    scale = _scale(base[0, 0, 0].numel())
    return Reaches(*(reach_of(_squares(one, scale)) for one in (linear + recurrent, linear, recurrent)))


def _ways(said: Float[Tensor, "window horizon target"], values: Tensor) -> list[Tensor]:
    """Return the derivatives along each direction, of shape (window, time, column)."""
    if not said.requires_grad:
        return [torch.zeros_like(values) for _ in _directions(said)]
    return [
        torch.autograd.grad(said, values, direction, retain_graph=True, materialize_grads=True)[0]
        for direction in _directions(said)
    ]


def _directions(said: Tensor) -> list[Tensor]:
    outputs = said[0].numel()
    if outputs <= PROBES:
        each = torch.eye(outputs, dtype=said.dtype, device=said.device).reshape(-1, *said.shape[1:])
        return [one.expand_as(said) for one in each]
    draw = torch.Generator().manual_seed(0)
    return [(torch.randint(2, said.shape, generator=draw) * 2 - 1).to(said) for _ in range(PROBES)]


def _scale(outputs: int) -> int:
    """Return by what the summed squares of all directions are divided to be the mean over outputs."""
    return outputs if outputs <= PROBES else outputs * PROBES


def _squares(ways: Float[Tensor, "direction window time column"], scale: int) -> Float[np.ndarray, " lag"]:
    """Return squares by lag, newest row first: of all columns, the mean over windows."""
    found = ways.double().square().sum(dim=(0, 3)).mean(dim=0) / scale
    return np.asarray(found.flip(0).cpu().numpy())


def reach_of(squares: Float[np.ndarray, " lag"]) -> Reach:
    """Read the lengths of squares by lag; all are 0 where nothing moves the point. What is too large is cut."""
    squares = np.nan_to_num(squares, nan=0.0, posinf=MOST).clip(max=MOST)
    total = squares.sum()
    if not total > 0:
        return Reach(half=0, most=0, all_but=0, above=0, curve=(0.0,) * len(squares))
    held, curve = np.cumsum(squares) / total, np.sqrt(squares)
    half, most, all_but = (int(np.searchsorted(held, share - 1e-12)) + 1 for share in (0.5, HELD, 0.99))
    above = int(np.flatnonzero(curve >= ABOVE * curve.max())[-1]) + 1
    return Reach(
        half=half, most=most, all_but=all_but, above=above, curve=tuple(float(f"{one:.{DIGITS}g}") for one in curve)
    )

"""A point shared out among the rows it was made from.

    point = last value + what each row gave the linear road + what each row left in the memory + the rest

The linear road is a sum over changes, so each row's share is a product. In a gated cell a row leaves write * content in
the memory, of which the gates after it keep a product: c_T = sum_s (prod_(r > s) keep_r) write_s content_s. What the
head reads is linear in c_T (gru) or read_T tanh(c_T) (lstm), which is shared out in the proportion of the sum. That is
exact along the cell path; how a row came to write what it wrote, by the hidden state before it, is not followed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from forecasting.cells import FUSED
from forecasting.members import Member, Seen
from forecasting.memory.traces import Trace, traces
from forecasting.network import Forecaster, Rows, State

NEAR_ZERO = 1e-12


class Shares(NamedTuple):
    """What moved the point, in z units, oldest row first; `recurrent` is None where the cell has no path of its own.

    `rest` is what no row moved by itself: biases, calendar, levels, what is known in advance, the state before.
    """

    linear: Float[np.ndarray, "time column horizon target"]
    recurrent: Float[np.ndarray, "time horizon target"] | None
    rest: Float[np.ndarray, "horizon target"]
    last: Float[np.ndarray, " target"]


class Told(NamedTuple):
    """What a member said of one window, and how it came to it.

    `point` is of shape (horizon, target); `kept` and `left`, of shape (fold, time, hidden), are the share of each row's
    memory that is still there at the newest, and what each row left in what the head reads; None where there is no
    path.
    """

    point: Tensor
    layers: list[Trace]
    kept: Tensor | None
    left: Tensor | None


Hidden = Callable[[list[Tensor]], list[list[Tensor]]]
"""From what the cell of each member is told to the hidden states of each of its layers, behind every row."""


def shares_of(
    forecaster: Forecaster, rows: Rows, state: State, hidden: Hidden | None = None
) -> tuple[Shares, list[Told]]:
    """Share out the point behind the last row of one window; and what each member said of it.

    `hidden` is a faster way to the hidden states from a zero state than the cells themselves.
    """
    seen, time = forecaster.seen(rows, state), rows.values.shape[1]
    newest = range(time - 1, time)
    members: list[Member] = list(forecaster.members)  # type: ignore[arg-type]
    inputs = [member.inputs(seen) for member in members]
    known = hidden(inputs) if hidden else [[] for _ in members]
    cells = [member.folded(cell) for member, cell in zip(members, state.cells, strict=True)]
    told = [
        _told(member, list(traces(member.cell, given, cell, memory=False, hidden=layers)), seen, newest)
        for member, given, cell, layers in zip(members, inputs, cells, known, strict=True)
    ]
    spread, linear = forecaster.spread[0], _linear(forecaster, seen, time)
    last = seen.filled.level[0, -1, : spread.shape[1]]
    added = forecaster.base(seen, rows, newest)[0, 0, 0] - last
    rest = (added + _mean([one.point for one in told]) * spread).cpu().numpy() - linear.sum(axis=(0, 1))
    parts = [_through_head(member, one.left) for member, one in zip(members, told, strict=True) if one.left is not None]
    if not parts:
        return Shares(linear, None, rest, last.cpu().numpy()), told
    recurrent = (_mean(parts) * spread).cpu().numpy()
    return Shares(linear, recurrent, rest - recurrent.sum(axis=0), last.cpu().numpy()), told


def _mean(parts: list[Tensor]) -> Tensor:
    return torch.stack(parts).mean(dim=0)


def _told(member: Member, layers: list[Trace], seen: Seen, newest: range) -> Told:
    point = member.said(layers[-1].hidden[:, -1:], seen, newest)[0, 0, 0]
    keep = layers[-1].gates.keep
    kept = None if keep is None else _still(keep)
    return Told(point, layers, kept, _left(member.architecture.cell, layers[-1], kept))


def _linear(forecaster: Forecaster, seen: Seen, time: int) -> Float[np.ndarray, "time column horizon target"]:
    """Multiply each change with its weight; changes before the first row are not known, and 0."""
    road, shape = forecaster.linear, forecaster.linear.shape
    changes = seen.filled.changes[0, -shape.lags :]  # oldest first, as the weights
    products = (road.changes * changes.T).reshape(shape.horizon, shape.targets, shape.seen, shape.lags)
    products = products * forecaster.share[0][:, :, None, None]
    found = np.zeros((max(time, shape.lags), shape.seen, shape.horizon, shape.targets), np.float32)
    found[-shape.lags :] = products.permute(3, 2, 0, 1).cpu().numpy()
    return found[-time:]


def _still(keep: Tensor) -> Float[Tensor, "fold time hidden"]:
    """Return the product of the keep gates behind each row."""
    after = torch.cat([keep[:, 1:].double(), torch.ones_like(keep[:, :1], dtype=torch.float64)], dim=1)
    return after.flip(1).cumprod(dim=1).flip(1)


def _left(cell: str, trace: Trace, kept: Tensor | None) -> Tensor | None:
    """Return what each row left in what the head reads."""
    _, write, read = trace.gates
    if cell not in FUSED or kept is None or write is None or trace.content is None:
        return None
    added = kept * write.double() * trace.content.double()
    if read is not None:
        memory = added.sum(dim=1, keepdim=True)
        small = memory.abs() < NEAR_ZERO
        slope = torch.where(small, 1.0, memory.tanh() / torch.where(small, 1.0, memory))
        added = added * slope * read[:, -1:].double()
    return added.float()


def _through_head(member: Member, left: Float[Tensor, "fold time hidden"]) -> Float[Tensor, "time horizon target"]:
    """Read what each row left with the weights of the point."""
    a = member.architecture
    weights = member.head.weight.reshape(-1, a.horizon, a.targets // a.folds, a.hidden)[0]
    if a.folds == 1:
        return torch.einsum("th,sgh->tsg", left[0], weights)
    return torch.einsum("gth,sh->tsg", left, weights[:, 0])

"""The gates of a cell over many rows, by torch, on the device of the network and many windows at a time.

Of a fused cell: its module says the hidden state behind every row, so that one matrix product over rows and the hidden
states before them gives all gates of all rows at once. Lower layers of a fused module are hidden, so each layer is run
as a module of its own. Other cells go row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from forecasting.cells import CellState, FusedCell, Gates, LoopedCell
from forecasting.cells.looped import Layer

FUNCTIONS: dict[str, Callable[..., Any]] = {"lstm": torch.lstm, "gru": torch.gru, "rnn": torch.rnn_tanh}
"""What torch's fused modules call."""


class Trace(NamedTuple):
    """One layer over rows: its outputs and gates, each of shape (batch, time, hidden)."""

    hidden: Tensor
    gates: Gates


@torch.no_grad()
def traces(
    cell: FusedCell | LoopedCell,
    rows: Float[Tensor, "batch time feature"],
    state: CellState,
) -> Iterator[Trace]:
    """Yield the trace of each layer, lowest first, from a state; without dropout."""
    for depth in range(len(state[0])):
        before = tuple(part[depth] for part in state)
        trace = _fused(cell, depth, rows, before) if isinstance(cell, FusedCell) else _looped(cell, depth, rows, before)
        yield trace
        rows = trace.hidden


def _looped(cell: LoopedCell, depth: int, rows: Tensor, before: CellState) -> Trace:
    layer: Layer = cell.layers[depth]  # type: ignore[assignment]
    states, gates = zip(*layer.steps(rows, before), strict=True)
    found = Gates(*(None if parts[0] is None else torch.stack(parts, dim=1) for parts in zip(*gates, strict=True)))
    return Trace(torch.stack([state[0] for state in states], dim=1), found)


def _fused(cell: FusedCell, depth: int, rows: Tensor, before: CellState) -> Trace:
    hidden = _hidden(cell, depth, rows, before)
    if cell.name == "rnn":
        return Trace(hidden, Gates())
    given_weight, past_weight, given_bias, past_bias = _weights(cell, depth)
    past = torch.cat([before[0][:, None], hidden[:, :-1]], dim=1)
    given = nn.functional.linear(rows, given_weight, given_bias)
    told = nn.functional.linear(past, past_weight, past_bias)
    if cell.name == "gru":
        _, keep, _ = (given + told).chunk(3, dim=-1)
        return Trace(hidden, Gates(torch.sigmoid(keep), torch.sigmoid(-keep)))
    write, keep, _, read = (given + told).chunk(4, dim=-1)
    return Trace(hidden, Gates(torch.sigmoid(keep), torch.sigmoid(write), torch.sigmoid(read)))


def _weights(cell: FusedCell, depth: int) -> list[nn.Parameter]:
    return [cell.rnn.get_parameter(f"{name}_l{depth}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]


def _hidden(cell: FusedCell, depth: int, rows: Tensor, before: CellState) -> Tensor:
    """Run one layer of a fused module over its own weights, as the module itself does."""
    name, weights = cell.name, _weights(cell, depth)
    alone = [part[None].contiguous() for part in before]
    found: Tensor = FUNCTIONS[name](
        rows, alone if name == "lstm" else alone[0], weights, True, 1, 0.0, False, False, True
    )[0]
    return found

"""The gates and states of a cell over many rows.

Of a fused cell: its module says the hidden state behind every row, so that one matrix product over rows and the hidden
states before them gives all gates of all rows at once; the memory is then a linear recurrence with known factors,
summed in a logarithm of the steps. Lower layers of a fused module are hidden, so each layer is run as a module of its
own. Other cells go row by row.
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
    """One layer over rows, each of shape (batch, time, hidden).

    `content` is what is written, before its gate; `memory` what is kept, the hidden state itself for a gru; None where
    the cell has no path along which a memory is only kept and added to.
    """

    hidden: Tensor
    gates: Gates
    content: Tensor | None = None
    memory: Tensor | None = None


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
    hidden, *memory = (torch.stack(parts, dim=1) for parts in zip(*states, strict=True))
    found = Gates(*(None if parts[0] is None else torch.stack(parts, dim=1) for parts in zip(*gates, strict=True)))
    return Trace(hidden, found, None, memory[0] if memory else None)


def _fused(cell: FusedCell, depth: int, rows: Tensor, before: CellState) -> Trace:
    hidden = _hidden(cell, depth, rows, before)
    if cell.name == "rnn":
        return Trace(hidden, Gates())
    given_weight, past_weight, given_bias, past_bias = _weights(cell, depth)
    past = torch.cat([before[0][:, None], hidden[:, :-1]], dim=1)
    given = nn.functional.linear(rows, given_weight, given_bias)
    told = nn.functional.linear(past, past_weight, past_bias)
    return _gru(hidden, given, told) if cell.name == "gru" else _lstm(hidden, given + told, before[1])


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


def _gru(hidden: Tensor, given: Tensor, told: Tensor) -> Trace:
    (given_reset, given_keep, given_content), (reset, keep, content) = given.chunk(3, dim=-1), told.chunk(3, dim=-1)
    kept = torch.sigmoid(given_keep + keep)
    written = torch.tanh(given_content + torch.sigmoid(given_reset + reset) * content)
    return Trace(hidden, Gates(kept, 1 - kept), written, hidden)


def _lstm(hidden: Tensor, mixed: Tensor, before: Tensor) -> Trace:
    write, keep, content, read = mixed.chunk(4, dim=-1)
    gates = Gates(torch.sigmoid(keep), torch.sigmoid(write), torch.sigmoid(read))
    written = torch.tanh(content)
    memory = _carried(torch.sigmoid(keep.double()), torch.sigmoid(write.double()) * written.double(), before.double())
    return Trace(hidden, gates, written, memory.to(hidden.dtype))


def _carried(keep: Tensor, added: Tensor, before: Tensor) -> Float[Tensor, "batch time hidden"]:
    """Return c_t = keep_t c_(t-1) + added_t for all t, by doubling how many rows each sum spans.

    Double precision: what was kept long ago is summed in another order than row by row.
    """
    total = torch.cat([added[:, :1] + keep[:, :1] * before[:, None], added[:, 1:]], dim=1)
    factor, span = keep.clone(), 1
    while span < keep.shape[1]:
        total[:, span:] = total[:, span:] + factor[:, span:] * total[:, :-span]
        factor[:, span:] = factor[:, span:] * factor[:, :-span]
        span *= 2
    return total

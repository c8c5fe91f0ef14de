"""Cells of `systems` row by row, for those that no fused module computes.

W x of all rows is one matrix product before the loop; what is left of a row is one product for W h and the arithmetic
of the gates. The matrix of W h is laid out for that product once for all rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn

from forecasting.cells.interface import Cell, CellState
from forecasting.cells.systems import SYSTEMS, Gates, LayerState, System


class Layer(nn.Module):
    """The weights of one layer of a system."""

    def __init__(self, system: System, features: int, hidden: int) -> None:
        """Draw them as torch draws those of its fused modules: uniformly, up to 1 / sqrt(hidden)."""
        super().__init__()
        width = len(system.blocks) * hidden
        self.system = system
        self.given = nn.Linear(features, width)
        self.past = nn.Linear(hidden, width, bias=system.apart)
        self.own = nn.ModuleDict({name: nn.Linear(hidden, hidden, bias=has) for name, has in system.maps.items()})
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -1 / math.sqrt(hidden), 1 / math.sqrt(hidden))

    def steps(self, rows: Float[Tensor, "batch time feature"], state: LayerState) -> Iterator[tuple[LayerState, Gates]]:
        """Yield the state behind each row, and the gates at it."""
        learnt = _Laid(self)
        for given in self.given(rows).unbind(dim=1):
            state, gates = self.system.advance(learnt, given, state)
            yield state, gates

    def block(self, name: str) -> slice:
        """Return where a block stands among the outputs of `given` and `past`."""
        place, hidden = self.system.blocks.index(name), self.past.in_features
        return slice(place * hidden, (place + 1) * hidden)


class _Laid:
    """The weights of a layer, laid out for many rows; a `systems.Learnt`."""

    def __init__(self, layer: Layer) -> None:
        self._blocks = len(layer.system.blocks)
        self._past, self._bias = layer.past.weight.T.contiguous(), layer.past.bias
        self._own = {name: (one.weight.T.contiguous(), one.bias) for name, one in _linears(layer.own)}

    def mixed(self, given: Tensor, hidden: Tensor) -> tuple[Tensor, ...]:
        return torch.addmm(given, hidden, self._past).chunk(self._blocks, dim=-1)

    def past(self, hidden: Tensor) -> tuple[Tensor, ...]:
        return torch.addmm(self._bias, hidden, self._past).chunk(self._blocks, dim=-1)

    def own(self, name: str, told: Tensor) -> Tensor:
        matrix, bias = self._own[name]
        return told @ matrix if bias is None else torch.addmm(bias, told, matrix)


class LoopedCell(Cell):
    """A system of one or more layers, with the interface of the fused cells."""

    def __init__(self, name: str, features: int, hidden: int, layers: int, dropout: float) -> None:
        """Build the system `name` (a key of `SYSTEMS`); `dropout` acts between layers."""
        super().__init__(name, hidden, layers)
        widths = [features, *[hidden] * (layers - 1)]
        self.layers = nn.ModuleList(Layer(SYSTEMS[name], width, hidden) for width in widths)
        self.between = nn.Dropout(dropout)

    def unroll(
        self, rows: Float[Tensor, "batch time feature"], state: CellState
    ) -> tuple[Float[Tensor, "batch time hidden"], CellState]:
        """Take many rows."""
        after: list[LayerState] = []
        for depth, layer in enumerate(self.layers):
            rows = self.between(rows) if depth else rows
            states = [one for one, _ in layer.steps(rows, tuple(part[depth] for part in state))]  # type: ignore[operator]
            rows = torch.stack([one[0] for one in states], dim=1)
            after.append(states[-1])
        return rows, tuple(torch.stack(parts) for parts in zip(*after, strict=True))


def _linears(modules: nn.ModuleDict) -> Iterator[tuple[str, nn.Linear]]:
    yield from modules.items()  # type: ignore[misc]

"""What every cell offers: `initial_state`, `step`, `unroll`. State is a value, never an attribute."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn

from forecasting.cells.systems import SYSTEMS

CellState = tuple[Tensor, ...]
"""Tensors of shape (layers, batch, hidden): (hidden, memory) or (hidden,), as `systems.System.memories` says."""


class Cell(nn.Module, ABC):
    """A recurrent system of one or more layers, over many rows; a row is many rows of which there is one."""

    def __init__(self, name: str, hidden: int, layers: int) -> None:
        """Say which system it is (a key of `SYSTEMS`), and the shape of its state."""
        super().__init__()
        self.name, self.memories = name, SYSTEMS[name].memories
        self._shape = (layers, hidden)

    def initial_state(self, batch: int) -> CellState:
        """Return the state before the first row: zeros on the device of the weights."""
        layers, hidden = self._shape
        weight = next(self.parameters())
        return tuple(weight.new_zeros(layers, batch, hidden) for _ in range(self.memories))

    def step(
        self, row: Float[Tensor, "batch feature"], state: CellState
    ) -> tuple[Float[Tensor, "batch hidden"], CellState]:
        """Take one row: (x, state) -> (output, next state)."""
        output, state = self.unroll(row[:, None], state)
        return output[:, 0], state

    @abstractmethod
    def unroll(
        self, rows: Float[Tensor, "batch time feature"], state: CellState
    ) -> tuple[Float[Tensor, "batch time hidden"], CellState]:
        """Take many rows: the outputs and the state after the last."""

"""What every cell offers: `initial_state`, `step`, `unroll`. State is a value, never an attribute."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

CellState = tuple[Tensor, ...]
"""Tensors of shape (layers, batch, hidden): (hidden, memory) or (hidden,), as `systems.System.memories` says."""


@runtime_checkable  # beartype asks, in the tests
class Cell(Protocol):
    """A recurrent system of one or more layers."""

    def initial_state(self, batch: int) -> CellState:
        """Return the state before the first row."""

    def step(
        self, row: Float[Tensor, "batch feature"], state: CellState
    ) -> tuple[Float[Tensor, "batch hidden"], CellState]:
        """Take one row: (x, state) -> (output, next state)."""

    def unroll(
        self, rows: Float[Tensor, "batch time feature"], state: CellState
    ) -> tuple[Float[Tensor, "batch time hidden"], CellState]:
        """Take many rows: the outputs and the state after the last."""

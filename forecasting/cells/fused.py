"""Torch's fused recurrent modules, as cells: `lstm`, `gru` and `rnn` of `systems`, many rows at a time."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

from forecasting.cells.interface import Cell, CellState

FUSED: dict[str, Callable[..., nn.RNNBase]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class FusedCell(Cell):
    """One of torch's fused recurrent modules."""

    def __init__(self, name: str, features: int, hidden: int, layers: int, dropout: float) -> None:
        """Build the module `name` (a key of `FUSED`); `dropout` acts between layers."""
        super().__init__(name, hidden, layers)
        between = dropout if layers > 1 else 0.0
        self.rnn = FUSED[name](features, hidden, layers, batch_first=True, dropout=between)

    def unroll(
        self, rows: Float[Tensor, "batch time feature"], state: CellState
    ) -> tuple[Float[Tensor, "batch time hidden"], CellState]:
        """Take many rows."""
        if self.memories == 1:
            output, hidden = self.rnn(rows, state[0])
            return output, (hidden,)
        return self.rnn(rows, state)  # type: ignore[no-any-return]


def fused_of(cell: nn.Module) -> nn.RNNBase:
    """Return torch's module within a cell.

    Raises:
        TypeError: the cell has none.
    """
    if not isinstance(cell, FusedCell):
        message = f"{type(cell).__name__} is no fused cell"
        raise TypeError(message)
    return cell.rnn

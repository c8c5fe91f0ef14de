"""Recurrent cells behind one interface: `initial_state`, `step`, `unroll`. State is a value, never an attribute.

The fused cells of torch:

    rnn    h' = tanh(Wx x + Wh h + b)
    lstm   c' = keep * c + write * tanh(Wx x + Wh h + b),  h' = read * tanh(c')
           keep, write, read = sigmoid(their own Wx x + Wh h + b)        (Gers, Schmidhuber, Cummins 2000)
    gru    h' = (1 - z) * n + z * h, so that z keeps; n = tanh(Wx x + r * (Wh h + b))   (torch's convention: r after Wh)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from jaxtyping import Float
from torch import Tensor, nn

CellState = tuple[Tensor, ...]
"""Tensors of shape (layers, batch, hidden): (hidden, memory) for the lstm, (hidden,) for gru and rnn."""

FUSED: dict[str, Callable[..., nn.RNNBase]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class Cell(Protocol):
    """What every cell offers."""

    def initial_state(self, batch: int) -> CellState:
        """Return the state before the first row."""

    def step(self, row: Float[Tensor, "batch feature"], state: CellState) -> tuple[Tensor, CellState]:
        """Take one row: (x, state) -> (output of shape (batch, hidden), next state)."""

    def unroll(self, rows: Float[Tensor, "batch time feature"], state: CellState) -> tuple[Tensor, CellState]:
        """Take many rows: the outputs, of shape (batch, time, hidden), and the state after the last."""


class FusedCell(nn.Module):
    """One of torch's fused recurrent modules, as a `Cell`."""

    def __init__(self, name: str, features: int, hidden: int, layers: int, dropout: float) -> None:
        """Build the module `name` (a key of `FUSED`); `dropout` acts between layers."""
        super().__init__()
        between = dropout if layers > 1 else 0.0
        self.memories = 2 if name == "lstm" else 1
        self.rnn = FUSED[name](features, hidden, layers, batch_first=True, dropout=between)

    def initial_state(self, batch: int) -> CellState:
        """Return zeros on the device of the weights."""
        weight = self.rnn.get_parameter("weight_hh_l0")
        shape = (self.rnn.num_layers, batch, self.rnn.hidden_size)
        return tuple(weight.new_zeros(shape) for _ in range(self.memories))

    def step(
        self, row: Float[Tensor, "batch feature"], state: CellState
    ) -> tuple[Float[Tensor, "batch hidden"], CellState]:
        """Take one row."""
        output, state = self.unroll(row[:, None], state)
        return output[:, 0], state

    def unroll(
        self, rows: Float[Tensor, "batch time feature"], state: CellState
    ) -> tuple[Float[Tensor, "batch time hidden"], CellState]:
        """Take many rows."""
        if self.memories == 1:
            output, hidden = self.rnn(rows, state[0])
            return output, (hidden,)
        return self.rnn(rows, state)  # type: ignore[no-any-return]

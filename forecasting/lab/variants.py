"""Systems with the way their keep gates begin: what the laboratory compares."""

from __future__ import annotations

import msgspec
import torch
from torch import nn

from forecasting.cells import KeepBias, begin_keeping, cell_of

HIDDEN, CLIP = 32, 1.0
NAMES = {
    "rnn": "plain RNN",
    "lstm": "LSTM",
    "gru": "GRU",
    "question": "LSTM as the question writes it",
    "lstm1997": "LSTM of 1997, no forget gate",
    "alternative1": "alternative 1",
    "alternative1_deep": "alternative 1, two layers",
    "alternative1_skip": "alternative 1 with a skip",
    "alternative2": "alternative 2",
}
BEGINS = {"default": "", "one": ", keep bias 1", "chrono": ", chrono"}


class Variant(msgspec.Struct, frozen=True):
    """A system, how its keep gates begin (`cells.keeping`), and the learning rate it is given."""

    system: str
    begin: str = "default"
    rate: float = 1e-2

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return NAMES[self.system] + BEGINS[self.begin]


class Network(nn.Module):
    """One layer of a system, and a number read from its last output."""

    def __init__(self, variant: Variant, features: int, longest: int, seed: int) -> None:
        """Draw the weights by a seed; `longest` is T of chrono."""
        super().__init__()
        torch.manual_seed(seed)
        self.cell = cell_of(variant.system, features, HIDDEN, 1, 0.0)
        begin_keeping(self.cell, KeepBias.of(variant.begin, longest))
        self.head = nn.Linear(HIDDEN, 1)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return a number for each sequence, of shape (batch,)."""
        outputs, _ = self.cell.unroll(rows, self.cell.initial_state(len(rows)))
        said: torch.Tensor = self.head(outputs[:, -1])[:, 0]
        return said

    def learn(self, adam: torch.optim.Optimizer, rows: torch.Tensor, wanted: torch.Tensor) -> None:
        """Take a step down the squared error."""
        adam.zero_grad()
        (self(rows) - wanted).square().mean().backward()
        nn.utils.clip_grad_norm_(self.parameters(), CLIP)
        adam.step()

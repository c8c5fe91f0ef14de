"""The network that the peers serve: as many cells as ours has, without the linear road, calendar or intervals."""

from __future__ import annotations

import torch
from torch import Tensor, nn

ROWS, COLUMNS, HIDDEN, LAYERS = 96, 7, 64, 2


class Network(nn.Module):
    """An LSTM and a linear head: from (windows, rows, columns) to (windows, columns)."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.LSTM(COLUMNS, HIDDEN, LAYERS, batch_first=True)
        self.head = nn.Linear(HIDDEN, COLUMNS)

    def forward(self, rows: Tensor) -> Tensor:
        said: Tensor = self.head(self.cells(rows)[0][:, -1])
        return said


def network() -> Network:
    """Return it, ready to be asked by one thread."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return Network().eval().requires_grad_(requires_grad=False)

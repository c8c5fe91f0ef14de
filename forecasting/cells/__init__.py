"""Recurrent cells behind one interface.

systems.py    every system of the question, one layer and one row, with gates named keep, write and read
interface.py  what a cell offers
fused.py      lstm, gru and rnn by torch's fused modules
looped.py     all systems, row by row
keeping.py    what the bias of the keep gate begins as
"""

from __future__ import annotations

from forecasting.cells.fused import FUSED, FusedCell, fused_of
from forecasting.cells.interface import Cell, CellState
from forecasting.cells.keeping import KeepBias, begin_keeping
from forecasting.cells.looped import LoopedCell
from forecasting.cells.systems import SYSTEMS, Gates, System

__all__ = [
    "FUSED",
    "SYSTEMS",
    "Cell",
    "CellState",
    "FusedCell",
    "Gates",
    "KeepBias",
    "LoopedCell",
    "System",
    "begin_keeping",
    "cell_of",
    "fused_of",
]


def cell_of(name: str, features: int, hidden: int, layers: int, dropout: float) -> FusedCell | LoopedCell:
    """Build the cell `name` (a key of `SYSTEMS`), fused where torch has it; `dropout` acts between layers."""
    kind = FusedCell if name in FUSED else LoopedCell
    return kind(name, features, hidden, layers, dropout)

"""What the bias of the keep gate begins as: the one knob by which a gated cell is told how long to remember.

default    as torch draws it, around 0: sigmoid(0) = 1/2 keeps half, so that a memory lasts a step or two
one        1 (Gers, Schmidhuber and Cummins 2000; Jozefowicz, Zaremba and Sutskever 2015): it keeps 0.73
chrono(T)  log U(1, T - 1) by unit, and what writes minus that (Tallec and Ollivier 2018): memories of up to T rows
"""

from __future__ import annotations

import re
from typing import NamedTuple

import torch
from torch import Tensor

from forecasting.cells.fused import FusedCell
from forecasting.cells.looped import Layer, LoopedCell
from forecasting.cells.systems import SYSTEMS

_WRITTEN = re.compile(r"(default|one|chrono)(?:\((\d{1,6})\))?")
_SHORTEST = 3


class KeepBias(NamedTuple):
    """A way to begin; `longest` is T of chrono, in rows."""

    kind: str
    longest: int = 0

    @classmethod
    def of(cls, text: str, longest: int = _SHORTEST) -> KeepBias:
        """Read `default`, `one`, `chrono(T)`, or `chrono`, whose T is `longest`.

        Raises:
            ValueError: the text is none of these, or T is less than 3 rows.
        """
        found = _WRITTEN.fullmatch(text)
        named = found and found[2]
        if not found or (named and (found[1] != "chrono" or int(named) < _SHORTEST)):
            message = f"{text!r}; expected default, one, chrono or chrono(T) with T of {_SHORTEST} rows or more"
            raise ValueError(message)
        return cls(found[1], int(named) if named else max(longest, _SHORTEST))


class _Biases(NamedTuple):
    """Where the bias of a gate stands in a layer: `acts` is what does, `spare` is a second one, which becomes 0."""

    acts: Tensor
    spare: Tensor | None


@torch.no_grad()
def begin_keeping(cell: FusedCell | LoopedCell, begin: KeepBias) -> None:
    """Set the biases of a cell's keep gates, and of the write gates where there are any; draws from torch's generator.

    Raises:
        ValueError: no gate of the cell keeps.
    """
    if begin.kind == "default":
        return
    if not SYSTEMS[cell.name].keeps:
        message = f"no gate of the cell {cell.name} keeps; its bias can only begin as default"
        raise ValueError(message)
    for depth in range(_layers(cell)):
        keep = _biases(cell, depth, "keep")
        drawn = _drawn(begin, keep.acts)
        _become(keep, drawn)
        if begin.kind == "chrono" and "write" in SYSTEMS[cell.name].blocks:
            _become(_biases(cell, depth, "write"), -drawn)


def _drawn(begin: KeepBias, like: Tensor) -> Tensor:
    if begin.kind == "one":
        return torch.ones_like(like)
    return torch.empty_like(like).uniform_(1, begin.longest - 1).log()


def _become(biases: _Biases, values: Tensor) -> None:
    biases.acts.copy_(values)
    if biases.spare is not None:
        biases.spare.zero_()


def _layers(cell: FusedCell | LoopedCell) -> int:
    return cell.rnn.num_layers if isinstance(cell, FusedCell) else len(cell.layers)


def _biases(cell: FusedCell | LoopedCell, depth: int, gate: str) -> _Biases:
    if isinstance(cell, FusedCell):
        place, hidden = SYSTEMS[cell.name].blocks.index(gate), cell.rnn.hidden_size
        at = slice(place * hidden, (place + 1) * hidden)
        given, past = (cell.rnn.get_parameter(f"bias_{name}_l{depth}") for name in ("ih", "hh"))
        return _Biases(given.data[at], past.data[at])
    layer: Layer = cell.layers[depth]  # type: ignore[assignment]
    at = layer.block(gate)
    return _Biases(layer.given.bias.data[at], None if layer.past.bias is None else layer.past.bias.data[at])

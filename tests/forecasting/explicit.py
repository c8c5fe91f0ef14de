"""The fused cells written out: the same weights in a cell that goes row by row."""

from __future__ import annotations

from forecasting.cells import FusedCell, LoopedCell


def written_out(cell: FusedCell) -> LoopedCell:
    """Return the looped cell of a fused one, in double precision."""
    rnn = cell.rnn
    looped = LoopedCell(cell.name, rnn.input_size, rnn.hidden_size, rnn.num_layers, 0.0)
    weights = {name: weight.detach().double() for name, weight in rnn.named_parameters()}
    found = {}
    for depth in range(rnn.num_layers):
        given, past = (weights[f"bias_{name}_l{depth}"] for name in ("ih", "hh"))
        apart = cell.name == "gru"
        found[f"layers.{depth}.given.weight"] = weights[f"weight_ih_l{depth}"]
        found[f"layers.{depth}.past.weight"] = weights[f"weight_hh_l{depth}"]
        found[f"layers.{depth}.given.bias"] = given if apart else given + past
        if apart:
            found[f"layers.{depth}.past.bias"] = past
    looped.double().load_state_dict(found)
    return looped.requires_grad_(False)

"""Every system of the question, as a cell: its equations, its gradients, and how its keep gates begin."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, sigmoid, tanh

from forecasting.cells import FUSED, SYSTEMS, FusedCell, KeepBias, LoopedCell, begin_keeping, cell_of
from tests.forecasting.explicit import written_out
from tests.forecasting.panels import close

FEATURES, HIDDEN = 3, 4


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def looped(name: str, layers: int = 1) -> LoopedCell:
    cell = LoopedCell(name, FEATURES, HIDDEN, layers, dropout=0.0).double()
    for number, weight in enumerate(cell.parameters()):
        weight.data.copy_(drawn(*weight.shape, seed=number) * 0.7)
    return cell


@pytest.mark.parametrize("name", FUSED)
@pytest.mark.parametrize("layers", [1, 2])
def test_a_system_equals_torchs_module_given_the_same_weights(name: str, layers: int) -> None:
    fused = FusedCell(name, FEATURES, 16, layers, dropout=0.0).requires_grad_(False)
    cell, rows = written_out(fused), drawn(2, 300, FEATURES)
    explicit, after = cell.unroll(rows, cell.initial_state(2))
    single, state = fused.unroll(rows.float(), fused.initial_state(2))
    close(single.double(), explicit, 1e-6)
    close(tuple(part.double() for part in state), after, 1e-6)
    double, state = fused.double().unroll(rows, fused.initial_state(2))
    close((double, *state), (explicit, *after), 1e-12)


@pytest.mark.parametrize("name", SYSTEMS)
def test_gradients_are_those_of_small_differences(name: str) -> None:
    cell = looped(name, layers=2)
    rows, state = (
        drawn(2, 4, FEATURES).requires_grad_(),
        tuple(drawn(2, 2, HIDDEN, seed=5) for _ in range(cell.memories)),
    )
    weights = {key: weight.detach().clone().requires_grad_() for key, weight in cell.named_parameters()}

    def said(rows: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
        made = torch.func.functional_call(
            _Unrolled(cell), dict(zip(_under(weights), values, strict=True)), (rows, state)
        )
        return tuple(made)

    assert torch.autograd.gradcheck(said, (rows, *weights.values()), fast_mode=True)


class _Unrolled(torch.nn.Module):
    def __init__(self, cell: LoopedCell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, rows: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        output, after = self.cell.unroll(rows, state)
        return output, *after


def _under(weights: dict[str, Tensor]) -> list[str]:
    return [f"cell.{key}" for key in weights]


@pytest.mark.parametrize("name", SYSTEMS)
@given(time=st.integers(1, 12), batch=st.integers(1, 3), layers=st.integers(1, 2))
@settings(max_examples=8, deadline=None)
def test_k_steps_equal_one_unroll(name: str, time: int, batch: int, layers: int) -> None:
    cell, rows = looped(name, layers).requires_grad_(False), drawn(batch, time, FEATURES)
    state, outputs = cell.initial_state(batch), []
    for row in rows.unbind(1):
        output, state = cell.step(row, state)
        outputs.append(output)
    whole, after = cell.unroll(rows, cell.initial_state(batch))
    close((torch.stack(outputs, dim=1), *state), (whole, *after), 1e-12)


def blocks(cell: LoopedCell, row: Tensor, hidden: Tensor) -> dict[str, Tensor]:
    """Return W x + W h + b by block."""
    layer = cell.layers[0]
    mixed = layer.given(row) + layer.past(hidden)  # type: ignore[operator]
    return dict(zip(SYSTEMS[cell.name].blocks, mixed.chunk(len(SYSTEMS[cell.name].blocks), dim=-1), strict=True))


@pytest.mark.parametrize(
    "name", ["question", "lstm1997", "alternative1", "alternative1_deep", "alternative1_skip", "alternative2"]
)
def test_a_row_is_what_the_equations_say(name: str) -> None:
    cell = looped(name).requires_grad_(False)
    row, hidden, memory = drawn(1, FEATURES), drawn(1, HIDDEN, seed=1), drawn(1, HIDDEN, seed=2)
    one = blocks(cell, row, hidden)
    own = dict(cell.layers[0].own.items())  # type: ignore[union-attr, operator]
    told = own["memory"](memory) if name.startswith("alternative1") else torch.zeros(1)
    now = {
        "question": lambda: sigmoid(one["keep"]) * memory + sigmoid(one["write"]) * tanh(one["content"]),
        "alternative2": lambda: sigmoid(one["keep"]) * memory + sigmoid(one["write"]) * tanh(one["content"]),
        "lstm1997": lambda: memory + sigmoid(one["write"]) * tanh(one["content"]),
        "alternative1": lambda: tanh(one["content"] + told),
        "alternative1_deep": lambda: tanh(own["deep"](tanh(one["content"] + told))),
        "alternative1_skip": lambda: memory + tanh(one["content"] + told),
    }[name]()
    said = {
        "question": lambda: tanh(one["offer"]) * sigmoid(now),
        "alternative2": lambda: tanh(one["offer"] + own["memory"](now)),
        "lstm1997": lambda: sigmoid(one["read"]) * tanh(now),
    }.get(name, lambda: sigmoid(one["read"]) * now)()
    output, state = cell.step(row, (hidden[None], memory[None]))
    close((output, *state), (said, said[None], now[None]), 1e-12)


@pytest.mark.parametrize("name", [name for name, system in SYSTEMS.items() if system.keeps])
@pytest.mark.parametrize("layers", [1, 2])
def test_keep_gates_begin_as_they_are_told_to(name: str, layers: int) -> None:
    cell = cell_of(name, FEATURES, 64, layers, 0.0)
    begin_keeping(cell, KeepBias.of("chrono(100)"))
    keep, write = biases(cell, "keep"), biases(cell, "write")
    assert len(keep) == 64 * layers
    assert 0 <= keep.min() < 3 < math.log(50) < keep.max() <= math.log(99)
    if "write" in SYSTEMS[name].blocks:
        assert torch.equal(write, -keep)
    begin_keeping(cell, KeepBias.of("one"))
    assert torch.equal(biases(cell, "keep"), torch.ones(64 * layers))


def biases(cell: FusedCell | LoopedCell, gate: str) -> Tensor:
    """Return the bias that acts on a gate, of all layers."""
    if gate not in (names := SYSTEMS[cell.name].blocks):
        return torch.empty(0)
    place, found = names.index(gate), []
    for name, weight in cell.named_parameters():
        if "bias" in name and ".own." not in name:
            found.append(weight.detach().chunk(len(names))[place])
    layers = len(found) // (2 if isinstance(cell, FusedCell) or SYSTEMS[cell.name].apart else 1)
    return torch.stack(found).reshape(layers, -1, found[0].numel()).sum(dim=1).flatten()


def test_by_default_nothing_is_changed_and_nothing_drawn() -> None:
    cell = cell_of("lstm", FEATURES, HIDDEN, 1, 0.0)
    before, state = [weight.clone() for weight in cell.parameters()], torch.get_rng_state()
    begin_keeping(cell, KeepBias.of("default"))
    assert all(torch.equal(one, two) for one, two in zip(before, cell.parameters(), strict=True))
    assert torch.equal(state, torch.get_rng_state())


def test_where_no_gate_keeps_there_is_no_bias_to_set() -> None:
    with pytest.raises(ValueError, match="no gate of the cell rnn keeps"):
        begin_keeping(cell_of("rnn", FEATURES, HIDDEN, 1, 0.0), KeepBias.of("one"))


@pytest.mark.parametrize(
    "text", ["", "two", "chrono()", "chrono(2)", "chrono(x)", "one(5)", "default(9)", "chrono(1234567)"]
)
def test_a_way_to_begin_that_is_none_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="expected default, one, chrono or"):
        KeepBias.of(text)


def test_chrono_alone_leaves_the_length_to_who_trains() -> None:
    assert KeepBias.of("chrono", 168) == KeepBias("chrono", 168)
    assert KeepBias.of("chrono(24)", 168) == KeepBias("chrono", 24)

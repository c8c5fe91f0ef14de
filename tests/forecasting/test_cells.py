from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from forecasting.cells import Cell, CellState, FusedCell
from tests.forecasting.panels import CELLS, close

FEATURES, HIDDEN = 3, 5


def cell_of(name: str, layers: int = 1) -> FusedCell:
    cell = FusedCell(name, FEATURES, HIDDEN, layers, dropout=0.0)
    draw = torch.Generator().manual_seed(1)
    for weight in cell.parameters():
        weight.data.copy_(torch.randn(weight.shape, generator=draw) * 0.5)
    return cell.requires_grad_(False)


def walked(cell: Cell, rows: Tensor, state: CellState) -> tuple[Tensor, CellState]:
    outputs = []
    for row in rows.unbind(1):
        output, state = cell.step(row, state)
        outputs.append(output)
    return torch.stack(outputs, dim=1), state


@pytest.mark.parametrize("name", CELLS)
@given(time=st.integers(1, 40), batch=st.integers(1, 3), layers=st.integers(1, 2), seed=st.integers(0, 999))
@settings(max_examples=15, deadline=None)
def test_k_steps_equal_one_unroll_within_a_millionth(name: str, time: int, batch: int, layers: int, seed: int) -> None:
    cell = cell_of(name, layers)
    rows = torch.randn(batch, time, FEATURES, generator=torch.Generator().manual_seed(seed))
    stepped, after_steps = walked(cell, rows, cell.initial_state(batch))
    whole, after = cell.unroll(rows, cell.initial_state(batch))
    close(stepped, whole, 1e-6)
    close(after_steps, after, 1e-6)


@pytest.mark.parametrize("name", CELLS)
def test_the_state_starts_at_zero_for_each_layer_and_series(name: str) -> None:
    state = cell_of(name, layers=2).initial_state(4)
    assert [tuple(part.shape) for part in state] == [(2, 4, HIDDEN)] * (2 if name == "lstm" else 1)
    assert not any(part.any() or part.requires_grad for part in state)


def affine(cell: FusedCell, gates: int) -> tuple[Tensor, Tensor, Tensor, CellState]:
    """Return a row, its Wx x + b and Wh h + b cut into gates, and the state they come from."""
    draw = torch.Generator().manual_seed(2)
    row = torch.randn(1, FEATURES, generator=draw)
    state = tuple(torch.randn(1, 1, HIDDEN, generator=draw) for _ in range(cell.memories))
    weights = dict(cell.rnn.named_parameters())
    x = row @ weights["weight_ih_l0"].T + weights["bias_ih_l0"]
    h = state[0][0] @ weights["weight_hh_l0"].T + weights["bias_hh_l0"]
    return row, x.reshape(gates, HIDDEN), h.reshape(gates, HIDDEN), state


def test_the_rnn_is_the_equation_it_says() -> None:
    cell = cell_of("rnn")
    row, x, h, state = affine(cell, 1)
    close(cell.step(row, state)[0], torch.tanh(x + h), 1e-6)


def test_the_lstm_is_the_equations_it_says() -> None:
    cell = cell_of("lstm")
    row, x, h, state = affine(cell, 4)
    write, keep, new, read = x + h
    memory = torch.sigmoid(keep) * state[1][0] + torch.sigmoid(write) * torch.tanh(new)
    output, after = cell.step(row, state)
    close(output, torch.sigmoid(read) * torch.tanh(memory), 1e-6)
    close(after[1][0], memory, 1e-6)


def test_the_gru_is_the_equations_it_says() -> None:
    cell = cell_of("gru")
    row, x, h, state = affine(cell, 3)
    r, z = torch.sigmoid(x[0] + h[0]), torch.sigmoid(x[1] + h[1])
    n = torch.tanh(x[2] + r * h[2])
    close(cell.step(row, state)[0], (1 - z) * n + z * state[0][0], 1e-6)


def test_dropout_acts_between_layers_only() -> None:
    assert FusedCell("lstm", FEATURES, HIDDEN, 1, dropout=0.5).rnn.dropout == 0.0
    assert FusedCell("lstm", FEATURES, HIDDEN, 2, dropout=0.5).rnn.dropout == 0.5

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from forecasting.network import LONGEST_ABSENCE, Filled, Forecaster, Rows, fill, fill_alone
from tests.forecasting.panels import CELLS, architecture, close, forecaster

NAN = float("nan")


def column(*cells: float) -> Tensor:
    return torch.tensor(cells)[:, None]


def listed(filled: Filled) -> tuple[list[float], list[float], list[float]]:
    return tuple(part[0, :, 0].tolist() for part in (filled.level, filled.absence, filled.changes))  # type: ignore[return-value]


def test_a_missing_cell_holds_the_last_value_seen_and_says_since_when() -> None:
    level, absence, changes = listed(fill_alone(column(1.0, NAN, NAN, 4.0, 3.0)))
    assert level == [1.0, 1.0, 1.0, 4.0, 3.0]
    assert absence == [0.0, 1.0, 2.0, 0.0, 0.0]
    assert changes == [0.0, 0.0, 0.0, 3.0, -1.0]


def test_before_the_first_value_the_level_is_zero_and_no_change_is_known() -> None:
    level, absence, changes = listed(fill_alone(column(NAN, NAN, 5.0, 6.0)))
    assert level == [0.0, 0.0, 5.0, 6.0]
    assert absence == [LONGEST_ABSENCE, LONGEST_ABSENCE, 0.0, 0.0]
    assert changes == [0.0, 0.0, 0.0, 1.0]


def by_hand(cells: list[float]) -> tuple[list[float], list[float], list[float]]:
    level, absence, seen, rows = 0.0, LONGEST_ABSENCE, False, []
    for cell in cells:
        known = cell == cell  # noqa: PLR0124 - NaN is not itself
        change = cell - level if known and seen else 0.0
        level, absence = (cell, 0.0) if known else (level, min(absence + 1, LONGEST_ABSENCE))
        seen = seen or known
        rows.append((level, absence, change))
    return tuple(list(part) for part in zip(*rows, strict=True))  # type: ignore[return-value]


@given(st.lists(st.one_of(st.just(NAN), st.integers(-9, 9).map(float)), min_size=1, max_size=30))
@settings(deadline=None)
def test_filling_equals_a_loop_over_rows(cells: list[float]) -> None:
    assert listed(fill_alone(column(*cells))) == by_hand(cells)


@given(st.lists(st.one_of(st.just(NAN), st.integers(-9, 9).map(float)), min_size=2, max_size=30), st.integers(1, 29))
@settings(deadline=None)
def test_filling_may_be_cut_anywhere(cells: list[float], where: int) -> None:
    network, values = forecaster(columns=1, lags=2), column(*cells)[None]
    middle = min(where, len(cells) - 1)
    start = network.initial_state(1)
    whole = fill(values, start)
    _, between = network.unroll(Rows(values[:, :middle], torch.zeros(1, middle, 0)), start)
    second = fill(values[:, middle:], between)
    assert torch.equal(second.level, whole.level[:, middle:])
    assert torch.equal(second.absence, whole.absence[:, middle:])
    assert torch.equal(second.changes, whole.changes[:, middle:])


@pytest.mark.parametrize("cell", CELLS)
def test_an_untrained_forecaster_is_persistence(cell: str) -> None:
    network = Forecaster(architecture(cell=cell, calendar=2)).eval()
    values = torch.tensor([[[1.0, NAN], [2.0, -1.0], [NAN, -3.0]]])
    forecast, _ = network.unroll(Rows(values, torch.ones(1, 3, 2)), network.initial_state(1))
    last = torch.tensor([[1.0, 0.0], [2.0, -1.0], [2.0, -3.0]])
    for said in forecast:
        assert torch.equal(said[0], last[:, None].expand(3, 2, 2))


def test_the_forecast_is_the_mean_of_the_members() -> None:
    network = forecaster(members=3)
    rows, start = Rows(torch.randn(2, 5, 2), torch.zeros(2, 5, 0)), network.initial_state(2)
    members, _ = network.unroll_members(rows, start)
    forecast, _ = network.unroll(rows, start)
    assert len(members) == 3
    close(forecast.point, sum(member[:, :, 0] for member in members) / 3, 1e-6)
    close(forecast.median, sum(member[:, :, 1] for member in members) / 3, 1e-6)


def test_a_forecast_has_a_row_for_each_step_and_a_cell_for_each_column() -> None:
    network = forecaster(columns=3, horizon=4, calendar=2)
    rows = Rows(torch.randn(2, 5, 3), torch.randn(2, 5, 2))
    forecast, state = network.unroll(rows, network.initial_state(2))
    assert forecast.point.shape == forecast.median.shape == (2, 5, 4, 3)
    stepped, _ = network.step(rows.values[:, 0], rows.calendar[:, 0], state)
    assert stepped.point.shape == stepped.median.shape == (2, 4, 3)


def test_the_same_weights_and_rows_give_the_same_bits() -> None:
    network = forecaster()
    rows = Rows(torch.randn(2, 9, 2), torch.zeros(2, 9, 0))
    first, second = (network.unroll(rows, network.initial_state(2))[0] for _ in range(2))
    assert torch.equal(first.point, second.point)
    assert torch.equal(first.median, second.median)

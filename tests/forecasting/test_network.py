from __future__ import annotations

import pytest
import torch

from forecasting.network import LARGEST_STRETCH, Forecaster
from tests.forecasting.cases import rows_of
from tests.forecasting.panels import CELLS, architecture, close, forecaster

NAN = float("nan")
CHANNELS = ("joint", "independent")


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("cell", CELLS)
def test_an_untrained_forecaster_is_persistence_with_the_scale_it_was_given(cell: str, channels: str) -> None:
    network = Forecaster(architecture(cell=cell, channels=channels, calendar=2, known=1)).eval()
    network.noise.fill_(0.5)
    values = torch.tensor([[[1.0, NAN], [2.0, -1.0], [NAN, -3.0]]])
    forecast, _ = network.unroll(rows_of(values, 2, torch.randn(1, 5, 1)), network.initial_state(1))
    last = torch.tensor([[1.0, 0.0], [2.0, -1.0], [2.0, -3.0]])
    for said in forecast[:2]:
        assert torch.equal(said[0], last[:, None].expand(3, 2, 2))
    close(forecast.scale, torch.full((1, 3, 2, 2), 0.5).exp())


@pytest.mark.parametrize("channels", CHANNELS)
def test_the_forecast_is_the_mean_of_the_members(channels: str) -> None:
    network = forecaster(members=3, channels=channels)
    rows, start = rows_of(torch.randn(2, 5, 2)), network.initial_state(2)
    members, _ = network.unroll_members(rows, start)
    forecast, _ = network.unroll(rows, start)
    assert len(members) == 3
    point, median, log_scale = (sum(member[:, :, output] for member in members) / 3 for output in range(3))
    close(tuple(forecast), (point, median, torch.exp(torch.as_tensor(log_scale))))


def test_a_forecast_has_a_row_for_each_step_and_a_cell_for_each_target() -> None:
    network = forecaster(columns=3, past=1, known=2, horizon=4, calendar=2)
    rows = rows_of(torch.randn(2, 5, 4), 2, torch.randn(2, 9, 2))
    forecast, state = network.unroll(rows, network.initial_state(2))
    assert {part.shape for part in forecast} == {(2, 5, 4, 3)}
    stepped, _ = network.step(rows.values[:, 0], rows.calendar[:, 0], rows.known[:, :5], state)
    assert {part.shape for part in stepped} == {(2, 4, 3)}


def test_the_same_weights_and_rows_give_the_same_bits() -> None:
    network, rows = forecaster(), rows_of(torch.randn(2, 9, 2))
    first, second = (network.unroll(rows, network.initial_state(2))[0] for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_point_and_median_take_each_its_share_of_the_linear_road() -> None:
    network, rows = forecaster(), rows_of(torch.randn(1, 9, 2))
    network.spread.zero_()
    whole, _ = network.unroll(rows, network.initial_state(1))
    network.share[0], network.share[1] = 0.0, 2 * network.share[1]
    less, _ = network.unroll(rows, network.initial_state(1))
    last = rows.values[:, :, None].expand(-1, -1, 2, -1)
    assert torch.equal(less.point, last)
    close(less.median - last, 2 * (whole.median - last))
    assert torch.equal(less.scale, whole.scale)


@pytest.mark.parametrize("output", [0, 1, 2])
def test_what_a_step_and_target_is_not_trusted_with_is_left_out(output: int) -> None:
    network, rows = forecaster(), rows_of(torch.randn(1, 9, 2))
    before, _ = network.unroll(rows, network.initial_state(1))
    network.spread[output, 1, 0] = 0.0
    after, _ = network.unroll(rows, network.initial_state(1))
    moved = [(a != b).any(dim=1)[0] for a, b in zip(before, after, strict=True)]
    wanted = torch.zeros(3, 2, 2, dtype=torch.bool)
    wanted[output, 1, 0] = True
    assert torch.equal(torch.stack(moved), wanted)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_member_may_stretch_the_scale_so_far_and_no_farther(sign: float) -> None:
    network, rows = forecaster(members=1), rows_of(torch.randn(1, 9, 2))
    network.spread.fill_(1.0)
    network.get_parameter("members.0.head.bias").fill_(sign * 1e9)
    said, _ = network.unroll(rows, network.initial_state(1))
    wanted = (network.noise + sign * LARGEST_STRETCH).exp()
    close(said.scale, wanted.expand_as(said.scale))
    assert (said.point * sign > 1e6).all()


def test_rows_that_prime_a_state_are_remembered_by_the_road_and_not_by_the_cells() -> None:
    network, values = forecaster(lags=4), torch.randn(2, 6, 2)
    primed, fresh = network.primed_state(values), network.initial_state(2)
    _, after = network.unroll(rows_of(values), fresh)
    assert all(torch.equal(a, b) for a, b in zip(primed.past, after.past, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(primed.cells[0], fresh.cells[0], strict=True))

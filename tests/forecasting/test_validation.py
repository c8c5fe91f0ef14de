from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from forecasting.baselines import persistence
from forecasting.errors import DataError
from forecasting.members import Member
from forecasting.network import Forecaster
from forecasting.scaled import origins, targets
from forecasting.streaming import Job, stream
from forecasting.validation import Validation, _beyond_chance, _most_likely, validation_of
from tests.forecasting.panels import HOURLY, architecture, forecaster, plain, walk


def untrained() -> Forecaster:
    """A forecaster whose members add nothing yet, on a linear road that says something."""
    network = Forecaster(architecture(calendar=HOURLY.width))
    network.linear = forecaster(7, calendar=HOURLY.width).linear
    return network


def validation(missing: float = 0.0) -> tuple[Validation, Forecaster]:
    panel = [plain(walk(120, seed=i, missing=missing), 60, 100, HOURLY) for i in range(2)]
    network = untrained()
    return validation_of(network, panel), network


def shaken(network: Forecaster, seed: int) -> Forecaster:
    """Give the heads random weights."""
    torch.nn.init.normal_(head_of(network).weight, std=0.3, generator=torch.Generator().manual_seed(seed))
    return network.requires_grad_(False)


def head_of(network: Forecaster) -> nn.Linear:
    """Return the head of the first member."""
    member = network.members[0]
    assert isinstance(member, Member)
    return member.head


def test_a_network_that_adds_nothing_is_judged_by_the_error_of_the_linear_road() -> None:
    judged, network = validation(missing=0.2)
    found, seen = judged.judge(network), ~np.isnan(judged.came)
    assert found.mse_z == pytest.approx(np.square(judged.came - judged.point)[seen].mean())
    assert found.mae_z == pytest.approx(np.abs(judged.came - judged.median)[seen].mean())
    assert found.noise == 0
    assert not found.trust.any()


def test_the_median_takes_the_share_of_the_road_that_leaves_the_least_absolute_error_or_more_of_it() -> None:
    judged, network = validation(missing=0.2)
    last = np.concatenate([persistence(job.one, job.at, 2) for job in judged.jobs])
    shares = np.linspace(0, 1, 11)
    errors = [np.nanmean(np.abs(judged.came - last - share * (judged.point - last)), axis=0) for share in shares]
    least = shares[np.argmin(errors, axis=0)]
    assert (network.share[0] == 1).all()
    assert ((network.share[1].numpy() >= least - 1e-6) & (network.share[1].numpy() <= 1)).all()
    assert network.share[1].min() < 0.2  # chance is left out, so that it does not come down to the least itself


def test_no_forecaster_is_judged_worse_than_the_linear_road() -> None:
    judged, network = validation(missing=0.2)
    floor = judged.judge(network)
    for seed in range(5):
        found = judged.judge(shaken(network, seed))
        assert found.mse_z <= floor.mse_z + 1e-9
        assert found.mae_z <= floor.mae_z + 1e-9
        assert found.noise <= 1e-9
        assert ((found.trust >= 0) & (found.trust <= 1)).all()


def test_trusting_the_corrections_as_told_gives_the_error_that_was_judged() -> None:
    judged, network = validation()
    told = [np.concatenate(parts) for parts in zip(*stream(shaken(network, 1).eval(), judged.jobs), strict=True)]
    judged = replace(judged, came=(judged.point + told[0]) / 2 + 0.01 * judged.came)
    found = judged.judge(network)
    assert found.trust.any()
    network.spread.mul_(torch.from_numpy(found.trust))
    point, median, _ = (np.concatenate(parts) for parts in zip(*stream(network, judged.jobs), strict=True))
    assert np.nanmean((point - judged.came) ** 2) == pytest.approx(found.mse_z, rel=1e-4)
    assert np.nanmean(np.abs(median - judged.came)) == pytest.approx(found.mae_z, rel=1e-4)


def test_a_factor_is_learnt_for_each_step_and_column() -> None:
    judged, network = validation()
    wanted, noise = np.array([[0.25, 0.5], [1.0, 0.0]]), np.random.default_rng(0).normal(size=judged.came.shape)
    judged = replace(judged, came=judged.point + wanted + 0.01 * noise)
    network.spread.fill_(1.0)
    for member in network.members:
        assert isinstance(member, Member)
        member.head.bias.data = torch.ones(12)
    np.testing.assert_allclose(judged.judge(network).trust[0], wanted, atol=0.01)


def test_a_gain_within_chance_is_not_believed() -> None:
    noise = np.random.default_rng(1).normal(size=(40, 1, 200))
    assert np.mean(_beyond_chance(noise)) < 0.15
    assert not _beyond_chance(noise[:, :, :1] - 5).any()


@given(st.integers(3, 200), st.floats(0.1, 5.0))
def test_the_same_gain_is_believed_the_more_the_more_often_it_was_seen(origins_seen: int, gain: float) -> None:
    once = gain + np.random.default_rng(2).normal(size=(origins_seen, 1, 1))
    assert _beyond_chance(np.tile(once, (4, 1, 1))) >= _beyond_chance(once)
    assert 0 <= _beyond_chance(once).item() <= 1


def test_a_gain_at_overlapping_steps_is_believed_less() -> None:
    gain = np.repeat(0.4 + np.random.default_rng(3).normal(size=(60, 1, 1)), 3, axis=1)
    believed = _beyond_chance(gain)[:, 0]
    assert believed[0] > believed[1] > believed[2] or not believed[2]


def test_what_the_road_leaves_is_its_root_mean_square_by_step_and_column() -> None:
    judged, _ = validation(missing=0.2)
    left = judged.came - judged.point
    np.testing.assert_allclose(judged.left_over(), np.sqrt(np.nanmean(left**2, axis=0)), rtol=1e-5)


def test_a_column_without_anything_left_has_spread_one() -> None:
    z = walk(120)
    z[:, 0], z[60:, 1] = 3.0, np.nan
    z[70, 1] = 1.0
    network = Forecaster(architecture(calendar=HOURLY.width))
    spread = validation_of(network, [plain(z, 60, 100, HOURLY)]).left_over()
    assert spread[:, 0].tolist() == [1.0, 1.0]
    assert np.isfinite(spread).all()


def test_validation_rows_are_those_of_the_validation_part() -> None:
    panel = [plain(walk(120), 60, 100, HOURLY), plain(walk(50), 50, 50, HOURLY)]
    judged = validation_of(untrained(), panel)
    (job,) = judged.jobs
    assert job == Job(panel[0], origins(panel[0].valid, 2))
    np.testing.assert_array_equal(judged.came, targets(panel[0], job.at, 2))


def test_validation_rows_without_a_value_are_refused() -> None:
    z = walk(120)
    z[60:100] = np.nan
    message = r"^no value is observed in the validation part; choose another split, or fill the source$"
    with pytest.raises(DataError, match=message):
        validation_of(untrained(), [plain(z, 60, 100, HOURLY)])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_forecaster_that_says_no_numbers_has_no_error(value: float) -> None:
    judged, network = validation()
    head_of(network).bias.data[0] = value
    found = judged.judge(network)
    assert np.isnan([found.mse_z, found.mae_z, found.noise]).all()


def test_judging_leaves_a_forecaster_in_the_mode_it_was_in() -> None:
    judged, network = validation()
    for training in (True, False):
        network.train(training)
        judged.judge(network)
        assert network.training is training


def test_before_a_network_is_asked_the_scale_is_the_mean_size_of_the_errors() -> None:
    judged, network = validation(missing=0.2)
    told = stream(network.eval(), judged.jobs)
    wanted = np.nanmean(np.abs(judged.came - judged.median), axis=0)
    for said in told:
        np.testing.assert_allclose(said.scale, np.broadcast_to(wanted, said.scale.shape), rtol=1e-5)


def test_point_and_median_are_corrected_in_units_of_what_the_road_leaves() -> None:
    judged, network = validation(missing=0.2)
    assert network.spread[:2].numpy() == pytest.approx(np.stack([judged.left_over()] * 2))
    assert (network.spread[2] == 1).all()


def sizes(stretch: np.ndarray, seed: int = 0) -> np.ndarray:
    """Draw the sizes of Laplace distributed errors whose scale follows a stretch."""
    return np.random.default_rng(seed).exponential(size=stretch.shape) * np.exp(stretch)


def test_a_scale_that_follows_the_errors_is_trusted_and_said_to_gain() -> None:
    stretch = np.random.default_rng(1).normal(size=(2000, 1, 2))
    trust, gain = _most_likely(stretch, sizes(stretch))
    assert (trust > 0.9).all()
    assert gain == pytest.approx(-np.log(np.exp(stretch).mean()), abs=0.1)


def test_a_scale_that_knows_nothing_is_not_trusted() -> None:
    stretch = np.random.default_rng(1).normal(size=(2000, 1, 20))
    trust, gain = _most_likely(stretch, sizes(np.zeros_like(stretch)))
    assert trust.mean() < 0.02
    assert gain == pytest.approx(0, abs=1e-3)


def test_a_scale_that_exaggerates_is_trusted_in_part() -> None:
    stretch = np.random.default_rng(1).normal(size=(4000, 1, 1))
    trust, _ = _most_likely(3 * stretch, sizes(stretch))
    assert trust == pytest.approx(1 / 3, abs=0.07)


def test_the_scale_is_judged_on_observed_cells_alone() -> None:
    stretch = np.random.default_rng(1).normal(size=(2000, 1, 2))
    size = sizes(stretch)
    size[:1000] = np.nan
    wild = stretch.copy()
    wild[:1000] = 9.0
    assert _most_likely(wild, size)[1] == pytest.approx(_most_likely(stretch[1000:], size[1000:])[1])


def test_errors_that_are_all_zero_have_a_scale() -> None:
    trust, gain = _most_likely(np.random.default_rng(1).normal(size=(50, 1, 1)), np.zeros((50, 1, 1)))
    assert np.isfinite([trust.item(), gain]).all()


def test_calibration_is_of_the_validation_rows() -> None:
    judged, network = validation(missing=0.2)
    made = judged.calibrated(network.eval(), [80, 90])
    assert made.levels == (80, 90)
    assert np.array_equal(made.cells, (~np.isnan(judged.came)).sum(axis=0))
    scale = np.broadcast_to(np.exp(network.noise.numpy()), judged.median.shape)
    low, high = made.interval(80, judged.median, scale)
    inside = ((judged.came >= low) & (judged.came <= high)).sum() / (~np.isnan(judged.came)).sum()
    assert 0.8 <= inside < 0.9

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecasting.conformal import Calibration, Outcome, calibrate
from forecasting.errors import DataError, NotFinite
from forecasting.scaling import Units, fit_scaler
from forecasting.transforms import PLAIN, Transform
from tests.forecasting.panels import own_units, panel, series

NAN = np.nan
LEVELS = (80, 90, 95)
REALS = st.floats(-1e4, 1e4, width=32)


def outcome(actual: Any, median: Any = 0.0, scale: Any = 1.0, units: Units | None = None) -> Outcome:
    """Build forecasts of `actual`, whose shape is (origins, horizon, columns)."""
    came = np.asarray(actual, dtype=np.float32)
    said = [np.broadcast_to(np.float32(part), came.shape) for part in (median, median, scale)]
    return Outcome(*said, came, units or own_units(came.shape[2]))


def cells(*values: float) -> np.ndarray:
    """Build what came at one step of one column."""
    return np.array(values, dtype=np.float32).reshape(-1, 1, 1)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_t(3, size=shape).astype(np.float32)


def drawn(draw: st.DataObject, horizon: int = 2, columns: int = 2) -> Calibration:
    """Calibrate on any residuals, a few of them missing."""
    rows = draw.draw(st.integers(1, 30))
    values = draw.draw(arrays(np.float32, (rows, horizon, columns), elements=REALS | st.just(NAN)))
    values[0, 0, 0] = 0.5
    return calibrate([outcome(values)], draw.draw(st.lists(st.integers(1, 99), min_size=1, max_size=4)))


def test_probabilities_are_the_ends_of_the_levels_and_the_deciles() -> None:
    found = calibrate([outcome(noise(50, 1, 1))], LEVELS)
    assert found.levels == LEVELS
    assert found.probabilities == (0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975)
    assert calibrate([outcome(noise(50, 1, 1))], [99]).probabilities[:3] == (0.005, 0.05, 0.1)


def test_a_quantile_is_the_residual_of_its_rank_among_one_more() -> None:
    """Of residuals -50 to 49, ranks are those of 101: the upper end of 90 % is the 96th, the lower the 5th."""
    found = calibrate([outcome(cells(*np.random.default_rng(0).permutation(np.arange(-50, 50))))], [90])
    low, high = found.interval(90, np.zeros((1, 1)), np.ones((1, 1)))
    assert (low.item(), high.item()) == (-50 + 4, -50 + 95)


def test_both_tails_are_ranked_alone() -> None:
    """Errors that are always upwards leave nothing below the median."""
    found = calibrate([outcome(np.abs(noise(200, 1, 1)))], [90])
    low, high = found.interval(90, np.full((1, 1), 3.0), np.ones((1, 1)))
    assert low.item() == 3.0
    assert high.item() > 4.0


@given(st.integers(0, 9999), st.sampled_from([40, 80, 90]), st.integers(30, 120))
@settings(max_examples=10, deadline=None)
def test_exchangeable_residuals_are_covered_as_promised(seed: int, level: int, rows: int) -> None:
    """Over 1,200 calibrations, each judged on one new cell of its own, by the binomial distribution at 5 sigma."""
    came = noise(rows + 1, 30, 40, seed=seed)
    size = np.random.default_rng(seed).uniform(0.1, 9, size=came.shape).astype(np.float32)
    found = calibrate([outcome(came[:-1] * size[:-1], scale=size[:-1])], [level])
    low, high = found.interval(level, np.zeros(came.shape[1:]), size[-1])
    held = int(((low <= came[-1] * size[-1]) & (came[-1] * size[-1] <= high)).sum())
    promised, slack = level / 100, 5 * math.sqrt(level / 100 * (1 - level / 100) / 1200)
    assert held / 1200 >= promised - slack
    assert held / 1200 <= promised + 2 / (rows + 1) + slack


@given(st.data(), REALS, st.floats(2**-20, 1e4, width=32))
@settings(max_examples=50, deadline=None)
def test_quantiles_never_cross_and_the_middle_one_is_the_median(
    data: st.DataObject, middle: float, size: float
) -> None:
    found = drawn(data)
    median, scale = np.full((3, 2, 2), middle, np.float32), np.full((3, 2, 2), size, np.float32)
    quantiles = found.quantiles(median, scale)
    assert quantiles.shape == (3, len(found.probabilities), 2, 2)
    assert (np.diff(quantiles, axis=1) >= 0).all()
    np.testing.assert_array_equal(quantiles[:, found.probabilities.index(0.5)], median)


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_a_calibration_comes_back_from_json(data: st.DataObject) -> None:
    found = drawn(data)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Calibration) == found


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_a_higher_level_holds_the_lower_ones(data: st.DataObject) -> None:
    found = drawn(data)
    ends = [found.interval(level, np.zeros((2, 2)), np.ones((2, 2))) for level in sorted(found.central)]
    for (low, high), (lower, higher) in pairwise(ends):
        assert (lower <= low).all()
        assert (high <= higher).all()


def test_an_interval_is_two_of_the_quantiles() -> None:
    found = calibrate([outcome(noise(80, 3, 2))], LEVELS)
    median, scale = noise(5, 3, 2, seed=1), np.abs(noise(5, 3, 2, seed=2))
    quantiles = found.quantiles(median, scale)
    for level, (low, high) in found.central.items():
        np.testing.assert_array_equal(found.interval(level, median, scale), (quantiles[:, low], quantiles[:, high]))
    assert set(LEVELS) < set(found.central)


def test_fewer_steps_may_be_asked_for_than_were_calibrated() -> None:
    found = calibrate([outcome(noise(80, 3, 2))], LEVELS)
    whole, part = (found.quantiles(np.zeros((steps, 2)), np.ones((steps, 2))) for steps in (3, 1))
    np.testing.assert_array_equal(part, whole[:, :1])


def test_a_level_that_was_not_calibrated_is_named_with_those_that_were() -> None:
    found = calibrate([outcome(noise(80, 1, 1))], [95])
    with pytest.raises(ValueError, match=r"^the level is 70; calibrated are 20, 40, 60, 80, 90, 95$"):
        found.interval(70, np.zeros((1, 1)), np.ones((1, 1)))


@pytest.mark.parametrize(("rows", "short"), [(38, True), (39, False)])
def test_a_level_needs_so_many_residuals_that_its_rank_is_among_them(rows: int, short: bool) -> None:
    """The upper end of 95 % is rank ceil(.975 (n + 1)): 39 of 38 residuals, 39 of 39."""
    found = calibrate([outcome(noise(rows, 1, 1))], [95])
    assert found.short(95).item() is short
    assert not found.short(90).any()


def test_with_too_few_residuals_an_interval_ends_at_the_most_extreme_ones() -> None:
    found = calibrate([outcome(cells(-2, 5, 1))], [95])
    low, high = found.interval(95, np.zeros((1, 1)), np.ones((1, 1)))
    assert (low.item(), high.item()) == (-2, 5)


def test_cells_that_were_not_observed_count_nowhere() -> None:
    values = noise(100, 2, 2)
    values[:60, 1, 0] = NAN
    found = calibrate([outcome(values)], LEVELS)
    alone = calibrate([outcome(values[60:])], LEVELS)
    assert found.cells == ((100, 100), (40, 100))
    np.testing.assert_array_equal(found.factors[:, 1, 0], alone.factors[:, 1, 0])


def test_a_step_without_a_residual_borrows_those_of_its_column_and_a_column_those_of_all() -> None:
    values = noise(60, 2, 2)
    values[:, 1, 0] = NAN
    found = calibrate([outcome(values)], LEVELS)
    np.testing.assert_array_equal(found.factors[:, 1, 0], found.factors[:, 0, 0])
    assert found.short(90).tolist() == [[False, False], [True, False]]
    values[:, 0, 0] = NAN
    borrowed = calibrate([outcome(values)], LEVELS)
    pooled = calibrate([outcome(values[:, :, 1].reshape(-1, 1, 1))], LEVELS)
    np.testing.assert_array_equal(borrowed.factors[:, :, 0], np.repeat(pooled.factors[:, :, 0], 2, axis=1))


def test_series_are_pooled_in_their_own_scales() -> None:
    values, sizes = noise(90, 2, 1), np.float32([1, 8, 64])
    together = calibrate([outcome(values[i::3] * size, scale=size) for i, size in enumerate(sizes)], LEVELS)
    assert together == calibrate([outcome(values)], LEVELS)


def test_a_series_without_an_origin_adds_nothing() -> None:
    values = noise(50, 2, 1)
    assert calibrate([outcome(np.zeros((0, 2, 1))), outcome(values)], LEVELS) == calibrate([outcome(values)], LEVELS)


def test_a_column_that_is_always_met_has_an_interval_of_no_width() -> None:
    found = calibrate([outcome(np.full((50, 1, 1), 7.0), median=7.0)], LEVELS)
    assert not found.factors.any()
    assert "-0" not in msgspec.json.encode(found).decode()
    low, high = found.interval(95, np.full((1, 1), 2.5), np.ones((1, 1)))
    assert low.item() == high.item() == 2.5


@pytest.mark.parametrize("outcomes", [[], [outcome(np.full((9, 1, 1), NAN))], [outcome(np.zeros((0, 1, 1)))]])
def test_nothing_observed_calibrates_nothing(outcomes: list[Outcome]) -> None:
    with pytest.raises(DataError, match=r"^no value is observed in the validation part, so no interval can be cali"):
        calibrate(outcomes, LEVELS)


@pytest.mark.parametrize("fault", [{"median": NAN}, {"median": np.inf}, {"scale": 0.0}, {"scale": -1.0}])
def test_a_forecast_that_is_no_forecast_is_refused(fault: dict[str, float]) -> None:
    with pytest.raises(NotFinite, match=r"is not a finite number with a scale above 0; train the model again$"):
        calibrate([outcome(noise(9, 1, 1), **fault)], LEVELS)


def logged(values: np.ndarray, *transforms: Transform) -> Units:
    """Learn the units of columns."""
    return fit_scaler(panel(series("a", values)), transforms).units("a")


class TestSmear:
    def test_makes_the_mean_of_the_answers_the_mean_of_what_came(self) -> None:
        draw = np.random.default_rng(0)
        values = draw.lognormal(2.0, 0.6, size=(4000, 1)).astype(np.float32)
        units = logged(values, Transform(log1p=True))
        actual = units.to_z(values)[:, None]
        found = calibrate([outcome(actual, median=actual.mean(), units=units)], LEVELS)
        said = units.from_z(np.full((1, 1), actual.mean(), np.float32), found.shift)
        assert said.item() == pytest.approx(values.mean(), rel=1e-3)
        assert units.from_z(np.full((1, 1), actual.mean(), np.float32)).item() < 0.9 * values.mean()

    def test_is_of_the_columns_learnt_as_logarithms_alone(self) -> None:
        values = np.random.default_rng(0).lognormal(2.0, 0.6, size=(400, 2)).astype(np.float32)
        units = logged(values, Transform(log1p=True), PLAIN)
        found = calibrate([outcome(units.to_z(values)[:, None], units=units)], LEVELS)
        assert found.smear[0][0] > 0.05
        assert found.smear[0][1] == 0.0

    def test_is_at_most_a_factor_of_two(self) -> None:
        values = np.random.default_rng(0).lognormal(0.0, 3.0, size=(400, 1)).astype(np.float32)
        units = logged(values, Transform(log1p=True))
        found = calibrate([outcome(units.to_z(values)[:, None], units=units)], LEVELS)
        assert found.smear[0][0] == pytest.approx(math.log(2))

    def test_of_a_step_without_an_observation_is_that_of_its_column(self) -> None:
        values = np.random.default_rng(0).lognormal(2.0, 0.6, size=(400, 1)).astype(np.float32)
        units = logged(values, Transform(log1p=True))
        actual = np.repeat(units.to_z(values)[:, None], 2, axis=1)
        actual[:, 1] = NAN
        first, second = calibrate([outcome(actual, units=units)], LEVELS).smear
        assert first == second != (0.0,)


@given(
    st.data(), st.sampled_from([PLAIN, Transform(log1p=True)]), st.booleans(), REALS, st.floats(2**-20, 50, width=32)
)
@settings(max_examples=50, deadline=None)
def test_answers_keep_bounds_whole_numbers_and_their_order(
    data: st.DataObject, kind: Transform, whole: bool, middle: float, size: float
) -> None:
    bounded = msgspec.structs.replace(kind, bounds=(0.0, 40.0), integer=whole)
    units = logged(np.random.default_rng(1).uniform(1, 39, size=(60, 1)).round(), bounded)
    found = drawn(data, columns=1)
    answers = units.from_z(found.quantiles(np.full((2, 1), middle, np.float32), np.full((2, 1), size, np.float32)))
    assert ((answers >= 0) & (answers <= 40)).all()
    assert (np.diff(answers, axis=0) >= 0).all()
    if whole:
        np.testing.assert_array_equal(answers, np.rint(answers))

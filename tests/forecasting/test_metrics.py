from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, mean_pinball_loss, mean_squared_error, root_mean_squared_error

from forecasting.conformal import Calibration, Outcome, calibrate
from forecasting.metrics import Answer, Losses, Yardstick, added, in_sample_naive, losses, score
from forecasting.scores import FullScores
from tests.forecasting.panels import own_units

NAN = np.nan
Part = tuple[Losses, Yardstick]


def errors(point: np.ndarray, median: np.ndarray | None = None, naive: float = 1.0, std: float = 1.0) -> Part:
    """Build the losses of a series from errors in z units; NaN is not observed. No interval."""
    actual = np.where(np.isnan(point), NAN, 0.0)
    said = [np.nan_to_num(part) * std for part in (point, point if median is None else median)]
    constants = [np.full(point.shape[2], number) for number in (std, naive * std, naive * std)]
    return losses(Answer(*said, said[0][:, None][:, :0]), actual, constants[0], None), Yardstick(*constants)


def interval(actual: np.ndarray, calibration: Calibration, median: np.ndarray, spread: float = 1.0) -> Part:
    """Build the losses of forecasts in the units of the data, whose errors have scale 1."""
    answer = Answer(median, median, calibration.quantiles(median, np.ones_like(median)))
    spreads = np.full(median.shape[2], spread)
    return losses(answer, actual, spreads, calibration), Yardstick(spreads, spreads, spreads)


def calibrated(residuals: np.ndarray) -> Calibration:
    nought, one = (np.full(residuals.shape, number, np.float32) for number in (0.0, 1.0))
    return calibrate([Outcome(nought, nought, one, residuals.astype(np.float32), own_units(residuals.shape[2]))], [80])


def drawn(origins: int, horizon: int, columns: int, seed: int, missing: float) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    point, median = draw.normal(size=(2, origins, horizon, columns))
    absent = draw.random(point.shape) < missing
    return np.where(absent, NAN, point), np.where(absent, NAN, median)


@given(
    horizon=st.integers(1, 3),
    columns=st.integers(1, 3),
    seed=st.integers(0, 999),
    missing=st.sampled_from([0.0, 0.3]),
    std=st.floats(0.1, 100),
)
@settings(max_examples=25, deadline=None)
def test_scores_are_sklearns_over_observed_cells(
    horizon: int, columns: int, seed: int, missing: float, std: float
) -> None:
    point, median = drawn(20, horizon, columns, seed, missing)
    found = score(
        [errors(point[:12], median[:12], std=std), errors(point[12:], median[12:], std=std)], tuple("abc")[:columns]
    )
    seen = ~np.isnan(point)
    zeros = np.zeros(int(seen.sum()))
    assert found.cells == seen.sum()
    assert found.mse_z == pytest.approx(mean_squared_error(zeros, point[seen]))
    assert found.mae_z == pytest.approx(mean_absolute_error(zeros, median[seen]))
    for place, one in enumerate(found.by_column.values()):
        cells = seen[:, :, place]
        none = np.zeros(int(cells.sum()))
        assert one.rmse == pytest.approx(root_mean_squared_error(none, point[:, :, place][cells] * std))
        assert one.mae == pytest.approx(mean_absolute_error(none, median[:, :, place][cells] * std))
    assert found.rmse == pytest.approx(np.mean([one.rmse for one in found.by_column.values()]))
    for place, step in enumerate(found.by_step):
        cells = seen[:, place]
        assert step.step == place + 1
        assert step.mse_z == pytest.approx(mean_squared_error(np.zeros(int(cells.sum())), point[:, place][cells]))


def test_each_series_returns_to_its_own_units() -> None:
    one = np.ones((1, 1, 1))
    found = score([errors(one, std=2.0), errors(one, std=4.0)], ("a",))
    assert (found.mae, found.rmse) == (3.0, pytest.approx(np.sqrt((4 + 16) / 2)))


def test_mase_and_rmsse_are_relative_to_the_seasonal_naive_of_training() -> None:
    """Training 1 3 2 7 with a season of 2 changes by 1 and 4: mean 2.5, root mean square sqrt(8.5)."""
    mae, rmse = in_sample_naive(np.array([[1.0], [3.0], [2.0], [7.0]]), season=2)
    assert mae == pytest.approx([2.5])
    assert rmse == pytest.approx([np.sqrt(8.5)])
    made = np.array([1.0, -4.0, NAN]).reshape(3, 1, 1)
    measured, _ = errors(made)
    found = score([(measured, Yardstick(np.ones(1), mae, rmse))], ("a",))
    assert found.mase == pytest.approx((1 + 4) / 2 / 2.5)
    assert found.rmsse == pytest.approx(np.sqrt((1 + 16) / 2 / 8.5))


def test_the_in_sample_naive_skips_pairs_with_a_missing_cell() -> None:
    mae, rmse = in_sample_naive(np.array([[1.0], [NAN], [4.0], [5.0]]), season=1)
    assert (mae.tolist(), rmse.tolist()) == ([1.0], [1.0])


@pytest.mark.parametrize("rows", [[[1.0]], [[1.0], [NAN]], [[2.0], [2.0]], np.zeros((0, 1))])
def test_there_is_no_naive_error_without_a_change(rows: list[list[float]]) -> None:
    mae, rmse = in_sample_naive(np.array(rows), season=1)
    assert np.isnan([*mae, *rmse]).all()


def test_a_series_without_a_naive_error_counts_in_all_but_the_relative_scores() -> None:
    two, four = np.full((1, 1, 1), 2.0), np.full((1, 1, 1), 4.0)
    found = score([errors(two, naive=1.0), errors(four, naive=NAN)], ("a",))
    assert (found.cells, found.mae, found.mase, found.rmsse) == (2, 3.0, 2.0, 2.0)


def test_a_column_that_was_never_observed_has_no_scores_and_spoils_no_other() -> None:
    point = np.ones((4, 2, 2))
    point[:, :, 1] = NAN
    found = score([errors(point)], ("a", "b"))
    assert found.by_column["b"].cells == 0
    assert {found.by_column["b"].mse_z, found.by_column["b"].mae, found.by_column["b"].mase} == {None}
    assert (found.mse_z, found.mae, found.rmse, found.mase) == (1.0, 1.0, 1.0, 1.0)


def none_of(found: FullScores) -> bool:
    return {found.mse_z, found.mae_z, found.mae, found.rmse, found.mase, found.rmsse} == {None}


def test_nothing_observed_gives_none_everywhere() -> None:
    found = score([errors(np.full((3, 2, 1), NAN)), errors(np.zeros((0, 2, 1)))], ("a",))
    assert none_of(found)
    assert [step.mse_z for step in found.by_step] == [None, None]


def test_an_exact_forecast_scores_zero() -> None:
    found = score([errors(np.zeros((3, 1, 1)))], ("a",))
    assert (found.mse_z, found.rmse, found.mase) == (0.0, 0.0, 0.0)


def test_errors_are_measured_in_the_units_of_the_data() -> None:
    """One unit in a column whose training rows spread by 4 is a quarter of a standard deviation."""
    found = score([errors(np.full((5, 1, 1), 0.25), std=4.0)], ("a",))
    assert (found.mae, found.mae_z, found.mse_z, found.rmse) == (1.0, 0.25, 0.0625, 1.0)


class TestIntervals:
    def test_follow_the_formula_of_gneiting_and_raftery(self) -> None:
        """From -1 to 1, on 0, 2 and -1.5: widths 2, and 2 / .1 times 1 and .5 for what was missed."""
        calibration = calibrated(np.tile([-1.0, 1.0], 50).reshape(-1, 1, 1))
        found = score([interval(cells(0, 2, -1.5), calibration, np.zeros((3, 1, 1)))], ("a",))
        assert found.coverage == pytest.approx(1 / 3)
        assert found.width == found.width_z == pytest.approx(2)
        assert found.interval_score == pytest.approx(2 + (20 * 1 + 20 * 0.5) / 3)

    def test_have_their_width_in_the_units_of_the_data_and_the_rest_in_standard_deviations(self) -> None:
        calibration = calibrated(np.tile([-1.0, 1.0], 50).reshape(-1, 1, 1))
        found = score([interval(cells(0, 2), calibration, np.zeros((2, 1, 1)), spread=4.0)], ("a",))
        assert (found.width, found.width_z) == (2.0, 0.5)
        assert found.interval_score == pytest.approx((2 + 20 / 2) / 4)

    @pytest.mark.parametrize("value", [0.3, 1e7 / 3, -1e-9])
    def test_of_no_width_hold_what_is_met_but_for_rounding(self, value: float) -> None:
        came = cells(*[value] * 4)
        median = came * np.float32(1 + 1e-7)
        found = score([interval(came, calibrated(np.zeros((50, 1, 1))), median)], ("a",))
        assert (found.coverage, found.width) == (1.0, 0.0)

    def test_that_were_not_calibrated_have_no_score(self) -> None:
        found = score([errors(np.ones((3, 2, 1)))], ("a",))
        for scores in (found, *found.by_step, *found.by_column.values()):
            assert {scores.mql, scores.coverage, scores.width, scores.width_z, scores.interval_score} == {None}

    def test_are_counted_level_by_level(self) -> None:
        calibration = calibrated(np.arange(-100, 101).reshape(-1, 1, 1) / 100)
        came = np.linspace(-1, 1, 401).reshape(-1, 1, 1)
        measured, _ = interval(came, calibration, np.zeros(came.shape))
        shares = dict(zip(calibration.central, measured.inside[:, 0, 0] / 401, strict=True))
        assert list(shares) == [90, 80, 60, 40, 20]
        for level, share in shares.items():
            assert share == pytest.approx(level / 100, abs=0.02)


def cells(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64).reshape(-1, 1, 1)


def test_the_quantile_loss_of_a_median_alone_is_half_the_absolute_error() -> None:
    came = cells(1, -2, 5, NAN)
    found = score([interval(came, calibrated(np.zeros((50, 1, 1))), np.zeros(came.shape))], ("a",))
    assert found.mae_z == pytest.approx(8 / 3)
    assert found.mql == pytest.approx(8 / 3 / 2)


@given(seed=st.integers(0, 999), missing=st.sampled_from([0.0, 0.4]))
@settings(max_examples=15, deadline=None)
def test_the_mean_quantile_loss_is_sklearns_over_deciles_and_observed_cells(seed: int, missing: float) -> None:
    came, _ = drawn(30, 2, 2, seed, missing)
    draw = np.random.default_rng(seed)
    calibration, median = calibrated(draw.normal(size=(80, 2, 2))), draw.normal(size=came.shape)
    found = score([interval(came, calibration, median)], ("a", "b"))
    seen, quantiles = ~np.isnan(came), calibration.quantiles(median, np.ones_like(median))
    theirs = [
        mean_pinball_loss(came[seen], quantiles[:, place][seen], alpha=probability)
        for place, probability in enumerate(calibration.probabilities)
        if probability * 10 == pytest.approx(round(probability * 10))
    ]
    assert len(theirs) == 9
    assert found.mql == pytest.approx(np.mean(theirs))


@given(seed=st.integers(0, 999), at=st.integers(0, 30))
@settings(max_examples=10, deadline=None)
def test_losses_of_stretches_add_up(seed: int, at: int) -> None:
    came, median = drawn(30, 2, 2, seed, 0.2)
    calibration, median = calibrated(np.random.default_rng(seed).normal(size=(50, 2, 2))), np.nan_to_num(median)
    parts = [interval(came[rows], calibration, median[rows])[0] for rows in (slice(at), slice(at, None))]
    for ours, whole in zip(added(parts), interval(came, calibration, median)[0], strict=True):
        np.testing.assert_allclose(ours, whole, atol=1e-9)

"""What is promised of intervals and of drift, on streams whose truth is known; `benchmarks.intervals` measures more."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from forecasting.conformal import Calibration
from tests.forecasting.streams.tracks import LEVELS, Played, calibrated, play

ROWS, BREAK, SEEDS, WINDOW = 2_400, 1_200, 20, 500
NINETY = LEVELS.index(90)
ORACLE = 1.6449
CALM = calibrated(np.random.default_rng(5).normal(size=(2_000, 1, 1)))


def noise(streams: int, rows: int, seed: int, times: float = 1.0, shift: float = 0.0, keep: float = 0.0) -> np.ndarray:
    """Draw AR(1) noise of standard deviation 1; from BREAK on it is multiplied and shifted."""
    draw = np.random.default_rng(seed).normal(size=(streams, rows, 1))
    for i in range(1, rows):
        draw[:, i] = keep * draw[:, i - 1] + np.sqrt(1 - keep**2) * draw[:, i]
    draw[:, BREAK:] = draw[:, BREAK:] * times + shift
    return draw


def rolling(covered: np.ndarray) -> np.ndarray:
    """Return the coverage of every 500 rows in a row, by stream."""
    sums = np.cumsum(np.concatenate([np.zeros((len(covered), 1)), covered], axis=1), axis=1)
    return (sums[:, WINDOW:] - sums[:, :-WINDOW]) / WINDOW


def interval_score(low: Any, high: Any, came: np.ndarray) -> float:
    missed = np.maximum(low - came, 0) + np.maximum(came - high, 0)
    return float(np.mean(high - low + 20 * missed))


@pytest.fixture(scope="module", params=[3.0, 1 / 3, 1.0], ids=["wider", "narrower", "no break"])
def broken(request: pytest.FixtureRequest) -> tuple[float, np.ndarray, Played]:
    rows = noise(SEEDS, ROWS, 11, times=request.param)
    return request.param, rows[..., 0], play(CALM, rows)


def test_coverage_holds_over_every_500_rows_through_a_break(broken: tuple[float, np.ndarray, Played]) -> None:
    _, _, played = broken
    shares = rolling(played.covered[:, 1:, 0, NINETY])
    kept = (shares.min(axis=1) >= 0.87) & (shares.max(axis=1) <= 0.93)
    assert kept.sum() >= SEEDS - 1


def test_what_it_costs_is_within_a_twentieth_of_the_oracle(broken: tuple[float, np.ndarray, Played]) -> None:
    times, rows, played = broken
    scales = np.where(np.arange(1, ROWS) < BREAK, 1.0, times)
    low, high = (played.ends[:, :-1, 2 * NINETY + side, 0] for side in (0, 1))
    oracle = interval_score(-ORACLE * scales, ORACLE * scales, rows[:, 1:])
    assert interval_score(low, high, rows[:, 1:]) <= 1.05 * oracle


def test_intervals_that_stay_as_calibrated_would_have_fallen_below_three_quarters() -> None:
    rows = noise(SEEDS, ROWS, 11, times=3.0)[..., 0]
    low, high = CALM.interval(90, np.zeros((1, 1)), np.ones((1, 1)))
    shares = rolling(((low.item() <= rows) & (rows <= high.item())).astype(float))
    assert (shares.min(axis=1) < 0.75).all()


def test_every_level_covers_what_it_says() -> None:
    played = play(CALM, noise(SEEDS, ROWS, 12, times=3.0))
    np.testing.assert_allclose(played.covered[:, 1:, 0].mean(axis=(0, 1)), np.array(LEVELS) / 100, atol=0.005)


def test_a_median_that_is_wrong_to_one_side_is_covered_all_the_same() -> None:
    played = play(CALM, noise(SEEDS, ROWS, 13, shift=1.0))
    assert played.covered[:, BREAK + WINDOW :, 0, NINETY].mean() == pytest.approx(0.9, abs=0.01)
    low, high = (-played.ends[:, -1, 2 * NINETY, 0].mean(), played.ends[:, -1, 2 * NINETY + 1, 0].mean())
    assert high > 1.4 * low


def alarms(played: Played, code: int) -> list[list[int]]:
    """Return by stream where alarms of a kind began."""
    told = np.pad((played.drift & code) > 0, ((0, 0), (1, 0)))
    return [np.flatnonzero(np.diff(one.astype(int)) > 0).tolist() for one in told]


@pytest.mark.parametrize("keep", [0.0, 0.9])
def test_steady_streams_give_less_than_one_alarm_in_20_000_rows(keep: float) -> None:
    played = play(CALM, noise(8, 20_000, 14, keep=keep))
    assert sum(map(len, alarms(played, 1))) == 0
    assert sum(map(len, alarms(played, 2))) < 8


def test_errors_three_times_as_large_are_told_within_100_rows_and_smaller_ones_never() -> None:
    wider, narrower = (alarms(play(CALM, noise(SEEDS, ROWS, 15, times=times)), 2) for times in (3.0, 1 / 3))
    assert all(BREAK < one[0] <= BREAK + 100 for one in wider)
    assert narrower == [[]] * SEEDS


@pytest.mark.parametrize("shift", [2.0, -2.0])
def test_inputs_two_standard_deviations_off_are_told_within_200_rows(shift: float) -> None:
    assert all(BREAK < one[0] <= BREAK + 200 for one in alarms(play(_wide(), noise(SEEDS, ROWS, 16, shift=shift)), 1))


def test_inputs_that_hardly_move_any_more_are_told() -> None:
    assert all(BREAK < one[0] <= BREAK + 500 for one in alarms(play(_wide(), noise(SEEDS, ROWS, 17, times=0.1)), 1))


@pytest.mark.parametrize("period", [24, 168, 8_766])
def test_seasons_are_no_drift(period: int) -> None:
    time = np.arange(20_000)[None, :, None]
    rows = 1.2 * np.sin(2 * np.pi * time / period) + 0.5 * noise(4, 20_000, 18, keep=0.9)
    assert sum(map(len, alarms(play(_wide(), rows), 1))) == 0


def test_an_alarm_is_told_for_500_rows_and_then_no_more() -> None:
    drift = play(_wide(), noise(SEEDS, ROWS, 19, shift=2.0)).drift
    for one in drift:
        assert np.count_nonzero(one) == 500
        assert one[-1] == 0


def test_an_alarm_of_errors_that_stay_large_goes_on() -> None:
    drift = play(CALM, noise(SEEDS, ROWS, 20, times=3.0)).drift
    assert (drift[:, BREAK + 150 :] >= 2).all()


def _wide() -> Calibration:
    """Return the calibration of a forecaster that errs so much that nothing surprises it."""
    return calibrated(np.random.default_rng(5).normal(size=(2_000, 1, 1)) * 10)

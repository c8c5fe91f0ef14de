"""The comparison of two models: right in size, in direction, and in what it refuses to say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st

from forecasting.comparing import LEAST_ORIGINS, Comparison, Paired, compare, lags_for, standard_error

HOUR = 3_600_000_000_000


def paired(ours: np.ndarray, theirs: np.ndarray) -> Paired:
    return Paired(np.arange(len(ours)) * HOUR, ours, theirs)


def found(ours: np.ndarray, theirs: np.ndarray, horizon: int = 1) -> Comparison:
    result = compare(paired(ours, theirs), horizon)
    assert result is not None
    return result


def noise(rows: int, memory: float, seed: int) -> np.ndarray:
    """Return an AR(1) series of standard normal shocks."""
    shocks = np.random.default_rng(seed).normal(size=rows + 100)
    series = np.zeros(rows + 100)
    for row in range(1, rows + 100):
        series[row] = memory * series[row - 1] + shocks[row]
    return series[100:]


@pytest.mark.parametrize(("rows", "lags", "memory"), [(60, 0, 0.0), (200, 3, 0.5), (500, 23, 0.9)])
def test_the_standard_error_is_that_of_statsmodels(rows: int, lags: int, memory: float) -> None:
    series = 1 + noise(rows, memory, seed=1)
    fitted = sm.OLS(series, np.ones(rows)).fit(cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": False})
    assert standard_error(series, lags) == pytest.approx(fitted.bse[0], rel=1e-9)


@pytest.mark.parametrize("memory", [0.0, 0.5])
def test_of_equal_models_about_one_in_twenty_is_called_different(memory: float) -> None:
    called = [
        found(3 + noise(300, memory, 2 * seed), 3 + noise(300, memory, 2 * seed + 1)).p_value < 0.05
        for seed in range(400)
    ]
    assert 0.02 < np.mean(called) < 0.11


def test_a_difference_that_is_there_is_found_with_its_sign_and_size() -> None:
    theirs = 3 + noise(500, 0.3, 0) ** 2
    better = found(theirs - 0.2 + 0.1 * noise(500, 0.3, 1), theirs)
    assert better.better
    assert better.p_value < 1e-6
    assert better.low < 0.2 < better.high
    assert better.gain == pytest.approx(better.difference / better.theirs)
    worse = found(theirs, theirs - 0.2 + 0.1 * noise(500, 0.3, 1))
    assert not worse.better
    assert worse.difference == pytest.approx(-better.difference)
    assert worse.p_value == pytest.approx(better.p_value)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=80), st.integers(1, 48))
def test_a_model_is_never_different_from_itself(losses: list[float], horizon: int) -> None:
    same = found(np.array(losses), np.array(losses), horizon)
    assert (same.difference, same.p_value, same.gain) == (0.0, 1.0, 0.0)


@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), min_size=1, max_size=120),
    st.integers(1, 48),
)
def test_whatever_the_losses_the_figures_are_numbers(losses: list[tuple[float, float]], horizon: int) -> None:
    ours, theirs = np.array(losses).T
    result = found(ours, theirs, horizon)
    assert 0 <= result.p_value <= 1
    assert not any(math.isnan(one) for one in (result.low, result.high, result.gain, result.statistic))
    assert result.low <= result.difference <= result.high


def test_few_origins_prove_nothing() -> None:
    few = LEAST_ORIGINS - 1
    assert found(np.full(few, 1.0), np.linspace(2, 3, few)).p_value == 1.0
    assert found(np.full(few + 1, 1.0), np.linspace(2, 3, few + 1)).p_value < 1e-6


def test_of_no_origins_there_is_no_comparison() -> None:
    assert compare(paired(np.zeros(0), np.zeros(0)), 1) is None


@pytest.mark.parametrize(
    ("ours", "theirs", "better"), [(np.inf, 1.0, False), (1.0, np.inf, True), (np.inf, np.inf, False)]
)
def test_who_answers_what_is_no_number_loses(ours: float, theirs: float, better: bool) -> None:
    one, other = np.ones(99), np.ones(99)
    one[7], other[7] = ours, theirs
    result = found(one, other)
    assert result.better == better
    assert (result.p_value < 0.05) == (ours != theirs)


@pytest.mark.parametrize(("count", "horizon", "lags"), [(1000, 1, 6), (1000, 24, 23), (10, 24, 9), (1, 1, 0)])
def test_steps_that_forecasts_share_are_counted(count: int, horizon: int, lags: int) -> None:
    assert lags_for(count, horizon) == lags

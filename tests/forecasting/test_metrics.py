from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, mean_squared_error, root_mean_squared_error

from forecasting.metrics import Errors, in_sample_naive, score
from forecasting.scores import FullScores

NAN = np.nan


def errors(point: np.ndarray, median: np.ndarray | None = None, naive: float = 1.0, std: float = 1.0) -> Errors:
    columns = point.shape[2]
    constants = (np.full(columns, number) for number in (std, naive, naive))
    return Errors(point, point if median is None else median, *constants)


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
    found = score([Errors(made, made, np.ones(1), mae, rmse)], ("a",))
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

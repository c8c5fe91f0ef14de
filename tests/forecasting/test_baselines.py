from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from statsmodels.tsa.api import VAR

from forecasting import baselines
from forecasting.baselines import DoesNotApply, all_baselines, linear, persistence, seasonal_naive, var
from forecasting.calendar import Calendar
from forecasting.network import fill_alone
from forecasting.ridge import fit_linear
from forecasting.scaled import ScaledSeries
from tests.forecasting.panels import HOURLY, NO_CALENDAR, plain, walk

NAN = np.nan
QUARTERS = Calendar(freq="QS")  # a season of four rows


def column(*cells: float, calendar: Calendar = NO_CALENDAR) -> ScaledSeries:
    return plain(np.array(cells)[:, None], 2, 3, calendar)


def test_persistence_is_the_last_value_seen() -> None:
    said = persistence(column(1, 2, NAN, 4), range(4), 2)
    assert said[:, :, 0].tolist() == [[1, 1], [2, 2], [2, 2], [4, 4]]


def test_persistence_says_the_mean_before_anything_was_seen() -> None:
    assert persistence(column(NAN, NAN, 4), range(3), 1)[:, 0, 0].tolist() == [0, 0, 4]


def test_the_seasonal_naive_is_the_same_time_in_the_last_season() -> None:
    one = column(1, 2, 3, 4, 5, 6, 7, 8, calendar=QUARTERS)
    assert seasonal_naive(one, range(4, 6), 5)[:, :, 0].tolist() == [[2, 3, 4, 5, 2], [3, 4, 5, 6, 3]]


def test_the_seasonal_naive_says_the_last_value_before_the_first_season_is_over() -> None:
    one = column(1, 2, 3, 4, 5, calendar=QUARTERS)
    assert seasonal_naive(one, range(5), 2)[:, :, 0].tolist() == [[1, 1], [2, 2], [3, 1], [1, 2], [2, 3]]


def test_the_seasonal_naive_takes_the_value_before_where_that_of_the_season_is_missing() -> None:
    one = column(1, NAN, 3, 4, 5, 6, calendar=QUARTERS)
    assert seasonal_naive(one, range(4, 5), 2)[0, :, 0].tolist() == [1, 3]


def test_without_a_season_there_is_no_seasonal_naive() -> None:
    with pytest.raises(DoesNotApply, match=r"^steps of YS have no season$"):
        seasonal_naive(column(1, 2, 3, 4), range(2, 3), 1)


@pytest.mark.parametrize("horizon", [1, 3])
def test_linear_is_the_road_fitted_to_the_one_series(horizon: int) -> None:
    one = plain(walk(300, missing=0.1), 200, 240, HOURLY)
    said = linear(one, range(239, 290), horizon)
    road = fit_linear([one], horizon).road
    filled = fill_alone(torch.from_numpy(one.z(0, 290)), road.lags)
    added = road(filled.changes, filled.level, torch.from_numpy(one.features(0, 290))[None])
    np.testing.assert_allclose(said, (filled.level[0, :, None] + added[0])[239:].numpy(), atol=1e-5)


def test_linear_needs_ten_training_rows() -> None:
    with pytest.raises(DoesNotApply, match=r"^series a has fewer than 10 training rows$"):
        linear(plain(walk(30), 9, 20), range(20, 25), 1)


@pytest.mark.parametrize(("missing", "calendar"), [(0.0, QUARTERS), (0.0, HOURLY), (0.2, HOURLY)])
def test_var_is_that_of_statsmodels(missing: float, calendar: Calendar) -> None:
    one = plain(walk(400, missing=missing), 300, 320, calendar)
    level = baselines.filled_levels(one, 0, 400).astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = VAR(level[:300]).fit(maxlags=min(24, calendar.season), ic="aic", trend="c")
    said = var(one, range(319, 390), 4)
    for origin in (319, 350, 389):
        theirs = fitted.forecast(level[origin - fitted.k_ar + 1 : origin + 1], 4)
        np.testing.assert_allclose(said[origin - 319], theirs, rtol=1e-4, atol=1e-4)


def test_a_var_of_order_zero_says_the_mean() -> None:
    noise = np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)
    said = var(plain(noise, 300, 320, QUARTERS), range(320, 330), 3)
    np.testing.assert_allclose(said, np.broadcast_to(noise[:300].mean(axis=0), (10, 3, 2)), atol=1e-6)


def test_var_forecasts_from_rows_before_it_has_all_its_lags() -> None:
    one = plain(walk(400), 300, 320, QUARTERS)
    assert np.isfinite(var(one, range(3), 2)).all()


@pytest.mark.parametrize("columns", [1, 31])
def test_var_does_not_apply_to_one_column_nor_to_too_many(columns: int) -> None:
    one = plain(walk(400, columns=columns), 300, 320)
    with pytest.raises(DoesNotApply, match=rf"^{columns} columns; a VAR is fitted to 2 to 30$"):
        var(one, range(320, 330), 1)


@pytest.mark.parametrize("fault", ["short", "still"])
def test_var_needs_rows_and_columns_that_move(fault: str) -> None:
    z = walk(400)
    z[:, 1] *= fault == "short"
    one = plain(z, 6 if fault == "short" else 300, 320)
    with pytest.raises(
        DoesNotApply, match=r"^series a has too few training rows, or a column that never moves in them$"
    ):
        var(one, range(320, 330), 1)


def test_var_of_columns_that_say_the_same_does_not_crash() -> None:
    z = walk(400)
    z[:, 1] = z[:, 0]
    made, reasons = all_baselines([plain(z, 300, 320)], [range(320, 330)], 2)
    assert ("var" in reasons) == (made["var"] is None)


def test_a_var_that_grows_without_bound_does_not_apply() -> None:
    z = np.array([[1.3, 1.2]]) ** np.arange(60.0)[:, None] + walk(60)
    with pytest.raises(DoesNotApply, match=r"^the VAR of series a grows without bound over 1000 steps$"):
        var(plain(z, 50, 55, QUARTERS), range(55, 58), 1000)


def test_a_baseline_that_does_not_apply_is_none_with_its_reason() -> None:
    made, reasons = all_baselines([plain(walk(100, columns=1), 60, 80)], [range(79, 99)], 1)
    assert made["var"] is None
    assert made["seasonal_naive"] is None
    assert reasons == {
        "seasonal_naive": "steps of YS have no season",
        "var": "1 columns; a VAR is fitted to 2 to 30",
    }


def test_a_series_without_an_origin_asks_nothing_of_a_baseline() -> None:
    panel = [plain(walk(100), 60, 80, HOURLY), plain(walk(5), 5, 5, HOURLY)]
    made, reasons = all_baselines(panel, [range(79, 97), range(4, 2)], 3)
    assert not reasons
    for parts in made.values():
        assert parts is not None
        assert [part.shape for part in parts] == [(18, 3, 2), (0, 3, 2)]


def test_what_comes_after_an_origin_changes_no_baseline_made_there() -> None:
    z = walk(200)
    changed = z.copy()
    changed[160:] += 5
    before, after = (all_baselines([plain(one, 120, 150, HOURLY)], [range(149, 160)], 2)[0] for one in (z, changed))
    for name, parts in before.items():
        assert parts is not None
        np.testing.assert_array_equal(parts[0], after[name][0])  # type: ignore[index]

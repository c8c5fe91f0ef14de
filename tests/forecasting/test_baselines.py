from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from statsmodels.tsa.api import VAR

from forecasting import baselines
from forecasting.baselines import (
    BASELINES,
    DoesNotApply,
    Fitted,
    Predictor,
    fit_baseline,
    fit_linears,
    fit_seasonal_naive,
    fit_vars,
    persistence,
    seasonal_naive,
)
from forecasting.calendar import Calendar
from forecasting.columns import Columns
from forecasting.ridge import fit_linear, say
from forecasting.scaled import ScaledSeries
from tests.forecasting.panels import HOURLY, NO_CALENDAR, plain, scaled, series, walk

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
    assert refused(fit_seasonal_naive([column(1, 2, 3, 4)], 1)) == ["steps of YS have no season"]


@pytest.mark.parametrize("horizon", [1, 3])
def test_linear_is_the_road_fitted_to_the_one_series(horizon: int) -> None:
    one = plain(walk(300, missing=0.1), 200, 240, HOURLY)
    said = asked(fit_linears([one], horizon), range(239, 290))
    np.testing.assert_array_equal(said, say(fit_linear([one], horizon).road, one, range(239, 290)))
    assert not (said == persistence(one, range(239, 290), horizon)).all()


def test_linear_needs_ten_training_rows() -> None:
    assert refused(fit_linears([plain(walk(30), 9, 20)], 1)) == ["series a has fewer than 10 training rows"]


def test_over_twenty_series_share_one_linear_road_which_even_a_new_one_takes() -> None:
    panel = [plain(walk(60, seed=seed), 40, 50, QUARTERS) for seed in range(20)] + [plain(walk(60), 3, 50, QUARTERS)]
    found = fit_linears(panel, 2)
    road = fit_linear(panel[:20], 2).road
    for one, fitted in zip(panel, found, strict=True):
        np.testing.assert_array_equal(asked([fitted], range(49, 58)), say(road, one, range(49, 58)))


@pytest.mark.parametrize(("missing", "calendar"), [(0.0, QUARTERS), (0.0, HOURLY), (0.2, HOURLY)])
def test_var_is_that_of_statsmodels(missing: float, calendar: Calendar) -> None:
    one = plain(walk(400, missing=missing), 300, 320, calendar)
    level = baselines.filled_levels(one, 0, 400).astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = VAR(level[:300]).fit(maxlags=min(24, calendar.season), ic="aic", trend="c")
    said = asked(fit_vars([one], 4), range(319, 390))
    for origin in (319, 350, 389):
        theirs = fitted.forecast(level[origin - fitted.k_ar + 1 : origin + 1], 4)
        np.testing.assert_allclose(said[origin - 319], theirs, rtol=1e-4, atol=1e-4)


def test_a_var_of_order_zero_says_the_mean() -> None:
    noise = np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)
    said = asked(fit_vars([plain(noise, 300, 320, QUARTERS)], 3), range(320, 330))
    np.testing.assert_allclose(said, np.broadcast_to(noise[:300].mean(axis=0), (10, 3, 2)), atol=1e-6)


def test_var_forecasts_from_rows_before_it_has_all_its_lags() -> None:
    one = plain(walk(400), 300, 320, QUARTERS)
    assert np.isfinite(asked(fit_vars([one], 2), range(3))).all()


@pytest.mark.parametrize(("columns", "count"), [(1, "1 column"), (31, "31 columns")])
def test_var_does_not_apply_to_one_column_nor_to_too_many(columns: int, count: str) -> None:
    named = Columns(tuple(f"c{place}" for place in range(columns)))
    one = replace(plain(walk(400, columns=columns), 300, 320), columns=named)
    assert refused(fit_vars([one], 1)) == [f"{count}; a VAR is fitted to 2 to 30"]


@pytest.mark.parametrize("fault", ["short", "still"])
def test_var_needs_rows_and_columns_that_move(fault: str) -> None:
    z = walk(400)
    z[:, 1] *= fault == "short"
    one = plain(z, 6 if fault == "short" else 300, 320)
    assert refused(fit_vars([one], 1)) == ["series a has too few training rows, or a column that never moves in them"]


def test_var_of_columns_that_say_the_same_does_not_crash() -> None:
    z = walk(400)
    z[:, 1] = z[:, 0]
    predictors, reason = fit_baseline("var", [plain(z, 300, 320)], [True], 2)
    assert bool(predictors) == (reason is None)


def test_a_var_that_grows_without_bound_does_not_apply() -> None:
    z = np.array([[1.3, 1.2]]) ** np.arange(60.0)[:, None] + walk(60)
    one = plain(z, 50, 55, QUARTERS)
    assert refused(fit_vars([one], 1000)) == ["the VAR of series a grows without bound over 1000 steps"]
    assert np.isfinite(asked(fit_vars([one], 3), range(55, 58))).all()


def test_over_a_hundred_series_have_no_var() -> None:
    found = fit_vars([plain(walk(40), 30, 35)] * 101, 1)
    assert set(refused(found)) == {"101 series; a VAR is fitted to each of at most 100"}


def test_many_series_have_a_var_of_their_newer_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "MOST_VAR_ROWS_OF_ALL", 240)
    one = plain(walk(400), 300, 320, QUARTERS)
    newer = plain(walk(400)[180:], 120, 140, QUARTERS)
    said = asked(fit_vars([one, one], 2), range(330, 340))
    np.testing.assert_allclose(said, asked(fit_vars([newer], 2), range(150, 160)), atol=1e-5)


@pytest.mark.parametrize("name", ["seasonal_naive", "var"])
def test_a_baseline_that_applies_to_no_series_has_no_predictor_but_a_reason(name: str) -> None:
    reasons = {"seasonal_naive": "steps of YS have no season", "var": "1 column; a VAR is fitted to 2 to 30"}
    one = plain(walk(100, columns=1), 60, 80)
    assert fit_baseline(name, [one, one], [True, True], 1) == Fitted((), reasons[name])


def test_persistence_stands_in_for_the_series_that_a_baseline_does_not_apply_to() -> None:
    swings = np.sin(np.arange(100) * [[0.3], [0.5]]).T.astype(np.float32)
    whole, short = (plain(swings, train, 80, HOURLY) for train in (60, 5))
    predictors, reason = fit_baseline("linear", [whole, short, whole], [True, True, True], 2)
    assert reason == "for 1 of 3 series persistence stands in: series a has fewer than 10 training rows"
    np.testing.assert_array_equal(predictors[1](range(80, 90)), persistence(short, range(80, 90), 2))
    assert not (predictors[0](range(80, 90)) == predictors[1](range(80, 90))).all()


def test_a_series_that_is_not_judged_is_no_reason() -> None:
    whole, short = plain(walk(100), 60, 80, HOURLY), plain(walk(100), 5, 80, HOURLY)
    assert fit_baseline("linear", [whole, short], [True, False], 2).reason is None
    assert fit_baseline("linear", [whole, short], [False, True], 2) == Fitted(
        (), "series a has fewer than 10 training rows"
    )


@pytest.mark.parametrize("name", BASELINES)
def test_what_comes_after_an_origin_changes_no_baseline_made_there(name: str) -> None:
    z = walk(200)
    changed = z.copy()
    changed[160:] += 5
    before, after = (fit_baseline(name, [plain(one, 120, 150, HOURLY)], [True], 2) for one in (z, changed))
    said = [fitted.predictors[0](range(149, 160)) for fitted in (before, after)]
    assert said[0].shape == (11, 2, 2)
    np.testing.assert_array_equal(*said)


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_say_the_targets_alone(name: str) -> None:
    one = scaled(series("x", walk(200, columns=4)), past=1, known=1)[0]
    fitted = fit_baseline(name, [one], [True], 3)
    assert fitted.predictors[0](range(159, 190)).shape == (31, 3, 2)


def asked(found: list[Predictor | DoesNotApply], at: range) -> np.ndarray:
    """Ask the one predictor that was fitted."""
    assert not isinstance(found[0], DoesNotApply)
    return found[0](at)


def refused(found: list[Predictor | DoesNotApply]) -> list[str]:
    """Say why there is no predictor."""
    return [str(one) for one in found if isinstance(one, DoesNotApply)]

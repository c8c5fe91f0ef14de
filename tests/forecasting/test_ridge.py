from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from forecasting import ridge
from forecasting.calendar import Calendar
from forecasting.linear import LinearRoad, RoadShape
from forecasting.regressors import Candidate, Moments, Question, history_of, moments_of
from forecasting.ridge import (
    NEARLY,
    NOTHING,
    Choice,
    LinearFit,
    _chosen,
    _constant,
    _errors,
    _lay,
    _ridge,
    _rolling,
    _solved,
    fit_linear,
    refitted,
    say,
)
from forecasting.scaled import ScaledSeries, origins, targets
from forecasting.streaming import Job, stream
from tests.forecasting.panels import HOURLY, NO_CALENDAR, covered, forecaster, plain, simulated, walk


def pushed(rows: int = 1200, noise: float = 0.01) -> np.ndarray:
    """Return y[t + 1] = y[t] + 0.5 known[t + 1] + noise, beside known."""
    draw = np.random.default_rng(4)
    known = draw.normal(size=rows)
    return np.stack([np.cumsum(0.5 * known + noise * draw.normal(size=rows)), known], axis=1)


def valid_mse(road: LinearRoad, one: ScaledSeries) -> float:
    """Return the squared error on validation rows, from the forecasts one by one."""
    at = origins(one.valid, road.shape.horizon)
    return float(np.nanmean((say(road, one, at) - targets(one, at, road.shape.horizon)) ** 2))


def equal(ours: LinearRoad, theirs: LinearRoad) -> bool:
    return all(torch.equal(a, b) for a, b in zip(ours.buffers(), theirs.buffers(), strict=True))


def test_each_block_is_forecast_by_the_road_of_those_before() -> None:
    one, question = covered(missing=0.1), Question(0, [1], Candidate(4, 3, "own"), 2)
    history = history_of(one, 450, 1000, 2)
    blocks = [history.block(number, 4) for number in range(4)]
    assert (blocks[0].start, blocks[-1].stop) == (0, 450)
    assert all(ours.stop == theirs.start for ours, theirs in pairwise(blocks))
    wanted = np.zeros(len(ridge.STRENGTHS))
    for number in range(1, 4):
        before = [moments_of([history], question, [part]) for part in blocks[:number]]
        whole = Moments(*(sum(parts) for parts in zip(*before, strict=True)))
        on = moments_of([history], question, [blocks[number]])
        wanted += _errors(on, _ridge(whole, _constant([history], question), ridge.STRENGTHS))
    (found,) = _rolling([history], [question])
    np.testing.assert_allclose(found[:-2], wanted)
    assert found[-2] > 0
    assert 0 < found[-1] < 2 * 450


def choice(lags: int, error: float) -> Choice:
    question = Question(0, [], Candidate(lags, 0, "own"), 1)
    return Choice(question.candidate, 0.1, error, (question,))


def test_only_candidates_nearly_as_good_as_the_best_are_averaged() -> None:
    still = Choice(NOTHING, 0.0, 1.01)
    near = [still, choice(3, 1.04), choice(24, 1.0), choice(96, 1.06)]
    assert [one.candidate.lags for one in _chosen(near)] == [24, 3]
    assert len(_chosen([choice(lags, 1.0) for lags in range(3, 20)])) == ridge.MOST_AVERAGED


def test_where_the_last_value_is_best_it_is_not_averaged_with_anything() -> None:
    still = Choice(NOTHING, 0.0, 0.99)
    assert _chosen([choice(3, 1.0), still, choice(24, 1.0)]) == (still,)


def test_the_road_says_the_mean_of_what_its_roads_say() -> None:
    one = plain(simulated(np.diag([0.6, 0.8]), 900), 600, 750, HOURLY)
    fit = fit_linear([one], 3)
    assert len(fit.chosen) > 1
    alone = []
    for choice in fit.chosen:
        road = LinearRoad(RoadShape(3, 2, 2, max(choice.candidate.lags, 1), HOURLY.width))
        for question in choice.questions:
            (weights,) = _solved([history_of(one, 600, 1000, 3)], [(question, choice.strength)])
            _lay(road, question, weights)
        alone.append(say(road, one, range(500, 700)))
    np.testing.assert_allclose(say(fit.road, one, range(500, 700)), np.mean(alone, axis=0), atol=1e-5)
    assert fit.road.shape.lags == max(choice.candidate.lags for choice in fit.chosen)


def test_a_road_alone_says_what_a_forecaster_says_that_adds_nothing_to_it() -> None:
    network, one = forecaster(past=1, known=2, calendar=HOURLY.width, lags=24), covered(missing=0.1)
    network.spread.zero_()
    network.share.fill_(1.0)
    at = range(100, 300)
    (told,) = stream(network, [Job(one, at)])
    np.testing.assert_allclose(say(network.linear, one, at), told.point, atol=1e-5)


def test_an_autoregression_is_recovered() -> None:
    one = plain(simulated(np.array([[0.8]])), 2000, 2500)
    at = range(1990, 1999)
    wanted = one.z(1990, 1999)[:, None] * (0.8 ** np.arange(1, 4))[:, None]
    assert np.abs(say(fit_linear([one], horizon=3).road, one, at) - wanted).max() < 0.02


def test_a_column_that_drives_another_is_found() -> None:
    matrix = np.array([[0.5, 0.8], [0.0, 0.5]])
    one = plain(simulated(matrix), 2000, 2500)
    fit = fit_linear([one], horizon=1)
    wanted = one.z(1990, 1999) @ matrix.T
    assert np.abs(say(fit.road, one, range(1990, 1999))[:, 0] - wanted).max() < 0.03
    assert fit.best.candidate.others > 0


def test_a_past_covariate_that_leads_the_target_is_found() -> None:
    lead = np.random.default_rng(5).normal(size=1200)
    y = np.concatenate([[0.0], lead[:-1]])
    one = plain(np.stack([y, lead], axis=1), 900, 1000, past=1)
    fit = fit_linear([one], horizon=1, mode="channel")
    assert fit.best.candidate.levels == "all"
    assert fit.best.mse_z < 1e-4


def test_what_a_covariate_known_in_advance_adds_is_recovered() -> None:
    fit = fit_linear([plain(pushed(), 900, 1000, known=1)], horizon=2)
    np.testing.assert_allclose(fit.road.ahead[:, 0, 0], [0.5, 0.5], atol=0.05)
    assert abs(float(fit.road.now[0, 0])) < 0.03
    assert fit.best.mse_z < 0.2


def test_a_missing_covariate_known_in_advance_is_a_zero() -> None:
    z = pushed()
    z[::3, 1] = np.nan
    zeros = np.nan_to_num(z)
    roads = [fit_linear([plain(one, 900, 1000, known=1)], 1).road for one in (z, zeros)]
    assert equal(*roads)


@pytest.mark.parametrize("known", [0, 1])
@pytest.mark.parametrize("missing", [0.0, 0.2])
@pytest.mark.parametrize("horizon", [1, 3])
def test_errors_are_those_on_blocks_to_come(horizon: int, missing: float, known: int) -> None:
    matrix = np.array([[0.6, 0.3], [0.0, 0.8]])
    z = np.concatenate([simulated(matrix, 500), walk(500, columns=known)], axis=1)
    z[np.random.default_rng(1).random(z.shape) < missing] = np.nan
    one = plain(z, 350, 450, HOURLY, known=known)
    fit = fit_linear([one], horizon)
    assert fit.best == min(fit.tried, key=lambda choice: choice.mse_z)
    assert all(choice.mse_z <= NEARLY * fit.best.mse_z for choice in fit.chosen)
    history = history_of(one, 450, 1000, horizon)
    (found,) = sum(_rolling([history], [question]) for question in fit.best.questions)
    assert fit.best.mse_z == pytest.approx(found[:-2].min() / found[-1])
    assert fit.best.strength == ridge.STRENGTHS[found[:-2].argmin()]


def test_of_random_walks_the_last_value_stays() -> None:
    panel = [plain(np.random.default_rng(seed).normal(size=(900, 2)).cumsum(axis=0), 600, 750) for seed in range(8)]
    roads = [fit_linear([one], 1).road for one in panel]
    left, least = (
        [valid_mse(road, one) for road, one in zip(some, panel, strict=True)]
        for some in (roads, [LinearRoad(road.shape) for road in roads])
    )
    assert np.mean(left) < 1.005 * np.mean(least)
    assert sum(not any(buffer.any() for buffer in road.buffers()) for road in roads) >= 6


def test_a_road_of_nothing_is_not_solved_again() -> None:
    one = plain(walk(900), 600, 750)
    nothing = Choice(NOTHING, 0.0, 1.0)
    found = LinearFit(LinearRoad(RoadShape(1, 2, 2, 1, 0)), (nothing,), (nothing,))
    assert refitted(found, [one], 1) is found.road


def test_a_slow_return_to_the_mean_of_the_last_days_is_found_among_noise() -> None:
    """A week of lags has small weights each; ridge on changes would hold them back (see `regressors`)."""
    draw, z = np.random.default_rng(0), np.zeros((1500, 1))
    for row in range(1, len(z)):
        z[row] = 0.5 * z[row - 1] + 0.5 * z[max(row - 96, 0) : row].mean() + draw.normal()
    one = plain(z, 1000, 1400, HOURLY)
    fit = fit_linear([one], 1)
    assert fit.best.candidate.lags >= 96
    assert valid_mse(fit.road, one) < 1.15


def test_every_candidate_is_tried_alone_and_with_others_and_with_levels() -> None:
    one = plain(walk(1200), 900, 1000, HOURLY)
    tried = [choice.candidate for choice in fit_linear([one], 1).tried]
    assert tried == [
        NOTHING,
        *(
            Candidate(lags, others, levels)
            for lags in (3, 24, 96)
            for others, levels in ((0, "own"), (3, "own"), (3, "all"))
        ),
    ]


@pytest.mark.parametrize(
    ("mode", "past", "beside"),
    [("channel", 0, {0}), ("channel", 1, {0, 3}), ("all", 0, {3}), ("all", 1, {3}), ("auto", 0, {0, 3})],
)
def test_whose_past_may_tell_a_target_is_said_by_the_mode(mode: str, past: int, beside: set[int]) -> None:
    matrix = 0.5 * np.eye(2 + past) + 0.2
    fit = fit_linear([plain(simulated(matrix[:, ::-1] * 0.6, 900), 600, 750, past=past)], 2, mode)
    assert {choice.candidate.others for choice in fit.tried if choice.candidate != NOTHING} == beside
    own, across = fit.road.changes.reshape(2, 2, 2 + past, -1)[:, [0, 1], [0, 1]], fit.road.changes.clone()
    assert own.any()
    across.reshape(2, 2, 2 + past, -1)[:, [0, 1], [0, 1]] = 0.0
    if mode == "channel":
        assert not across[:, :2].any()
        assert not fit.road.level.reshape(2, 2, 2 + past)[:, [0, 1], [1, 0]].any()
    elif mode == "all":
        assert across[:, :2].any()


def test_a_single_column_has_nobody_beside_it() -> None:
    for mode in ("all", "channel", "auto"):
        tried = fit_linear([plain(walk(300, 1), 200, 250)], 1, mode).tried
        assert {choice.candidate.others for choice in tried} == {0}


def test_a_road_that_is_left_out_is_persistence() -> None:
    one = covered()
    fit = fit_linear([one], 2, "none")
    assert fit.tried == ()
    assert not any(buffer.any() for buffer in fit.road.buffers())
    np.testing.assert_array_equal(say(fit.road, one, range(9))[:, 1], one.target_z(0, 9))
    assert refitted(fit, [one], 2) is fit.road


def test_one_short_series_does_not_shorten_the_lags_of_a_panel() -> None:
    panel = [plain(walk(1200), 900, 1000, HOURLY), plain(walk(12), 8, 10, HOURLY)]
    assert max(choice.candidate.lags for choice in fit_linear(panel, 1).tried) == 96


@pytest.mark.parametrize("freq", ["12h", "8h", "D", "MS", "YS"])
def test_every_season_has_lags_enough_for_the_columns_beside(freq: str) -> None:
    tried = fit_linear([plain(walk(300), 200, 250, Calendar(freq=freq))], 1).tried
    assert len(tried) > 3
    assert all(choice.candidate.lags >= choice.candidate.others for choice in tried)


def test_lags_whose_equations_would_not_fit_into_memory_are_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ridge, "MOST_MOMENTS", 50**2)
    tried = fit_linear([plain(walk(1200), 900, 1000, HOURLY)], 1).tried
    assert {choice.candidate.lags for choice in tried} == {0, 3, 24}


def test_missing_targets_are_left_out_and_not_read_as_zero() -> None:
    z = simulated(np.array([[0.8]])) + 5.0
    z[np.random.default_rng(0).random(z.shape) < 0.3] = np.nan
    one = plain(z, 2000, 2500)
    assert valid_mse(fit_linear([one], 2).road, one) < 0.06


def changed(rows: slice) -> ScaledSeries:
    """Build a series of 390 rows, 300 of training and 50 of validation; some of them are far larger."""
    z = simulated(np.array([[0.7]]), 390)
    z[rows] *= 5
    return plain(z, 300, 350)


def test_what_comes_after_training_moves_no_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ridge, "_chosen", lambda tried: (tried[1],))
    monkeypatch.setattr(ridge, "STRENGTHS", (1e-2,))  # one strength, and
    monkeypatch.setattr(ridge, "_lags", lambda *_: [3])  # validation has nothing to choose
    first, second = (fit_linear([changed(rows)], 2).road for rows in (slice(0), slice(300, None)))
    assert equal(first, second)


def test_a_road_is_solved_again_with_the_validation_rows_and_not_with_those_after() -> None:
    one, found = changed(slice(0)), fit_linear([changed(slice(0))], 2)
    again = refitted(found, [one], 2)
    assert again.shape == found.road.shape
    assert not equal(again, found.road)
    assert equal(again, refitted(found, [changed(slice(350, None))], 2))
    assert not equal(again, refitted(found, [changed(slice(320, 350))], 2))


def test_a_series_shorter_than_the_horizon_gives_persistence() -> None:
    fit = fit_linear([plain(walk(30), 10, 25)], horizon=12)
    assert not any(buffer.any() for buffer in fit.road.buffers())


def test_a_series_that_starts_after_validation_takes_no_part() -> None:
    whole = plain(walk(400), 300, 350)
    late = plain(walk(60), 0, 0)
    together, alone = fit_linear([whole, late], 1), fit_linear([whole], 1)
    for ours, theirs in zip(together.road.buffers(), alone.road.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_constant_column_and_one_never_seen_get_finite_weights() -> None:
    z = walk(400, columns=5)
    z[:, 1], z[:, 2], z[:, 3], z[:, 4] = 0.0, np.nan, np.nan, 0.0
    fit = fit_linear([plain(z, 300, 350, NO_CALENDAR, past=1, known=1)], 2)
    assert all(buffer.isfinite().all() for buffer in fit.road.buffers())


def test_a_long_validation_part_is_not_looked_at_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ridge, "MOST_TRIED_ON", 200)
    monkeypatch.setattr(ridge, "MOST_ROWS", 200)
    z = simulated(np.array([[0.7]]), 1500)
    other = z.copy()
    other[:500] *= 3
    other[800:1200] *= 3
    roads = []
    for values in (z, other):
        one = plain(values, 700, 1400)
        fit = fit_linear([one], 1)
        roads.append((fit.best.mse_z, refitted(fit, [one], 1), fit.road))
    assert roads[0][0] == pytest.approx(roads[1][0])
    assert equal(roads[0][1], roads[1][1])
    assert equal(roads[0][2], roads[1][2])

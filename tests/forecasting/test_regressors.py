from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting import regressors
from forecasting.filling import fill_alone
from forecasting.linear import LinearRoad, RoadShape
from forecasting.regressors import Candidate, Question, _rows, history_of, moments_of
from forecasting.ridge import _constant, _errors, _lay, _ridge, fit_linear, say
from forecasting.scaled import Part, ScaledSeries
from tests.forecasting.panels import HOURLY, covered


def design(one: ScaledSeries, question: Question, rows: range, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Lay out by hand what a target is told by, and what it adds to its last value, where that was observed."""
    filled = fill_alone(torch.from_numpy(one.z(0, len(one.series))))
    level, changes = filled.level[0].numpy(), filled.changes[0].numpy()
    calendar, known = one.features(0, len(one.series)), np.nan_to_num(one.known(0, len(one.series)))
    target, beside, candidate, _ = question
    came = one.target_z(0, len(one.series))[:, target]
    regressors, added = [], []
    for t in rows:
        lags = [level[max(t - back, 0), target] - level[t, target] for back in range(1, candidate.lags + 1)]
        near = [
            changes[t - back, c] if t >= back else 0.0 for c in beside for back in reversed(range(candidate.others))
        ]
        told = [*level[t, question.levels], *calendar[t], *known[t], 1.0, *known[t + step]]
        if not np.isnan(came[t + step]):
            regressors.append([*lags, *near, *told])
            added.append(came[t + step] - level[t, target])
    return np.array(regressors, dtype=np.float64), np.array(added, dtype=np.float64)


@pytest.mark.parametrize("levels", ["own", "all"])
@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_without_ridge_the_weights_are_those_of_least_squares(missing: float, levels: str) -> None:
    one, question = covered(missing), Question(1, [0, 2], Candidate(4, 3, levels), 2)
    history = history_of(one, one.valid.stop, 1000, 2)
    on = moments_of([history], question, [Part(5, 350)])
    (found,) = _ridge(on, _constant([history], question), (1e-13,))
    for step in (1, 2):
        regressors, added = design(one, question, range(4, 350 - 2), step)
        wanted = np.linalg.lstsq(regressors, added, rcond=None)[0]
        np.testing.assert_allclose(found[step - 1], wanted, atol=1e-5)


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_errors_from_sums_are_the_errors_of_forecasts_one_by_one(missing: float) -> None:
    one, question = covered(missing), Question(1, [0, 2], Candidate(4, 3, "all"), 2)
    history = history_of(one, one.valid.stop, 1000, 2)
    weights = np.random.default_rng(0).normal(size=(3, 2, sum(question.sizes(history))))
    found = _errors(moments_of([history], question, [one.valid]), weights)
    for strength, each in enumerate(weights):
        left = [
            (rows.added[:, step] - rows.of(step) @ each[step]) ** 2
            for rows in _rows(history, question, one.valid)
            for step in range(2)
        ]
        assert found[strength] == pytest.approx(np.nansum(np.concatenate(left)))


@given(
    target=st.integers(0, 1),
    beside=st.booleans(),
    lags=st.integers(3, 6),
    levels=st.sampled_from(["own", "all"]),
    seed=st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_a_road_says_what_regressors_times_weights_are(
    target: int, beside: bool, lags: int, levels: str, seed: int
) -> None:
    one = covered(missing=0.1)
    question = Question(target, [1 - target, 2] if beside else [], Candidate(lags, 3 * beside, levels), 2)
    history = history_of(one, one.valid.stop, 1000, 2)
    weights = np.random.default_rng(seed).normal(size=(2, sum(question.sizes(history))))
    road = LinearRoad(RoadShape(2, 2, 3, lags, HOURLY.width, 2))
    _lay(road, question, weights)
    said = say(road, one, range(348))
    for rows in _rows(history, question, one.train):
        for step in range(2):
            made = rows.of(step) @ weights[step] + history.level[: len(rows.added), target]
            np.testing.assert_allclose(said[: len(made), step, target], made, atol=1e-4)


def test_the_size_of_the_chunks_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fit_linear([covered(missing=0.1)], 2)
    monkeypatch.setattr(regressors, "CHUNK", 37)
    cut = fit_linear([covered(missing=0.1)], 2)
    assert whole.best.candidate == cut.best.candidate
    for ours, theirs in zip(whole.road.buffers(), cut.road.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("missing", [0.0, 0.2])
@pytest.mark.parametrize(("beside", "others", "levels"), [([], 0, "own"), ([0, 2], 3, "own"), ([0, 2], 3, "all")])
def test_sums_of_a_narrow_question_stand_among_those_of_a_wide_one(
    beside: list[int], others: int, levels: str, missing: float
) -> None:
    history = history_of(covered(missing), 350, 1000, 2)
    wide = Question(1, [0, 2], Candidate(4, 3, "all"), 2)
    narrow = Question(1, beside, Candidate(4, others, levels), 2)
    wanted = moments_of([history], narrow, [history.whole])
    found = moments_of([history], wide, [history.whole]).at(narrow.places(wide, history))
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-9)  # sums of zeros are rounded in another order

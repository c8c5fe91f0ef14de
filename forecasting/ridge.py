"""The closed-form fit of the linear road: which regressors and how much ridge, judged on rolling origins.

Training and validation rows are cut into `BLOCKS` blocks; each but the first is forecast by the road of those before
it. That sees more seasons than the validation rows alone, which are often of another season than what comes (lab log).
Candidates that are nearly as good as the best one are averaged: which is best changes with the season, and a mean of
roads is a road.

The road is then solved on training rows alone, so that validation rows are new to it, and at last on all of them
(`refitted`). Regressors (`regressors`) are scaled to unit power, so that one ridge strength means the same for all. One
choice is made for all targets: one for each follows chance (lab log).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from forecasting.columns import Columns
from forecasting.filling import fill_alone
from forecasting.linear import LinearRoad, RoadShape
from forecasting.regressors import (
    Candidate,
    History,
    Moments,
    Question,
    history_of,
    moments_of,
    on_changes,
)
from forecasting.scaled import ScaledSeries

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
BLOCKS = 4
NEARLY = 1.05  # times the least error: so good is good enough to be averaged
MOST_AVERAGED = 6
MOST_ROWS = 100_000
MOST_TRIED_ON = 40_000
MOST_MOMENTS = 5_000_000  # numbers in the Gram matrices of one column, one a step and block: 40 MB a block
NEARBY = 3
NOTHING = Candidate(0, 0, "none")


class Choice(NamedTuple):
    """A candidate with its best ridge strength and the mean squared error on blocks to come, in z units.

    `questions` holds one for each target; none where the last value stays.
    """

    candidate: Candidate
    strength: float
    mse_z: float
    questions: tuple[Question, ...] = ()


class LinearFit(NamedTuple):
    """The road, everything that was tried, and what of it the road is the mean of."""

    road: LinearRoad
    tried: tuple[Choice, ...]
    chosen: tuple[Choice, ...] = ()

    @property
    def best(self) -> Choice:
        """The candidate with the least error."""
        return min(self.tried, key=lambda choice: choice.mse_z)


Weights = Float[np.ndarray, "strength step regressor"]


def fit_linear(panel: Sequence[ScaledSeries], horizon: int, mode: str = "auto") -> LinearFit:
    """Try every candidate, and solve on training rows for the mean of those with the least squared error.

    `mode` says whose past a target may be told by: `channel` its own (and past covariates), `all` everybody's, `auto`
    whichever is better, `none` nobody's: a road that says nothing, so that the last value stays. That is a candidate
    in any mode.
    """
    columns = panel[0].columns
    shape = RoadShape(horizon, len(columns.targets), columns.seen, 1, panel[0].calendar.width, len(columns.known))
    if mode == "none":
        return LinearFit(LinearRoad(shape), ())
    both = [history_of(one, one.valid.stop, MOST_TRIED_ON // len(panel), horizon) for one in panel]
    train = [history_of(one, one.train.stop, MOST_ROWS // len(panel), horizon) for one in panel]
    with threadpool_limits(1):  # small products: more threads would wait for each other, and for other processes
        tried = _tried(both, horizon, mode)
        chosen = _chosen(tried)
        road = _averaged(shape, train, chosen)
    return LinearFit(road, tuple(tried), chosen)


def refitted(found: LinearFit, panel: Sequence[ScaledSeries], horizon: int) -> LinearRoad:
    """Solve for the chosen road again on training and validation rows together, newer by the length of the latter."""
    if not any(choice.questions for choice in found.chosen):
        return found.road
    histories = [history_of(one, one.valid.stop, MOST_ROWS // len(panel), horizon) for one in panel]
    with threadpool_limits(1):
        return _averaged(found.road.shape, histories, found.chosen)


def _tried(histories: Sequence[History], horizon: int, mode: str) -> list[Choice]:
    """Return every candidate with its error; the last value is one of them."""
    tried: list[Choice] = []
    for group in _asked(histories, horizon, mode):
        found = sum(_rolling(histories, [questions[target] for questions in group]) for target in range(len(group[0])))
        means = np.asarray(found)[:, :-1] / max(np.asarray(found)[0, -1], 1)
        if not tried:
            tried.append(Choice(NOTHING, 0.0, float(means[0, -1])))
        for questions, errors in zip(group, means, strict=True):
            at = int(np.argmin(errors[:-1]))
            tried.append(Choice(questions[0].candidate, STRENGTHS[at], float(errors[at]), tuple(questions)))
    return tried or [Choice(NOTHING, 0.0, np.inf)]


def _chosen(tried: Sequence[Choice]) -> tuple[Choice, ...]:
    """Return the last value where it is best, else the best roads."""
    ranked = sorted(tried, key=lambda choice: choice.mse_z)
    if not ranked[0].questions:
        return (ranked[0],)
    roads = [choice for choice in ranked if choice.questions][:MOST_AVERAGED]
    return tuple(choice for choice in roads if choice.mse_z <= NEARLY * ranked[0].mse_z)


def _rolling(
    histories: Sequence[History], questions: Sequence[Question]
) -> Float[np.ndarray, "question strength_still_and_cells"]:
    """Return squared errors on blocks to come, of questions about one target with as many lags, the widest one last.

    For each strength, then those of the last value, and the number of cells.
    """
    parts = [[history.block(number, BLOCKS) for history in histories] for number in range(BLOCKS)]
    before, *blocks = (moments_of(histories, questions[-1], part) for part in parts)
    found = np.zeros((len(questions), len(STRENGTHS) + 2))
    places = [question.places(questions[-1], histories[0]) for question in questions]
    constants = [_constant(histories, question) for question in questions]
    for block in blocks:
        for row, place, constant in zip(found, places, constants, strict=True):
            row[:-2] += _errors(block.at(place), _ridge(before.at(place), constant, STRENGTHS))
        found[:, -2:] += block.power.sum(), block.cells.sum()
        before = before.plus(block)
    return found


def _errors(on: Moments, weights: Weights) -> Float[np.ndarray, " strength"]:
    """Return the squared errors of some weights, from sums alone: |y|^2 - 2 w.xy + w.xx.w."""
    crossed = np.einsum("psr,sr->p", weights, on.cross)
    squared = ((weights @ on.shared) * weights).sum(axis=(1, 2))
    if on.own.any():
        squared += np.einsum("psr,srq,psq->p", weights, on.own, weights, optimize=True)
    return np.asarray(on.power.sum() - 2 * crossed + squared)


def _averaged(shape: RoadShape, histories: Sequence[History], chosen: Sequence[Choice]) -> LinearRoad:
    """Solve for every choice, and return the mean of their roads."""
    road = LinearRoad(shape._replace(lags=max(1, *(choice.candidate.lags for choice in chosen))))
    for lags in {choice.candidate.lags for choice in chosen}:
        alike = [choice for choice in chosen if choice.questions and choice.candidate.lags == lags]
        for target in range(shape.targets if alike else 0):
            asked = [(choice.questions[target], choice.strength) for choice in alike]
            for (question, _), weights in zip(asked, _solved(histories, asked), strict=True):
                _lay(road, question, weights / len(chosen))
    return road


def _solved(
    histories: Sequence[History], asked: Sequence[tuple[Question, float]]
) -> list[Float[np.ndarray, "step regressor"]]:
    """Return the weights that answer questions about one target with as many lags, each with its ridge strength."""
    widest = max((question for question, _ in asked), key=lambda question: sum(question.sizes(histories[0])))
    on = moments_of(histories, widest, [history.whole for history in histories])
    return [
        _ridge(on.at(question.places(widest, histories[0])), _constant(histories, question), (strength,))[0]
        for question, strength in asked
    ]


def _constant(histories: Sequence[History], question: Question) -> int:
    """Return the place of the constant among the regressors."""
    sizes = question.sizes(histories[0])
    return sum(sizes[:-1]) - 1


def _ridge(on: Moments, constant: int, strengths: Sequence[float]) -> Weights:
    """Solve the normal equations; steps share one Gram matrix where the rows have the targets of all steps."""
    if not on.own.any():
        return _ridge_of(on.shared, on.cross, on.cells[0], constant, strengths)
    each = zip(on.own, on.cross, on.cells, strict=True)
    solved = [_ridge_of(on.shared + gram, cross[None], n, constant, strengths) for gram, cross, n in each]
    return np.concatenate(solved, axis=1)


def _ridge_of(gram: np.ndarray, cross: np.ndarray, count: float, constant: int, strengths: Sequence[float]) -> Weights:
    """Return the solutions for all strengths from one eigendecomposition; the constant is hardly held back."""
    count = max(count, 1.0)
    scale = np.sqrt(np.diag(gram).clip(0) / count)
    scale[scale == 0] = 1.0
    scale[constant] /= 30
    values, vectors = np.linalg.eigh(gram / np.outer(scale, scale) / count)
    turned = vectors.T @ (cross / scale / count).T
    return np.stack([(vectors @ (turned / (values.clip(0) + s)[:, None])).T / scale for s in strengths])


def _asked(histories: Sequence[History], horizon: int, mode: str) -> Iterator[list[list[Question]]]:
    """Yield candidates with as many lags, the widest one last: those that are possible, a question for each target."""
    columns, season = histories[0].one.columns, histories[0].one.calendar.season
    rows = max(len(history.level) for history in histories)
    for lags in _lags(season, rows):
        kept = []
        for candidate in (Candidate(lags, *more) for more in ((0, "own"), (NEARBY, "own"), (NEARBY, "all"))):
            questions = [_question(columns, target, candidate, horizon, mode) for target in range(len(columns.targets))]
            size = max(sum(question.sizes(histories[0])) for question in questions)
            idle = bool(candidate.others) and not questions[0].beside
            small = lags <= NEARBY or horizon * size**2 <= MOST_MOMENTS
            if small and not idle and (mode != "all" or candidate.others or columns.seen == 1):
                kept.append(questions)
        if kept:
            yield kept


def _question(columns: Columns, target: int, candidate: Candidate, horizon: int, mode: str) -> Question:
    others = [other for other in range(columns.seen) if other != target]
    beside = [other for other in others if mode != "channel" or other >= len(columns.targets)]
    return Question(target, beside if candidate.others else [], candidate, horizon)


def _lags(season: int, rows: int) -> list[int]:
    """Return three lags, a season, four and seven of them, as far as the rows allow."""
    room = max(rows // 10, NEARBY)
    return sorted({length for length in (NEARBY, season, 4 * season, 7 * season) if NEARBY <= length <= room})


def _lay(road: LinearRoad, question: Question, solved: Float[np.ndarray, "step regressor"]) -> None:
    """Add the weights of a target to a road."""
    target, beside, candidate, _ = question
    shape, outputs = road.shape, slice(target, None, road.shape.targets)
    levels, lags = question.levels, candidate.lags
    sizes = [candidate.others * len(beside), len(levels), shape.calendar, shape.known, 1, shape.known]
    own, rest = on_changes(solved[:, :lags]).astype(np.float32), solved[:, lags:].astype(np.float32)
    near, level, calendar, now, bias, ahead = torch.split(torch.from_numpy(rest), sizes, 1)
    road.changes[outputs, target, shape.lags - lags :] += torch.from_numpy(own)
    for place, column in enumerate(beside):
        recent = slice(shape.lags - candidate.others, None)
        road.changes[outputs, column, recent] += near[:, place * candidate.others : (place + 1) * candidate.others]
    for place, column in enumerate(levels):
        road.level[outputs, column] += level[:, place]
    road.calendar[outputs] += calendar
    road.now[outputs] += now
    road.bias[outputs] += bias[:, 0]
    road.ahead[:, target] += ahead


def say(road: LinearRoad, one: ScaledSeries, at: range, warm_up: int = 1_024) -> Float[np.ndarray, "_ step target"]:
    """Return what a road alone forecasts from each origin, in z units."""
    first = max(at.start - max(warm_up, road.shape.lags), 0)
    filled = fill_alone(torch.from_numpy(one.z(first, at.stop)), road.shape.lags)
    features = torch.from_numpy(one.features(first, at.stop))[None]
    known = torch.from_numpy(np.nan_to_num(one.known(first, at.stop + road.shape.horizon)))[None]
    added = road(filled.changes, filled.level, features, known)
    said = filled.level[0, :, None, : road.shape.targets] + added[0]
    return said[at.start - first :].numpy()  # type: ignore[no-any-return]

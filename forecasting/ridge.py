"""The closed-form fit of the linear road: which lags, whose lags and how much ridge, chosen on validation rows.

Regressors of a row are the changes of the last `lags` rows, the level, the calendar and a constant, scaled to unit
power so that one ridge strength means the same for all. Targets are what the next rows add to the last value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from forecasting.linear import LinearRoad
from forecasting.network import fill_alone
from forecasting.scaled import Part, ScaledSeries, origins, targets

STRENGTHS = (1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1)
MOST_MOMENTS = 25_000_000  # numbers in the Gram matrices of one column, one a step: 200 MB
MOST_ROWS = 200_000
CHUNK = 4_096
NEARBY = 3


class Candidate(NamedTuple):
    """A choice of regressors for each column.

    `lags` changes of the column itself, `others` changes of every other column, and the level of the column itself or,
    if `levels`, of all of them.
    """

    lags: int
    others: int
    levels: bool


class Choice(NamedTuple):
    """A candidate with its best ridge strength and the mean squared error on validation rows, in z units."""

    candidate: Candidate
    strength: float
    valid_mse_z: float


class LinearFit(NamedTuple):
    """The road that did best on validation rows, and everything that was tried."""

    road: LinearRoad
    tried: tuple[Choice, ...]


class History(NamedTuple):
    """The newest rows of one series up to the end of validation, without holes."""

    one: ScaledSeries
    first: int
    level: Float[np.ndarray, "rows columns"]
    changes: Float[np.ndarray, "rows columns"]
    calendar: Float[np.ndarray, "rows features"]


Weights = Float[np.ndarray, "strength step regressor"]


def fit_linear(panel: Sequence[ScaledSeries], horizon: int) -> LinearFit:
    """Fit every candidate on training rows, keep the one with the least squared error on validation rows."""
    histories = [_history(one, MOST_ROWS // len(panel)) for one in panel]
    columns, features = histories[0].level.shape[1], histories[0].calendar.shape[1]
    best: tuple[Choice, list[Weights]] | None = None
    tried = []
    for candidate in _candidates(panel[0].calendar.season, max(len(h.level) for h in histories), columns):
        if candidate.lags > NEARBY and horizon * sum(_sizes(candidate, columns, features)) ** 2 > MOST_MOMENTS:
            continue
        weights = [_solve(histories, candidate, column, horizon) for column in range(columns)]
        errors = np.sum([_squared_errors(histories, candidate, c, weights[c]) for c in range(columns)], axis=0)
        at = int(np.argmin(errors[:-1]))
        choice = Choice(candidate, STRENGTHS[at], float(errors[at] / max(errors[-1], 1)))
        tried.append(choice)
        if best is None or choice.valid_mse_z < best[0].valid_mse_z:
            best = choice, [one[at] for one in weights]
    assert best is not None  # noqa: S101 - there is always the first candidate
    return LinearFit(_road(best[0].candidate, best[1], columns, features), tuple(tried))


def _candidates(season: int, rows: int, columns: int) -> Iterator[Candidate]:
    """Three lags, a season, four seasons, as far as the rows allow: alone, with other columns, with their levels."""
    for lags in sorted({length for length in (NEARBY, season, 4 * season) if 1 < length <= max(rows // 10, NEARBY)}):
        yield Candidate(lags, 0, levels=False)
        if columns > 1:
            yield Candidate(lags, NEARBY, levels=False)
            yield Candidate(lags, NEARBY, levels=True)


def _sizes(candidate: Candidate, columns: int, features: int) -> list[int]:
    """Count the regressors of a row: changes of its own and of others, levels, calendar, constant."""
    levels = columns if candidate.levels else 1
    return [candidate.lags, candidate.others * (columns - 1), levels, features, 1]


def _history(one: ScaledSeries, most: int) -> History:
    first = max(one.valid.start - most, 0)
    filled = fill_alone(torch.from_numpy(one.z(first, one.valid.stop)))
    return History(one, first, filled.level[0].numpy(), filled.changes[0].numpy(), one.features(first, one.valid.stop))


def _equations(
    history: History, candidate: Candidate, column: int, part: Part, horizon: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield regressors (rows, regressor) and targets (rows, step; NaN unobserved) of one column in chunks, float64."""
    at = origins(part, horizon)
    for low in range(max(at.start, history.first), at.stop, CHUNK):
        rows = range(low, min(low + CHUNK, at.stop))
        here = slice(rows.start - history.first, rows.stop - history.first)
        level = history.level[here]
        regressors = [
            _lagged(history.changes[:, [column]], candidate.lags, here),
            _lagged(np.delete(history.changes, column, axis=1), candidate.others, here),
            level if candidate.levels else level[:, [column]],
            history.calendar[here],
            np.ones((len(rows), 1)),
        ]
        added = targets(history.one, rows, horizon)[:, :, column] - level[:, [column]]
        yield np.concatenate(regressors, axis=1, dtype=np.float64), added.astype(np.float64)


def _lagged(changes: np.ndarray, lags: int, here: slice) -> Float[np.ndarray, "here regressor"]:
    """Changes of the last `lags` rows, oldest first, as a convolution kernel wants them; 0 before the first row."""
    if not lags:
        return np.zeros((here.stop - here.start, 0))
    start = here.start - lags + 1
    window = np.concatenate([np.zeros((max(-start, 0), changes.shape[1])), changes[max(start, 0) : here.stop]])
    return np.lib.stride_tricks.sliding_window_view(window, lags, axis=0).reshape(here.stop - here.start, -1)


def _solve(histories: list[History], candidate: Candidate, column: int, horizon: int) -> Weights:
    """Solve the normal equations; rows with the targets of all steps observed share one Gram matrix."""
    size = sum(_sizes(candidate, histories[0].level.shape[1], histories[0].calendar.shape[1]))
    shared, own = np.zeros((size, size)), np.zeros((horizon, size, size))
    cross, count = np.zeros((horizon, size)), np.zeros(horizon)
    for history in histories:
        for regressors, added in _equations(history, candidate, column, history.one.train, horizon):
            seen = ~np.isnan(added)
            whole = seen.all(axis=1)
            shared += regressors[whole].T @ regressors[whole]
            for step in range(horizon if not whole.all() else 0):
                broken = regressors[seen[:, step] & ~whole]
                own[step] += broken.T @ broken
            cross += np.where(seen, added, 0.0).T @ regressors
            count += seen.sum(axis=0)
    if not own.any():
        return _ridge(shared, cross, count[0])
    return np.concatenate([_ridge(shared + g, c[None], n) for g, c, n in zip(own, cross, count, strict=True)], axis=1)


def _ridge(gram: np.ndarray, cross: np.ndarray, count: float) -> Weights:
    """Return the solutions for all strengths from one eigendecomposition; the constant is hardly held back."""
    count = max(count, 1.0)
    scale = np.sqrt(np.diag(gram) / count)
    scale[scale == 0] = 1.0
    scale[-1] /= 30
    values, vectors = np.linalg.eigh(gram / np.outer(scale, scale) / count)
    turned = vectors.T @ (cross / scale / count).T
    return np.stack([(vectors @ (turned / (values.clip(0) + s)[:, None])).T / scale for s in STRENGTHS])


def _squared_errors(
    histories: list[History], candidate: Candidate, column: int, weights: Weights
) -> Float[np.ndarray, " strength_and_count"]:
    """Sum the squared errors on validation rows for each strength; the last entry counts the cells."""
    sums = np.zeros(len(STRENGTHS) + 1)
    for history in histories:
        for regressors, added in _equations(history, candidate, column, history.one.valid, weights.shape[1]):
            sums[:-1] += [np.nansum((added - regressors @ one.T) ** 2) for one in weights]
            sums[-1] += np.count_nonzero(~np.isnan(added))
    return sums


def _road(candidate: Candidate, weights: list[np.ndarray], columns: int, features: int) -> LinearRoad:
    """Lay the weights of each column, of shape (step, regressor), into a road; what is not used stays zero."""
    road = LinearRoad(columns, len(weights[0]), candidate.lags, features)
    sizes, recent = _sizes(candidate, columns, features), slice(candidate.lags - candidate.others, None)
    for column, solved in enumerate(weights):
        rest = [other for other in range(columns) if other != column]
        outputs = slice(column, None, columns)
        own, near, level, calendar, bias = torch.split(torch.from_numpy(solved.astype(np.float32)), sizes, dim=1)
        road.changes[outputs, column] = own
        road.changes[outputs, rest, recent] = near.reshape(len(near), len(rest), candidate.others)
        road.level[outputs, slice(None) if candidate.levels else [column]] = level
        road.calendar[outputs] = calendar
        road.bias[outputs] = bias[:, 0]
    return road

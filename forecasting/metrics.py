"""How scores are computed: errors over observed cells, in z units, in the units of the data, and relative to naive.

Errors are those of what is answered, in the units of the data, divided by the standard deviation of the training rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from forecasting.conformal import DECILES, JUDGED, WHOLE, Calibration
from forecasting.scores import FullScores, Scores, StepScores

ROUNDING = 1e-6
"""Share of a number by which single precision may move it: the end of an interval of no width is still met."""


class Answer(NamedTuple):
    """Forecasts of one series in the units of the data; there is no quantile where nothing was calibrated."""

    point: Float[np.ndarray, "origins horizon columns"]
    median: Float[np.ndarray, "origins horizon columns"]
    quantiles: Float[np.ndarray, "origins probability horizon columns"]


class Yardstick(NamedTuple):
    """What the errors of one series are measured by: numbers a column, in the units of the data.

    `spread` is the standard deviation of the training rows; `naive_mae` and `naive_rmse` are the in-sample errors of
    the seasonal naive forecast, NaN where there is none.
    """

    spread: Float[np.ndarray, " columns"]
    naive_mae: Float[np.ndarray, " columns"]
    naive_rmse: Float[np.ndarray, " columns"]


class Losses(NamedTuple):
    """Sums over observed cells of one series, in z units, by step and column.

    Each has shape (horizon, columns), but `inside` (intervals, horizon, columns): the cells that each of the calibrated
    intervals held, in the order of `Calibration.central`. Without a calibration what is of an interval is NaN.
    """

    cells: np.ndarray
    squared: np.ndarray
    absolute: np.ndarray
    pinball: np.ndarray
    held: np.ndarray
    width: np.ndarray
    interval: np.ndarray
    inside: np.ndarray


class Sums(NamedTuple):
    """Mean errors by step and column, weighted by observed cells; every array has shape (horizon, columns)."""

    cells: np.ndarray
    mse_z: np.ndarray
    mae_z: np.ndarray
    mql: np.ndarray
    coverage: np.ndarray
    width_z: np.ndarray
    interval_score: np.ndarray
    mae: np.ndarray
    mse: np.ndarray
    width: np.ndarray
    mase: np.ndarray
    msse: np.ndarray


def in_sample_naive(values: Float[np.ndarray, "rows columns"], season: int) -> tuple[np.ndarray, np.ndarray]:
    """Return mean absolute and root mean squared change over a season in training rows; NaN where there is none."""
    change = values[season:] - values[:-season]
    seen = ~np.isnan(change)
    count = np.where(seen.any(axis=0), seen.sum(axis=0), np.nan)
    squared = np.nansum(change.astype(np.float64) ** 2, axis=0) / count
    absolute = np.nansum(np.abs(change.astype(np.float64)), axis=0) / count
    return np.where(absolute > 0, absolute, np.nan), np.where(squared > 0, np.sqrt(squared), np.nan)


def losses(
    answer: Answer,
    actual: Float[np.ndarray, "origins horizon columns"],
    spread: Float[np.ndarray, " columns"],
    calibration: Calibration | None,
) -> Losses:
    """Measure answers against what came, NaN where not observed."""
    seen = ~np.isnan(actual)
    squared = _total(np.square((answer.point - actual) / spread), seen)
    absolute = _total(np.abs(answer.median - actual) / spread, seen)
    if calibration is None:
        none = np.full(squared.shape, np.nan)
        return Losses(seen.sum(axis=0), squared, absolute, none, none, none, none, none[None][:0])
    low, high = (answer.quantiles[:, place] for place in calibration.central[JUDGED])
    inside = [_held(actual, answer, ends, spread) for ends in calibration.central.values()]
    return Losses(
        cells=seen.sum(axis=0),
        squared=squared,
        absolute=absolute,
        pinball=_total(_pinball(answer, actual, calibration) / spread, seen),
        held=inside[list(calibration.central).index(JUDGED)],
        width=_total((high - low) / spread, seen),
        interval=_total(_interval_score(low, high, actual) / spread, seen),
        inside=np.stack(inside),
    )


def _total(values: np.ndarray, seen: np.ndarray) -> Float[np.ndarray, "horizon columns"]:
    return np.asarray(values.sum(axis=0, where=seen, dtype=np.float64))


def _pinball(answer: Answer, actual: np.ndarray, calibration: Calibration) -> np.ndarray:
    """Mean over the deciles q of max(q e, (q - 1) e), e = actual - quantile."""
    mean = np.zeros(actual.shape)
    for place, decile in zip(calibration.deciles, DECILES, strict=True):
        error = actual - answer.quantiles[:, place]
        mean += np.maximum(decile / WHOLE * error, (decile / WHOLE - 1) * error) / len(DECILES)
    return mean


def _interval_score(low: np.ndarray, high: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Width, and 2 / alpha times the distance of what came from an interval that did not hold it."""
    penalty = 2 / (1 - JUDGED / 100)
    outside = np.maximum(low - actual, 0.0) + np.maximum(actual - high, 0.0)
    return np.asarray(high - low + penalty * outside)


def _held(actual: np.ndarray, answer: Answer, ends: tuple[int, int], spread: np.ndarray) -> np.ndarray:
    low, high = (answer.quantiles[:, place] for place in ends)
    slack = ROUNDING * (np.abs(actual) + spread)
    return np.asarray(((low - slack <= actual) & (actual <= high + slack)).sum(axis=0, dtype=np.float64))


def added(parts: Sequence[Losses]) -> Losses:
    """Return the losses of several stretches of origins together."""
    return Losses(*(np.sum(column, axis=0) for column in zip(*parts, strict=True)))


def score(parts: Sequence[tuple[Losses, Yardstick]], columns: tuple[str, ...]) -> FullScores:
    """Score all series together: every observed cell weighs the same in its column; z errors over all cells."""
    sums = _sums(parts)
    steps = tuple(
        StepScores(step=step + 1, **_scores(Sums(*(part[[step]] for part in sums)))) for step in range(len(sums.cells))
    )
    by_column = {
        name: Scores(**_scores(Sums(*(part[:, [column]] for part in sums)))) for column, name in enumerate(columns)
    }
    return FullScores(by_step=steps, by_column=by_column, **_scores(sums))


def _sums(parts: Sequence[tuple[Losses, Yardstick]]) -> Sums:
    cells = np.sum([one.cells for one, _ in parts], axis=0)
    in_z = [np.sum([one[i] for one, _ in parts], axis=0) for i in range(1, 7)]
    in_units = [
        np.sum([one.absolute * by.spread for one, by in parts], axis=0),
        np.sum([one.squared * by.spread**2 for one, by in parts], axis=0),
        np.sum([one.width * by.spread for one, by in parts], axis=0),
    ]
    relative = [
        _relative([(one.cells, one.absolute * by.spread / by.naive_mae) for one, by in parts]),
        _relative([(one.cells, one.squared * (by.spread / by.naive_rmse) ** 2) for one, by in parts]),
    ]
    with np.errstate(invalid="ignore", divide="ignore"):
        return Sums(cells, *(sums / cells for sums in in_z + in_units), *relative)


def _relative(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Average over the series whose naive error is known (it is not where a training part never moves)."""
    cells = np.sum([np.where(np.isnan(sums), 0, cells) for cells, sums in parts], axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.sum([np.nan_to_num(sums) for _, sums in parts], axis=0) / cells)


def _scores(sums: Sums) -> dict[str, Any]:
    """Collapse steps and columns: z errors over cells; those in units of the data and relative ones, over columns."""
    cells = sums.cells
    return {
        "cells": int(cells.sum()),
        **{name: _mean(getattr(sums, name), cells) for name in ("mse_z", "mae_z", "mql", "coverage")},
        **{name: _mean(getattr(sums, name), cells) for name in ("width_z", "interval_score")},
        **{name: _column_mean(getattr(sums, name), cells) for name in ("mae", "width", "mase")},
        "rmse": _column_mean(sums.mse, cells, root=True),
        "rmsse": _column_mean(sums.msse, cells, root=True),
    }


def _mean(means: np.ndarray, cells: np.ndarray) -> float | None:
    known = (cells > 0) & ~np.isnan(means)
    if not known.any():
        return None
    return float(np.average(means[known], weights=cells[known]))


def _column_mean(means: np.ndarray, cells: np.ndarray, *, root: bool = False) -> float | None:
    known = [
        np.average(column[ok], weights=weights[ok])
        for column, weights in zip(means.T, cells.T, strict=True)
        if (ok := (weights > 0) & ~np.isnan(column)).any()
    ]
    if not known:
        return None
    return float(np.mean(np.sqrt(known) if root else known))

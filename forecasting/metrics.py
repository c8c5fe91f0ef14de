"""How scores are computed: errors over observed cells, in z units, in the units of the data, and relative to naive."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from forecasting.scores import FullScores, Scores, StepScores


class Errors(NamedTuple):
    """Forecast minus actual for one series, in z units; NaN where the actual was not observed.

    `point` and `median` have shape (origins, horizon, columns). `std` (columns) leads to the units of the data;
    `naive_mae` and `naive_rmse` (columns) are the in-sample errors of the seasonal naive forecast, in z units.
    """

    point: Float[np.ndarray, "origins horizon columns"]
    median: Float[np.ndarray, "origins horizon columns"]
    std: Float[np.ndarray, " columns"]
    naive_mae: Float[np.ndarray, " columns"]
    naive_rmse: Float[np.ndarray, " columns"]


class Sums(NamedTuple):
    """Mean errors by step and column, weighted by observed cells; every array has shape (horizon, columns)."""

    cells: np.ndarray
    mse_z: np.ndarray
    mae_z: np.ndarray
    mae: np.ndarray
    mse: np.ndarray
    mase: np.ndarray
    msse: np.ndarray


def in_sample_naive(z: Float[np.ndarray, "rows columns"], season: int) -> tuple[np.ndarray, np.ndarray]:
    """Return mean absolute and root mean squared change over a season in training rows; NaN where there is none."""
    change = z[season:] - z[:-season]
    seen = ~np.isnan(change)
    count = np.where(seen.any(axis=0), seen.sum(axis=0), np.nan)
    squared = np.nansum(change.astype(np.float64) ** 2, axis=0) / count
    absolute = np.nansum(np.abs(change.astype(np.float64)), axis=0) / count
    return np.where(absolute > 0, absolute, np.nan), np.where(squared > 0, np.sqrt(squared), np.nan)


def score(errors: list[Errors], columns: tuple[str, ...]) -> FullScores:
    """Score all series together: every observed cell weighs the same in its column; z errors over all cells."""
    sums = _sums(errors)
    steps = tuple(
        StepScores(step=step + 1, **_scores(Sums(*(part[[step]] for part in sums)))) for step in range(len(sums.cells))
    )
    by_column = {
        name: Scores(**_scores(Sums(*(part[:, [column]] for part in sums)))) for column, name in enumerate(columns)
    }
    return FullScores(by_step=steps, by_column=by_column, **_scores(sums))


def _sums(errors: list[Errors]) -> Sums:
    totals = [_totals(one) for one in errors]
    cells = sum(total[0] for total in totals)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = [np.sum([np.nan_to_num(total[i]) for total in totals], axis=0) / cells for i in range(1, 5)]
        relative = [_relative(totals, i) for i in (5, 6)]
    return Sums(np.asarray(cells), *means, *relative)


def _totals(one: Errors) -> tuple[np.ndarray, ...]:
    seen = ~np.isnan(one.point)
    squared = np.where(seen, one.point.astype(np.float64), 0.0) ** 2
    absolute = np.abs(np.where(seen, one.median.astype(np.float64), 0.0))
    s, a = squared.sum(axis=0), absolute.sum(axis=0)
    return seen.sum(axis=0), s, a, a * one.std, s * one.std**2, a / one.naive_mae, s / one.naive_rmse**2


def _relative(totals: list[tuple[np.ndarray, ...]], i: int) -> np.ndarray:
    """Average over the series whose naive error is known (it is not where a training part never moves)."""
    known = [~np.isnan(total[i]) for total in totals]
    cells = np.sum([np.where(k, total[0], 0) for k, total in zip(known, totals, strict=True)], axis=0)
    return np.asarray(np.sum([np.nan_to_num(total[i]) for total in totals], axis=0) / cells)


def _scores(sums: Sums) -> dict[str, Any]:
    """Collapse steps and columns: z errors over cells; those in units of the data and relative ones, over columns."""
    cells = sums.cells
    return {
        "cells": int(cells.sum()),
        "mse_z": _mean(sums.mse_z, cells),
        "mae_z": _mean(sums.mae_z, cells),
        "mae": _column_mean(sums.mae, cells),
        "rmse": _column_mean(sums.mse, cells, root=True),
        "mase": _column_mean(sums.mase, cells),
        "rmsse": _column_mean(sums.msse, cells, root=True),
    }


def _mean(means: np.ndarray, cells: np.ndarray) -> float | None:
    known = cells > 0
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

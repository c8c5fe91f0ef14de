"""Scores and the scorecard: frozen values, as JSON for machines. How they are computed is in `metrics`."""

from __future__ import annotations

import msgspec


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """Errors over observed cells.

    `mse_z`, `mae_z` are in z units and comparable over columns; `mae`, `rmse` in the units of the data (over several
    columns: their mean); `mase`, `rmsse` relative to the in-sample error of the seasonal naive forecast (Hyndman and
    Koehler 2006). Squared errors are of the point, absolute ones of the median. `mql` (mean quantile loss, z units),
    `coverage` and `width` (of the 90 % interval) are None where there is no interval.
    """

    cells: int
    mse_z: float | None
    mae_z: float | None
    mae: float | None
    rmse: float | None
    mase: float | None
    rmsse: float | None
    mql: float | None = None
    coverage: float | None = None
    width: float | None = None


class StepScores(Scores, frozen=True, kw_only=True):
    """Scores of one step ahead, counted from 1."""

    step: int


class FullScores(Scores, frozen=True, kw_only=True):
    """Scores over everything, by step ahead and by column."""

    by_step: tuple[StepScores, ...]
    by_column: dict[str, Scores]


class Scorecard(msgspec.Struct, frozen=True, kw_only=True):
    """A model and the baselines, on the same origins and the same cells.

    `start` and `end` are the first and last target time (RFC 3339, UTC). A baseline that does not apply is None and
    `reasons` says why.
    """

    start: str
    end: str
    origins: int
    model: FullScores
    baselines: dict[str, FullScores | None]
    reasons: dict[str, str] = {}

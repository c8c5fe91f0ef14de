"""Scores and the scorecard: frozen values, as JSON for machines. How they are computed is in `metrics`."""

from __future__ import annotations

import msgspec


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """Errors over observed cells, of what is answered: inside the bounds, whole where the column is.

    `mse_z`, `mae_z` are in standard deviations of the training rows and comparable over columns; `mae`, `rmse` in the
    units of the data (over several columns: their mean); `mase`, `rmsse` relative to the in-sample error of the
    seasonal naive forecast (Hyndman and Koehler 2006). Squared errors are of the point, absolute ones of the median.
    `mql` is the mean pinball loss of the deciles. Of the 90 % interval there are `coverage`, the share of what came
    that it held, `width` (as `mae`), `width_z` and `interval_score` (as `mae_z`; Gneiting and Raftery 2007). All of
    these are None where there is no interval.
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
    width_z: float | None = None
    interval_score: float | None = None


class StepScores(Scores, frozen=True, kw_only=True):
    """Scores of one step ahead, counted from 1."""

    step: int


class FullScores(Scores, frozen=True, kw_only=True):
    """Scores over everything, by step ahead and by column."""

    by_step: tuple[StepScores, ...]
    by_column: dict[str, Scores]


class Scorecard(msgspec.Struct, frozen=True, kw_only=True):
    """A model and the baselines, on the same origins and the same cells.

    `start` and `end` are the first and last target time (RFC 3339, UTC). A baseline that applies to no series is
    None; `reasons` says why, and for which series another stands in where it applies to some.
    """

    start: str
    end: str
    origins: int
    model: FullScores
    baselines: dict[str, FullScores | None]
    reasons: dict[str, str] = {}

"""The rolling-origin backtest: a forecaster and the baselines, at every origin, on the same observed cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from forecasting.baselines import all_baselines
from forecasting.bundle import Bundle
from forecasting.errors import DataError
from forecasting.metrics import Errors, in_sample_naive, score
from forecasting.network import Forecaster
from forecasting.scaled import ScaledSeries, origins, scale_panel, targets
from forecasting.scores import FullScores, Scorecard
from forecasting.series import Panel, Split, rfc3339
from forecasting.streaming import Job, Told, stream

MOST_NAIVE_ROWS = 1_000_000


@dataclass(frozen=True)
class Backtest:
    """The scorecard, and what it was made from: by series, the origins, forecasts and actuals (z units)."""

    scorecard: Scorecard
    panel: tuple[ScaledSeries, ...]
    at: tuple[range, ...]
    told: tuple[Told, ...]
    actual: tuple[Float[np.ndarray, "_ horizon columns"], ...]


def backtest(forecaster: Forecaster, panel: Sequence[ScaledSeries], columns: tuple[str, ...]) -> Backtest:
    """Forecast every origin of the test part, streamed, and score it beside the baselines.

    Raises:
        DataError: no series has a row in the test part.
    """
    horizon = forecaster.architecture.horizon
    at = tuple(origins(one.test, horizon) for one in panel)
    if not any(len(rows) for rows in at):
        message = (
            f"no series has the {horizon} rows in the test part that a forecast needs; give more data or another split"
        )
        raise DataError(message)
    told = tuple(stream(forecaster, [Job(one, rows) for one, rows in zip(panel, at, strict=True)]))
    actual = tuple(targets(one, rows, horizon) for one, rows in zip(panel, at, strict=True))
    baselines, reasons = all_baselines(panel, at, horizon)
    cards = {
        name: None if made is None else scores_of([Told(one, one) for one in made], panel, actual, columns)
        for name, made in baselines.items()
    }
    first, last = _period(panel, at, horizon)
    scorecard = Scorecard(
        start=rfc3339(first),
        end=rfc3339(last),
        origins=sum(len(rows) for rows in at),
        model=scores_of(told, panel, actual, columns),
        baselines=cards,
        reasons=reasons,
    )
    return Backtest(scorecard, tuple(panel), at, told, actual)


def scores_of(
    told: Sequence[Told], panel: Sequence[ScaledSeries], actual: Sequence[np.ndarray], columns: tuple[str, ...]
) -> FullScores:
    """Score forecasts (z units, by series) against what came."""
    naive = [_naive(one) for one in panel]
    errors = [
        Errors(said.point - came, said.median - came, one.units.std.astype(np.float64), *scales)
        for said, came, one, scales in zip(told, actual, panel, naive, strict=True)
    ]
    return score(errors, columns)


def _naive(one: ScaledSeries) -> tuple[np.ndarray, np.ndarray]:
    newest = max(one.train.stop - MOST_NAIVE_ROWS, 0)
    return in_sample_naive(one.z(newest, one.train.stop), one.calendar.season)


def _period(panel: Sequence[ScaledSeries], at: Sequence[range], horizon: int) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return the times of the first and the last target."""
    used = [(one.series.index, rows) for one, rows in zip(panel, at, strict=True) if len(rows)]
    return min(i[rows.start + 1] for i, rows in used), max(i[rows.stop - 1 + horizon] for i, rows in used)


def champion_mse_z(champion: Bundle, tested: Backtest, panel: Panel, split: Split) -> float | None:
    """Return the squared error of another model on the same origins and cells, in the z units of the backtest.

    None where its columns, step or horizon are others, or nothing was observed.
    """
    horizon = tested.actual[0].shape[1]
    schema = (champion.spec.targets, champion.spec.calendar.freq, champion.spec.horizon)
    if schema != (panel.columns, panel.freq, horizon):
        return None
    scaled = scale_panel(panel, champion.scaler, champion.spec.calendar, split)
    told = stream(champion.forecaster, [Job(one, at) for one, at in zip(scaled, tested.at, strict=True)])
    errors = [
        (said.point * theirs.units.std + theirs.units.mean - ours.units.mean) / ours.units.std - came
        for said, theirs, ours, came in zip(told, scaled, tested.panel, tested.actual, strict=True)
    ]
    seen = (both := np.concatenate(errors))[~np.isnan(both)]
    return float(np.square(seen).mean()) if len(seen) else None

"""The forecasts a model must beat, fitted per series on its training rows and made at the same origins.

    persistence      the last value seen
    seasonal_naive   the value of the same time in the last season
    linear           ridge autoregression (`ridge`), fitted to the one series
    var              vector autoregression, order by AIC (statsmodels)

A point and a median are the same thing here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from statsmodels.tsa.api import VAR

from forecasting.network import fill_alone
from forecasting.ridge import fit_linear
from forecasting.scaled import ScaledSeries
from forecasting.streaming import WARM_UP

Predictions = Float[np.ndarray, "origins horizon columns"]
Baseline = Callable[[ScaledSeries, range, int], Predictions]

FEWEST_LINEAR = 10  # three lags and a few rows
WIDEST_VAR = 30
MOST_VAR_LAGS = 24
MOST_VAR_ROWS = 20_000


class DoesNotApply(ValueError):
    """The baseline cannot be had for this series; the text says why."""


def all_baselines(
    panel: Sequence[ScaledSeries], at: Sequence[range], horizon: int
) -> tuple[dict[str, list[Predictions] | None], dict[str, str]]:
    """Return each baseline's predictions by series, None where it does not apply, and the reasons for those."""
    made: dict[str, list[Predictions] | None] = {}
    reasons: dict[str, str] = {}
    for name, baseline in BASELINES.items():
        try:
            made[name] = [_made(baseline, one, origins, horizon) for one, origins in zip(panel, at, strict=True)]
        except DoesNotApply as reason:
            made[name], reasons[name] = None, str(reason)
    return made, reasons


def _made(baseline: Baseline, one: ScaledSeries, at: range, horizon: int) -> Predictions:
    """Ask a baseline, but not of a series that has no origin: it may have no training rows either."""
    return baseline(one, at, horizon) if len(at) else np.zeros((0, horizon, one.series.values.shape[1]), np.float32)


def persistence(one: ScaledSeries, at: range, horizon: int) -> Predictions:
    """Say that the last value seen stays."""
    level = filled_levels(one, at.start, at.stop)
    return np.repeat(level[:, None], horizon, axis=1)


def seasonal_naive(one: ScaledSeries, at: range, horizon: int) -> Predictions:
    """Say what was seen at the same time a season ago; before the first season, the last value seen."""
    season = one.calendar.season
    if season == 1:
        message = f"steps of {one.calendar.freq} have no season"
        raise DoesNotApply(message)
    first = max(at.start - season, 0)
    level = filled_levels(one, first, at.stop)
    now = np.arange(at.start, at.stop)[:, None]
    ahead = np.arange(1, horizon + 1)[None, :]
    past = now + ahead - season * -(-ahead // season)
    return np.asarray(level[np.where(past >= first, past, now) - first])


def linear(one: ScaledSeries, at: range, horizon: int) -> Predictions:
    """Ridge autoregression on the one series."""
    if one.train.stop < FEWEST_LINEAR:
        message = f"series {one.series.id} has fewer than {FEWEST_LINEAR} training rows"
        raise DoesNotApply(message)
    road = fit_linear([one], horizon).road
    first = max(at.start - max(WARM_UP, road.lags), 0)
    filled = fill_alone(torch.from_numpy(one.z(first, at.stop)), road.lags)
    features = torch.from_numpy(one.features(first, at.stop))[None]
    added = road(filled.changes, filled.level, features)
    return (filled.level[0, :, None] + added[0])[at.start - first :].numpy()  # type: ignore[no-any-return]


def var(one: ScaledSeries, at: range, horizon: int) -> Predictions:
    """Vector autoregression, order by AIC up to a season, iterated over the steps; missing values carried forward."""
    columns = one.series.values.shape[1]
    if not 1 < columns <= WIDEST_VAR:
        message = f"{columns} columns; a VAR is fitted to 2 to {WIDEST_VAR}"
        raise DoesNotApply(message)
    intercept, matrices = _fit_var(one, columns)
    lags = len(matrices)
    first = max(at.start - lags + 1, 0)
    level = filled_levels(one, first, at.stop).astype(np.float64)
    level = np.concatenate([np.repeat(level[:1], lags - 1 - (at.start - first), axis=0), level])
    window = np.lib.stride_tricks.sliding_window_view(level, lags, axis=0)
    past = [window[:, :, -1 - lag] for lag in range(lags)]
    steps = []
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(horizon):
            following = intercept + sum(value @ matrix.T for value, matrix in zip(past, matrices, strict=True))
            past = [following, *past[:-1]]
            steps.append(following)
        said = np.stack(steps, axis=1).astype(np.float32)
    if not np.isfinite(said).all():
        message = f"the VAR of series {one.series.id} grows without bound over {horizon} steps"
        raise DoesNotApply(message)
    return said


def _fit_var(one: ScaledSeries, columns: int) -> tuple[np.ndarray, np.ndarray]:
    train = filled_levels(one, max(one.train.stop - MOST_VAR_ROWS, 0), one.train.stop).astype(np.float64)
    most = min(MOST_VAR_LAGS, one.calendar.season if one.calendar.season > 1 else MOST_VAR_LAGS)
    most = min(most, (len(train) - 1) // (3 * columns))
    if most < 1 or not (train.std(axis=0) > 0).all():
        message = f"series {one.series.id} has too few training rows, or a column that never moves in them"
        raise DoesNotApply(message)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # orders that do not fit are tried and left; statsmodels warns of each
            fitted = VAR(train).fit(maxlags=most, ic="aic", trend="c")
    except (np.linalg.LinAlgError, ValueError) as error:
        message = f"the VAR of series {one.series.id} could not be fitted: {error}"
        raise DoesNotApply(message) from error
    if fitted.k_ar == 0:
        return np.asarray(fitted.intercept), np.zeros((1, columns, columns))
    return np.asarray(fitted.intercept), np.asarray(fitted.coefs)


def filled_levels(one: ScaledSeries, start: int, stop: int) -> Float[np.ndarray, "rows columns"]:
    """Rows [start, stop) in z units, each missing cell holding the last value seen before it."""
    first = max(start - WARM_UP, 0)
    return fill_alone(torch.from_numpy(one.z(first, stop))).level[0].numpy()[start - first :]


BASELINES: dict[str, Baseline] = {
    "persistence": persistence,
    "seasonal_naive": seasonal_naive,
    "linear": linear,
    "var": var,
}

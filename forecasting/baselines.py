"""The forecasts a model must beat, fitted per series on its training rows and made at the same origins.

    persistence      the last value seen
    seasonal_naive   the value of the same time in the last season
    linear           ridge autoregression (`ridge`), fitted to the one series; over 20 series, to all of them together
    var              vector autoregression, order by AIC (statsmodels); over 100 series there is none

Only `linear` knows covariates. A point and a median are the same thing here. For a series that a baseline does not
apply to, persistence stands in.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from statsmodels.tsa.api import VAR

from forecasting import ridge
from forecasting.scaled import ScaledSeries
from forecasting.streaming import WARM_UP

Predictions = Float[np.ndarray, "origins horizon columns"]
Predictor = Callable[[range], Predictions]

FEWEST_LINEAR = 10  # three lags and a few rows
MOST_LINEAR_FITS = 20
WIDEST_VAR = 30
MOST_VAR_FITS = 100
MOST_VAR_LAGS = 24
MOST_VAR_ROWS = 20_000
MOST_VAR_ROWS_OF_ALL = 200_000
MOST_GROWTH = 1e6  # over the horizon; the VAR of a stable series hardly grows at all


class DoesNotApply(ValueError):
    """The baseline cannot be had for this series; the text says why."""


Found = list[Predictor | DoesNotApply]
"""What fitting a baseline gives by series."""


class Fitted(NamedTuple):
    """A baseline, ready to be asked: a predictor a series, none if it applies to none of those that are judged."""

    predictors: tuple[Predictor, ...]
    reason: str | None


def fit_baseline(name: str, panel: Sequence[ScaledSeries], judged: Sequence[bool], horizon: int) -> Fitted:
    """Fit a baseline; the reason says to how many of the series that are judged it does not apply, and why."""
    found = BASELINES[name](panel, horizon)
    reasons = [str(one) for one, counts in zip(found, judged, strict=True) if counts and isinstance(one, DoesNotApply)]
    if len(reasons) == sum(judged):
        return Fitted((), reasons[0])
    predictors = tuple(
        partial(persistence, one, horizon=horizon) if isinstance(fitted, DoesNotApply) else fitted
        for one, fitted in zip(panel, found, strict=True)
    )
    some = f"for {len(reasons)} of {sum(judged)} series persistence stands in: {reasons[0]}" if reasons else None
    return Fitted(predictors, some)


def persistence(one: ScaledSeries, at: range, horizon: int) -> Predictions:
    """Say that the last value seen stays."""
    level = filled_levels(one, at.start, at.stop)
    return np.repeat(level[:, None], horizon, axis=1)


def seasonal_naive(one: ScaledSeries, at: range, horizon: int) -> Predictions:
    """Say what was seen at the same time a season ago; before the first season, the last value seen."""
    season = one.calendar.season
    first = max(at.start - season, 0)
    level = filled_levels(one, first, at.stop)
    now = np.arange(at.start, at.stop)[:, None]
    ahead = np.arange(1, horizon + 1)[None, :]
    past = now + ahead - season * -(-ahead // season)
    return np.asarray(level[np.where(past >= first, past, now) - first])


def fit_persistence(panel: Sequence[ScaledSeries], horizon: int) -> Found:
    """Return persistence, which applies always."""
    return [partial(persistence, one, horizon=horizon) for one in panel]


def fit_seasonal_naive(panel: Sequence[ScaledSeries], horizon: int) -> Found:
    """Return the seasonal naive forecast of each series, where there is a season."""
    calendar = panel[0].calendar
    if calendar.season == 1:
        return [DoesNotApply(f"steps of {calendar.freq} have no season")] * len(panel)
    return [partial(seasonal_naive, one, horizon=horizon) for one in panel]


def fit_linears(panel: Sequence[ScaledSeries], horizon: int) -> Found:
    """Fit the ridge autoregression to each series, or one to all of many; covariates are regressors too."""
    trained = [one for one in panel if one.train.stop >= FEWEST_LINEAR]
    if trained and len(panel) > MOST_LINEAR_FITS:
        road = ridge.fit_linear(trained, horizon).road
        return [partial(ridge.say, road, one) for one in panel]
    return [_fit_linear(one, horizon) for one in panel]


def _fit_linear(one: ScaledSeries, horizon: int) -> Predictor | DoesNotApply:
    if one.train.stop < FEWEST_LINEAR:
        return DoesNotApply(f"series {one.series.id} has fewer than {FEWEST_LINEAR} training rows")
    return partial(ridge.say, ridge.fit_linear([one], horizon).road, one)


def fit_vars(panel: Sequence[ScaledSeries], horizon: int) -> Found:
    """Fit a vector autoregression to each of a few series, to the newer rows of each of more."""
    if len(panel) > MOST_VAR_FITS:
        return [DoesNotApply(f"{len(panel)} series; a VAR is fitted to each of at most {MOST_VAR_FITS}")] * len(panel)
    rows = min(MOST_VAR_ROWS, MOST_VAR_ROWS_OF_ALL // len(panel))
    return [_var_of(one, rows, horizon) for one in panel]


def _var_of(one: ScaledSeries, rows: int, horizon: int) -> Predictor | DoesNotApply:
    try:
        intercept, matrices = _fit_var(one, rows)
    except DoesNotApply as reason:
        return reason
    if horizon * math.log(max(_growth(matrices), 1.0)) > math.log(MOST_GROWTH):
        return DoesNotApply(f"the VAR of series {one.series.id} grows without bound over {horizon} steps")
    return partial(_iterated, one, intercept, matrices, horizon=horizon)


def _growth(matrices: Float[np.ndarray, "lags columns columns"]) -> float:
    """Return the factor by which a VAR grows in a step, in the long run: its largest root, of the companion matrix."""
    lags, columns, _ = matrices.shape
    companion = np.eye(lags * columns, k=-columns)
    companion[:columns] = np.concatenate(list(matrices), axis=1)
    return float(np.abs(np.linalg.eigvals(companion)).max())


def _iterated(one: ScaledSeries, intercept: np.ndarray, matrices: np.ndarray, at: range, horizon: int) -> Predictions:
    """Step a VAR over the horizon from each origin; missing values are carried forward."""
    lags = len(matrices)
    first = max(at.start - lags + 1, 0)
    level = filled_levels(one, first, at.stop).astype(np.float64)
    level = np.concatenate([np.repeat(level[:1], lags - 1 - (at.start - first), axis=0), level])
    window = np.lib.stride_tricks.sliding_window_view(level, lags, axis=0)
    past = [window[:, :, -1 - lag] for lag in range(lags)]
    steps = []
    for _ in range(horizon):
        following = intercept + sum(value @ matrix.T for value, matrix in zip(past, matrices, strict=True))
        past = [following, *past[:-1]]
        steps.append(following)
    return np.stack(steps, axis=1).astype(np.float32)


def _fit_var(one: ScaledSeries, rows: int) -> tuple[np.ndarray, np.ndarray]:
    columns = len(one.columns.targets)
    if not 1 < columns <= WIDEST_VAR:
        message = f"{columns} {'column' if columns == 1 else 'columns'}; a VAR is fitted to 2 to {WIDEST_VAR}"
        raise DoesNotApply(message)
    train = filled_levels(one, max(one.train.stop - rows, 0), one.train.stop).astype(np.float64)
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
    """Rows [start, stop) of the targets in z units, each missing cell holding the last value seen before it, else 0."""
    first = max(start - WARM_UP, 0)
    z = one.target_z(first, stop)
    newest = np.maximum.accumulate(np.where(np.isnan(z), -1, np.arange(len(z))[:, None]), axis=0)[start - first :]
    return np.where(newest < 0, 0.0, np.take_along_axis(z, newest.clip(0), axis=0)).astype(np.float32)


BASELINES: dict[str, Callable[[Sequence[ScaledSeries], int], Found]] = {
    "persistence": fit_persistence,
    "seasonal_naive": fit_seasonal_naive,
    "linear": fit_linears,
    "var": fit_vars,
}

"""Whether one model is better than another beyond chance: their losses on the same unseen rows, pair by pair.

Diebold and Mariano (1995): the mean difference of the losses over its standard error. Losses of neighbouring origins
are alike, the more so the more steps their forecasts share, so the variance of the mean counts autocovariances, weighed
by Bartlett's kernel (Newey and West 1987). Small samples: the factor and the t distribution of Harvey, Leybourne and
Newbold (1997).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec
import numpy as np
from jaxtyping import Float, Int
from scipy import stats

LEAST_ORIGINS = 50
"""Origins below which nothing is said to be beyond chance."""
BAND = 0.95


class Paired(NamedTuple):
    """Losses of two models at the same times, in the order of time: one number a time, over the same observed cells.

    `times` are those of the origins (UTC nanoseconds). The series of a panel have one loss together: what befalls one
    befalls its neighbours.
    """

    times: Int[np.ndarray, " times"]
    ours: Float[np.ndarray, " times"]
    theirs: Float[np.ndarray, " times"]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """How two models fared on the same rows; losses are mean squared errors in z units, smaller is better.

    `difference` is theirs less ours, `low` and `high` end its 95 % confidence interval, `gain` is its share of theirs.
    `p_value` is two-sided: how likely so large a difference is between models that are equally good. `origins` are the
    times that were compared, `lags` the autocovariances that were counted.
    """

    origins: int
    ours: float
    theirs: float
    difference: float
    low: float
    high: float
    gain: float
    statistic: float
    p_value: float
    lags: int

    @property
    def better(self) -> bool:
        """Whether ours has the smaller loss, beyond chance or not."""
        return self.difference > 0


def compare(paired: Paired, horizon: int) -> Comparison | None:
    """Compare forecasts of `horizon` steps; None where no time has a loss of both.

    A loss that is not finite, of a model that answered nonsense, is infinitely large: it cannot be averaged away.
    """
    if not len(paired.times):
        return None
    ours, theirs = float(paired.ours.mean()), float(paired.theirs.mean())
    if not (math.isfinite(ours) and math.isfinite(theirs)):
        return _hopeless(len(paired.times), ours, theirs)
    difference = (paired.theirs - paired.ours).astype(np.float64)
    count, mean, lags = len(difference), float(difference.mean()), lags_for(len(difference), horizon)
    error = standard_error(difference, lags) * _small_sample(count, horizon)
    chance = stats.t(df=max(count - 1, 1))
    certain = error > 0 and count >= LEAST_ORIGINS
    statistic = mean / error if certain else 0.0
    reach = float(chance.ppf((1 + BAND) / 2)) * error if error > 0 else 0.0
    return Comparison(
        origins=count,
        ours=ours,
        theirs=theirs,
        difference=mean,
        low=mean - reach,
        high=mean + reach,
        gain=mean / theirs if theirs > 0 else 0.0,
        statistic=statistic,
        p_value=2 * float(chance.sf(abs(statistic))) if certain else 1.0,
        lags=lags,
    )


def lags_for(count: int, horizon: int) -> int:
    """Return how many autocovariances to count: those of shared steps, at least what Newey and West (1994) advise."""
    automatic: int = math.floor(4 * (count / 100) ** (2 / 9))
    return min(max(horizon - 1, automatic), max(count - 1, 0))


def standard_error(difference: Float[np.ndarray, " times"], lags: int) -> float:
    """Return the standard error of a mean of numbers that depend on those up to `lags` before."""
    centred, count = difference - difference.mean(), len(difference)
    variance = float(centred @ centred) / count
    for lag in range(1, lags + 1):
        variance += 2 * (1 - lag / (lags + 1)) * float(centred[lag:] @ centred[:-lag]) / count
    return math.sqrt(max(variance, 0.0) / count)


def _small_sample(count: int, horizon: int) -> float:
    """Return by what the standard error grows: the inverse of Harvey, Leybourne and Newbold's factor."""
    inner = (count + 1 - 2 * horizon + horizon * (horizon - 1) / count) / count
    return 1 / math.sqrt(inner) if inner > 0 else math.inf


def _hopeless(count: int, ours: float, theirs: float) -> Comparison:
    """Compare models of which at least one answered what is no number: the other wins, if it did not."""
    ours, theirs = (x if math.isfinite(x) else math.inf for x in (ours, theirs))
    sign = 0.0 if ours == theirs else math.copysign(1.0, theirs - ours)
    return Comparison(
        origins=count,
        ours=ours,
        theirs=theirs,
        difference=sign * math.inf if sign else 0.0,
        low=sign * math.inf if sign else 0.0,
        high=sign * math.inf if sign else 0.0,
        gain=sign,
        statistic=sign * math.inf if sign else 0.0,
        p_value=0.0 if sign else 1.0,
        lags=0,
    )

"""Split-conformal calibration: intervals as wide as what really happened on validation rows.

A forecast says a median and the size of its error, `scale`. On validation rows, which no weight was fitted to, the
residuals r = (actual - median) / scale are ranked by step and column; of n residuals the quantile p of the next one is
that of rank p (n + 1), rounded away from the median, and the answer is

    quantile_p = median + r_p * scale

If residuals are exchangeable, the interval of a level holds what comes with at least that probability, whatever their
distribution (Lei et al. 2018); each tail has its own rank and its own half of what may be missed (Romano, Patterson and
Candes 2019). Neighbouring rows of a series are not quite exchangeable: the coverage on test rows says what that costs.

What is learnt as log(1 + x) is a mean of logarithms; `smear` moves it to a mean of x (Duan 1983).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import msgspec
import numpy as np
from jaxtyping import Bool, Float, Int

from forecasting.errors import DataError, NotFinite
from forecasting.scaling import NEAREST, Units

WHOLE = 200
"""Probabilities are counted in half percents, so that a rank is exact: a level of 95 ends at 5 and 195."""

MEDIAN = WHOLE // 2
DECILES = tuple(range(20, WHOLE, 20))
JUDGED = 90
"""Level of the interval that is scored, always among the probabilities."""

MOST_SMEAR = math.log(2)


class Outcome(NamedTuple):
    """What was said of one series and what came, in z units, NaN where not observed; `units` are of its columns."""

    point: Float[np.ndarray, "origins horizon column"]
    median: Float[np.ndarray, "origins horizon column"]
    scale: Float[np.ndarray, "origins horizon column"]
    actual: Float[np.ndarray, "origins horizon column"]
    units: Units


class Calibration(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """How many scales each quantile lies from the median, by [probability][step][column].

    `levels` are those of the intervals, in percent. Multipliers do not decrease with the probability and are 0 for the
    median, so quantiles never cross. `cells` counts the residuals of a [step][column]; `smear` is what is added to a
    point before a logarithm is undone.
    """

    levels: tuple[int, ...]
    probabilities: tuple[float, ...]
    multipliers: tuple[tuple[tuple[float, ...], ...], ...]
    cells: tuple[tuple[int, ...], ...]
    smear: tuple[tuple[float, ...], ...]

    def quantiles(
        self, median: Float[np.ndarray, "*rows horizon column"], scale: Float[np.ndarray, "*rows horizon column"]
    ) -> Float[np.ndarray, "*rows probability horizon column"]:
        """Return all quantiles in z units; a forecast may have fewer steps than were calibrated."""
        return np.asarray(median[..., None, :, :] + self.factors[:, : median.shape[-2]] * scale[..., None, :, :])

    def interval(
        self,
        level: int,
        median: Float[np.ndarray, "*rows horizon column"],
        scale: Float[np.ndarray, "*rows horizon column"],
    ) -> tuple[Float[np.ndarray, "*rows horizon column"], Float[np.ndarray, "*rows horizon column"]]:
        """Return the lower and the upper end in z units.

        Raises:
            ValueError: the level was not calibrated.
        """
        if level not in self.central:
            message = f"the level is {level}; calibrated are {', '.join(map(str, sorted(self.central)))}"
            raise ValueError(message)
        low, high = (self.factors[place, : median.shape[-2]] for place in self.central[level])
        return median + low * scale, median + high * scale

    def short(self, level: int) -> Bool[np.ndarray, "horizon column"]:
        """Tell where there were too few residuals for a level: its ends are the most extreme ones, or borrowed."""
        cells = np.asarray(self.cells)
        return np.asarray(_rank(MEDIAN + level, cells) > cells)

    @cached_property
    def central(self) -> dict[int, tuple[int, int]]:
        """The places among the probabilities of both ends of every interval there is, by its level."""
        places = {_grain(probability): place for place, probability in enumerate(self.probabilities)}
        ends = {MEDIAN - grain: (place, places.get(WHOLE - grain)) for grain, place in places.items() if grain < MEDIAN}
        return {level: (low, high) for level, (low, high) in ends.items() if high is not None}

    @cached_property
    def deciles(self) -> list[int]:
        """The places of .1 to .9 among the probabilities."""
        return [place for place, one in enumerate(self.probabilities) if _grain(one) in DECILES]

    def ends(self, levels: tuple[int, ...]) -> Float[np.ndarray, "end horizon column"]:
        """Return the multipliers of both ends of some levels, the lower one first; all must be calibrated."""
        return self.factors[[place for level in levels for place in self.central[level]]]

    @cached_property
    def factors(self) -> Float[np.ndarray, "probability horizon column"]:
        """The multipliers as an array."""
        return np.asarray(self.multipliers, dtype=np.float32)

    @cached_property
    def shift(self) -> Float[np.ndarray, "horizon column"]:
        """The smear as an array."""
        return np.asarray(self.smear, dtype=np.float32)


def calibrate(outcomes: Sequence[Outcome], levels: Sequence[int]) -> Calibration:
    """Rank the residuals of validation origins, pooled over series; where a step has none, its column's, else all.

    Raises:
        DataError: no value is observed in any of them.
        NotFinite: a forecast is not a number, or a scale is not above 0.
    """
    if not all(_is_usable(one) for one in outcomes):
        message = "a forecast of the validation rows is not a finite number with a scale above 0; train the model again"
        raise NotFinite(message)
    grains = np.array(_grains(levels))
    steps = range(outcomes[0].actual.shape[1] if outcomes else 0)
    ranked = [_ranked(outcomes, [step]) for step in steps]
    if not any(np.isfinite(one).any() for one in ranked):
        message = "no value is observed in the validation part, so no interval can be calibrated; choose another split"
        raise DataError(message)
    multipliers = np.stack([_quantiles(one, grains) for one in ranked], axis=1)
    _borrow(multipliers, outcomes, grains)
    return Calibration(
        levels=tuple(sorted(set(levels))),
        probabilities=tuple(grain / WHOLE for grain in grains.tolist()),
        multipliers=_nested(_around_median(multipliers, grains)),
        cells=tuple(tuple((~np.isnan(one)).sum(axis=0).tolist()) for one in ranked),
        smear=_nested(_smears(outcomes)),
    )


def _is_usable(one: Outcome) -> bool:
    return all(np.isfinite(part).all() for part in one[:3]) and bool((one.scale > 0).all())


def _grains(levels: Sequence[int]) -> list[int]:
    """Both ends of every level, those of the interval that is scored, and the deciles, in half percents."""
    ends = {end for level in (*levels, JUDGED) for end in (MEDIAN - level, MEDIAN + level)}
    return sorted({*ends, *DECILES})


def _grain(probability: float) -> int:
    return round(probability * WHOLE)


def _rank(grain: int | np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Rank of an upper quantile among so many residuals, counted from 1; above their number where they are too few."""
    return -(-grain * (cells + 1) // WHOLE)


def _ranked(outcomes: Sequence[Outcome], steps: list[int]) -> Float[np.ndarray, "residuals column"]:
    """Return the residuals of some steps in ascending order by column, NaN at the end."""
    pooled = [((one.actual - one.median) / one.scale)[:, steps] for one in outcomes]
    columns = pooled[0].shape[2]
    return np.sort(np.concatenate([part.reshape(-1, columns) for part in pooled]), axis=0)


def _quantiles(
    ranked: Float[np.ndarray, "residuals column"], grains: Int[np.ndarray, " probability"]
) -> Float[np.ndarray, "probability column"]:
    """Return the residuals of the ranks asked for; with too few the most extreme one, without any NaN."""
    if not len(ranked):
        return np.full((len(grains), ranked.shape[1]), np.nan, dtype=ranked.dtype)
    cells = (~np.isnan(ranked)).sum(axis=0)
    above = np.minimum(_rank(np.maximum(grains, WHOLE - grains)[:, None], cells), cells)
    rank = np.where(grains[:, None] < MEDIAN, cells + 1 - above, above)
    return np.asarray(np.take_along_axis(ranked, (rank - 1).clip(0), axis=0))


def _borrow(
    multipliers: Float[np.ndarray, "probability horizon column"],
    outcomes: Sequence[Outcome],
    grains: Int[np.ndarray, " probability"],
) -> None:
    """Fill in, where a step and column has no residual, the quantiles of its column, else of all residuals."""
    lacking = np.isnan(multipliers[0])
    if not lacking.any():
        return
    ranked = _ranked(outcomes, list(range(len(lacking))))
    everything = _quantiles(np.sort(ranked.reshape(-1, 1), axis=0), grains)
    pooled = _quantiles(ranked, grains)
    pooled = np.where(np.isnan(pooled), everything, pooled)
    for step, column in np.argwhere(lacking):
        multipliers[:, step, column] = pooled[:, column]


def _around_median(
    multipliers: Float[np.ndarray, "probability horizon column"], grains: Int[np.ndarray, " probability"]
) -> Float[np.ndarray, "probability horizon column"]:
    """Hold the median where it is said to be, and the others on their side of it; this only widens an interval."""
    side = np.sign(grains - MEDIAN)[:, None, None]
    return np.asarray(np.maximum(multipliers * side, 0.0) * side + 0.0, dtype=np.float32)


def _smears(outcomes: Sequence[Outcome]) -> Float[np.ndarray, "horizon column"]:
    """Return the logarithm of mean(1 + actual) / mean(1 + forecast) in the units of the data, 0 for plain columns."""
    came, said = (np.sum(sums, axis=0) for sums in zip(*(_grown(one) for one in outcomes), strict=True))
    lacking = came == 0
    came, said = (np.where(lacking, sums.sum(axis=0), sums) for sums in (came, said))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.nan_to_num(np.log(came) - np.log(said))
    return np.asarray(np.where(outcomes[0].units.log, found, 0.0).clip(-MOST_SMEAR, MOST_SMEAR), dtype=np.float32)


def _grown(one: Outcome) -> tuple[Float[np.ndarray, "horizon column"], Float[np.ndarray, "horizon column"]]:
    """Sum 1 + actual and 1 + forecast over observed cells, in the units of the data."""
    counted = one.units.log & ~np.isnan(one.actual)
    came, said = (_exponential(z, one.units, counted) for z in (one.actual, one.point.clip(-NEAREST, NEAREST)))
    return came.sum(axis=0), said.sum(axis=0)


def _exponential(z: np.ndarray, units: Units, counted: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        grown = np.exp(z.astype(np.float64) * units.std + units.mean, where=counted, out=np.zeros(z.shape))
    return np.asarray(grown)


def _nested(values: np.ndarray) -> Any:
    """Return the array as tuples of tuples."""
    return tuple(_nested(one) for one in values) if values.ndim > 1 else tuple(values.tolist())

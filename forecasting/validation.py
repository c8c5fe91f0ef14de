"""The streamed validation error, and how far each part of a forecast can be trusted.

Before the network, the median takes that share of the linear road which leaves the least absolute error: little where
a column mostly stays as it is. The network then corrects point and median. On validation rows each correction, by step
and column, gets a factor between 0 and 1 that makes the error least; 0 leaves the network out. So a column with nothing
left to learn stays as good as it was, and cannot be harmed by what is learnt for the others. With few validation rows
a gain may be luck: what could be chance of it is not believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from forecasting.errors import DataError
from forecasting.network import Forecaster
from forecasting.scaled import ScaledSeries, origins, targets
from forecasting.streaming import Job, stream

FACTORS = np.linspace(0.0, 1.0, 11)

Origins = Float[np.ndarray, "origins horizon column"]


class Judgement(NamedTuple):
    """Errors over observed validation cells in z units, with the corrections scaled by `trust`."""

    trust: Float[np.ndarray, "2 horizon column"]
    mse_z: float
    mae_z: float


@dataclass(frozen=True)
class Validation:
    """The validation origins, what came after them, and what is said of it before a network is asked.

    `point` is the linear road, `median` its share of the way from the last value to it.
    """

    jobs: tuple[Job, ...]
    came: Origins
    point: Origins
    median: Origins

    def judge(self, forecaster: Forecaster) -> Judgement:
        """Measure a forecaster, with dropout off; both errors are NaN where it does not say finite numbers."""
        point, median = _told(forecaster, self.jobs)
        if not (np.isfinite(point).all() and np.isfinite(median).all()):
            return Judgement(np.zeros((2, *self.came.shape[1:]), np.float32), np.nan, np.nan)
        point_left, median_left = self.came - self.point, self.came - self.median
        point_trust = _least_squares(point - self.point, point_left)
        median_trust = _least_absolute(median - self.median, median_left)
        squared = np.nanmean(np.square(point_left - point_trust * (point - self.point)))
        absolute = np.nanmean(np.abs(median_left - median_trust * (median - self.median)))
        return Judgement(np.stack([point_trust, median_trust]), float(squared), float(absolute))

    def left_over(self) -> Float[np.ndarray, "horizon column"]:
        """Root mean square of what the linear road leaves, by step and column; 1 where it leaves nothing."""
        left = self.came - self.point
        seen = ~np.isnan(left)
        spread = np.sqrt(np.square(np.where(seen, left, 0.0)).sum(axis=0) / seen.sum(axis=0).clip(1))
        return np.where(spread > 0, spread, 1.0).astype(np.float32)


def validation_of(forecaster: Forecaster, panel: Sequence[ScaledSeries]) -> Validation:
    """Prepare the validation rows of a panel for a forecaster whose members add nothing yet; sets its `share`.

    Raises:
        DataError: no value is observed in them.
    """
    horizon = forecaster.architecture.horizon
    jobs = tuple(Job(one, at) for one in panel if len(at := origins(one.valid, horizon)))
    came = np.concatenate([targets(job.one, job.at, horizon) for job in jobs])
    if np.isnan(came).all():
        message = "no value is observed in the validation part; choose another split, or fill the source"
        raise DataError(message)
    forecaster.share[1] = 0.0
    road, last = _told(forecaster, jobs)
    forecaster.share[1] = torch.from_numpy(_least_absolute(road - last, came - last, otherwise=1.0))
    return Validation(jobs, came, *_told(forecaster, jobs))


def _told(forecaster: Forecaster, jobs: Sequence[Job]) -> tuple[Origins, Origins]:
    training = forecaster.training
    told = stream(forecaster.eval(), jobs)
    forecaster.train(training)
    point, median = (np.concatenate(parts, dtype=np.float64) for parts in zip(*told, strict=True))
    return point, median


def _least_squares(correction: Origins, left: Origins) -> Float[np.ndarray, "horizon column"]:
    """Return the factors, within 0 and 1, that leave the least squared error, as far as that is beyond chance."""
    seen = np.where(np.isnan(left), 0.0, correction)
    product, power = np.nansum(seen * left, axis=0), np.square(seen).sum(axis=0)
    factor = np.clip(product / np.where(power > 0, power, 1.0), 0.0, 1.0)
    gain = np.square(left) - np.square(left - factor * correction)
    return np.asarray(factor * _beyond_chance(gain), dtype=np.float32)


def _least_absolute(correction: Origins, left: Origins, otherwise: float = 0.0) -> Float[np.ndarray, "horizon column"]:
    """Return the factors, of a grid over 0 to 1, that leave the least absolute error.

    As far as the gain over the factor `otherwise` may be chance, they stay near that one.
    """
    errors = np.stack([np.nansum(np.abs(left - factor * correction), axis=0) for factor in FACTORS])
    factor = FACTORS[errors.argmin(axis=0)]
    gain = np.abs(left - otherwise * correction) - np.abs(left - factor * correction)
    return np.asarray(otherwise + (factor - otherwise) * _beyond_chance(gain), dtype=np.float32)


def _beyond_chance(gain: Origins) -> Float[np.ndarray, "horizon column"]:
    """Return how much of a mean gain over origins to believe: 1 - 1/t^2 of its t statistic, 0 where t^2 is below 1.

    That is the positive-part rule of James and Stein (1961). Errors h steps ahead overlap at neighbouring origins, so
    that about one in h is new: their t^2 is divided by h.
    """
    seen = ~np.isnan(gain)
    count = seen.sum(axis=0).clip(2)
    mean = np.where(seen, gain, 0.0).sum(axis=0) / count
    variance = np.square(np.where(seen, gain - mean, 0.0)).sum(axis=0) / (count - 1) / count
    overlap = np.arange(1, len(mean) + 1)[:, None]
    surplus = np.square(mean) - variance * overlap
    believed = np.where((mean > 0) & (surplus > 0), surplus / np.where(mean != 0, np.square(mean), 1.0), 0.0)
    return np.asarray(believed)

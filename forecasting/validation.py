"""The streamed validation error, and how far each correction of the network can be trusted.

The network corrects the linear road. On validation rows each correction (point and median, by step and column) gets a
factor between 0 and 1 that makes the error least: 0 is the linear road alone. So a column with nothing left to learn
stays as good as the linear road, and cannot be harmed by what is learnt for the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

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
    """The validation origins, what came after them, and what the linear road says of them."""

    jobs: tuple[Job, ...]
    came: Origins
    base: Origins

    def judge(self, forecaster: Forecaster) -> Judgement:
        """Measure a forecaster, with dropout off."""
        point, median = _told(forecaster, self.jobs)
        left = self.came - self.base
        point_trust = _least_squares(point - self.base, left)
        median_trust = _least_absolute(median - self.base, left)
        squared = np.nanmean(np.square(left - point_trust * (point - self.base)))
        absolute = np.nanmean(np.abs(left - median_trust * (median - self.base)))
        return Judgement(np.stack([point_trust, median_trust]), float(squared), float(absolute))

    def left_over(self) -> Float[np.ndarray, "horizon column"]:
        """Root mean square of what the linear road leaves, by step and column; 1 where it leaves nothing."""
        left = self.came - self.base
        seen = ~np.isnan(left)
        spread = np.sqrt(np.square(np.where(seen, left, 0.0)).sum(axis=0) / seen.sum(axis=0).clip(1))
        return np.where(spread > 0, spread, 1.0).astype(np.float32)


def validation_of(forecaster: Forecaster, panel: Sequence[ScaledSeries]) -> Validation:
    """Prepare the validation rows of a panel; the forecaster is one whose members add nothing yet."""
    horizon = forecaster.architecture.horizon
    jobs = tuple(Job(one, at) for one in panel if len(at := origins(one.valid, horizon)))
    came = np.concatenate([targets(job.one, job.at, horizon) for job in jobs])
    return Validation(jobs, came, _told(forecaster, jobs)[0])


def _told(forecaster: Forecaster, jobs: Sequence[Job]) -> tuple[Origins, Origins]:
    training = forecaster.training
    told = stream(forecaster.eval(), jobs)
    forecaster.train(training)
    return np.concatenate([one.point for one in told]), np.concatenate([one.median for one in told])


def _least_squares(correction: Origins, left: Origins) -> Float[np.ndarray, "horizon column"]:
    """Return the factors, within 0 and 1, that leave the least squared error."""
    seen = np.where(np.isnan(left), 0.0, correction)
    product, power = np.nansum(seen * left, axis=0), np.square(seen).sum(axis=0)
    return np.clip(product / np.where(power > 0, power, 1.0), 0.0, 1.0).astype(np.float32)


def _least_absolute(correction: Origins, left: Origins) -> Float[np.ndarray, "horizon column"]:
    """Return the factors, of a grid over 0 to 1, that leave the least absolute error."""
    errors = np.stack([np.nansum(np.abs(left - factor * correction), axis=0) for factor in FACTORS])
    return FACTORS[errors.argmin(axis=0)].astype(np.float32)

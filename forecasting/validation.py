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

from forecasting.conformal import Calibration, Outcome, calibrate
from forecasting.errors import DataError
from forecasting.network import Forecaster
from forecasting.scaled import ScaledSeries, origins, targets
from forecasting.streaming import Job, stream

FACTORS = np.linspace(0.0, 1.0, 11)
SMALLEST_STRETCH = 1e-5
MOST_CELLS = 500_000
"""Cells that are judged; a factor for a step and column needs no more, and the memory of an epoch is bounded."""

Origins = Float[np.ndarray, "origins horizon target"]


class Judgement(NamedTuple):
    """What a forecaster is worth on validation cells, with its corrections scaled by `trust`.

    Errors are in z units over observed cells; `noise` is the logarithm of how much larger the scale must be than the
    mean size of the linear road's errors, 0 or less: the geometric mean over steps and columns.
    """

    trust: Float[np.ndarray, "3 horizon target"]
    mse_z: float
    mae_z: float
    noise: float


NOTHING = Judgement(np.zeros((3, 1, 1), np.float32), np.nan, np.nan, np.nan)


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
        """Measure a forecaster, with dropout off; the errors are NaN where it does not say finite numbers."""
        point, median, scale = _told(forecaster, self.jobs)
        if not all(np.isfinite(part).all() for part in (point, median, scale)):
            return NOTHING
        point_left, median_left = self.came - self.point, self.came - self.median
        point_trust = _least_squares(point - self.point, point_left)
        median_trust = _least_absolute(median - self.median, median_left)
        squared = np.nanmean(np.square(point_left - point_trust * (point - self.point)))
        absolute = np.abs(median_left - median_trust * (median - self.median))
        scale_trust, noise = _most_likely(np.log(scale) - forecaster.noise.cpu().numpy(), absolute)
        trust = np.stack([point_trust, median_trust, scale_trust])
        return Judgement(trust, float(squared), float(np.nanmean(absolute)), noise)

    def calibrated(self, forecaster: Forecaster, levels: Sequence[int]) -> Calibration:
        """Calibrate the quantiles of a forecaster on these rows."""
        told, lengths = stream(forecaster, self.jobs), np.cumsum([len(job.at) for job in self.jobs])
        came = np.split(self.came, lengths[:-1])
        parts = zip(told, came, self.jobs, strict=True)
        return calibrate([Outcome(*said, z, job.one.target_units) for said, z, job in parts], levels)

    def left_over(self) -> Float[np.ndarray, "horizon target"]:
        """Root mean square of what the linear road leaves, by step and column; 1 where it leaves nothing."""
        return _positive(np.sqrt(_mean(np.square(self.came - self.point))))

    def size(self) -> Float[np.ndarray, "horizon target"]:
        """Mean absolute error of the median before a network is asked, by step and column; 1 where there is none."""
        return _positive(_mean(np.abs(self.came - self.median)))


def _mean(errors: Origins) -> Float[np.ndarray, "horizon target"]:
    seen = ~np.isnan(errors)
    return np.asarray(np.where(seen, errors, 0.0).sum(axis=0) / seen.sum(axis=0).clip(1))


def _positive(spread: np.ndarray) -> Float[np.ndarray, "horizon target"]:
    return np.where(spread > 0, spread, 1.0).astype(np.float32)


def validation_of(forecaster: Forecaster, panel: Sequence[ScaledSeries]) -> Validation:
    """Prepare the validation rows of a panel for a forecaster whose members add nothing yet.

    Sets its `share`, and with what its linear road leaves its `spread` and `noise`.

    Raises:
        DataError: no value is observed in them.
    """
    jobs = validation_jobs(panel, forecaster.architecture.horizon)
    came = np.concatenate([targets(job.one, job.at, forecaster.architecture.horizon) for job in jobs])
    if np.isnan(came).all():
        message = "no value is observed in the validation part; choose another split, or fill the source"
        raise DataError(message)
    forecaster.share[1] = 0.0
    road, last, _ = _told(forecaster, jobs)
    forecaster.share[1] = torch.from_numpy(_least_absolute(road - last, came - last, otherwise=1.0))
    point, median, _ = _told(forecaster, jobs)
    validation = Validation(jobs, came, point, median)
    forecaster.spread[:2] = torch.from_numpy(validation.left_over())
    forecaster.noise.copy_(torch.from_numpy(np.log(validation.size())))
    return validation


def validation_jobs(panel: Sequence[ScaledSeries], horizon: int) -> tuple[Job, ...]:
    """Return the validation origins of each series that has any: the newest, where there are more than are needed."""
    parts = [(one, at) for one in panel if len(at := origins(one.valid, horizon))]
    most = MOST_CELLS // (horizon * len(panel[0].columns.targets) * max(len(parts), 1))
    return tuple(Job(one, at[-max(most, 1) :]) for one, at in parts)


def _told(forecaster: Forecaster, jobs: Sequence[Job]) -> tuple[Origins, Origins, Origins]:
    training = forecaster.training
    told = stream(forecaster.eval(), jobs)
    forecaster.train(training)
    point, median, scale = (np.concatenate(parts, dtype=np.float64) for parts in zip(*told, strict=True))
    return point, median, scale


def _most_likely(stretch: Origins, size: Origins) -> tuple[Float[np.ndarray, "horizon target"], float]:
    """Return the factors, of a grid over 0 to 1, on the logarithm of the scale that make the errors most likely.

    `size` holds absolute errors, taken as Laplace distributed: log scale + size / scale is the least, where the scale
    itself is free but for the stretch (it is calibrated later). The second figure is the mean of the gain.
    """
    seen = ~np.isnan(size)
    stretch = np.where(np.abs(stretch) > SMALLEST_STRETCH, stretch, 0.0)  # rounding is no gain
    stretch = np.where(seen, stretch, np.nan)
    at = [_unlikeliness(factor * stretch, size) for factor in FACTORS]
    best = np.argmin([_mean(one) for one in at], axis=0)
    gain = at[0] - np.take_along_axis(np.stack(at), best[None, None], axis=0)[0]
    factor = FACTORS[best] * _beyond_chance(gain)
    made = _mean(_unlikeliness(factor * stretch, size)) - _mean(at[0])
    return factor.astype(np.float32), float(made.mean())


def _unlikeliness(stretch: Origins, size: Origins) -> Origins:
    """Return the negative log likelihood of each error under the best scale with this stretch."""
    relative = size * np.exp(-stretch)
    scale = _mean(relative)
    scale = np.where(scale > 0, scale, 1.0)
    return np.asarray(np.log(scale) + stretch + relative / scale)


def _least_squares(correction: Origins, left: Origins) -> Float[np.ndarray, "horizon target"]:
    """Return the factors, within 0 and 1, that leave the least squared error, as far as that is beyond chance."""
    seen = np.where(np.isnan(left), 0.0, correction)
    product, power = np.nansum(seen * left, axis=0), np.square(seen).sum(axis=0)
    factor = np.clip(product / np.where(power > 0, power, 1.0), 0.0, 1.0)
    gain = np.square(left) - np.square(left - factor * correction)
    return np.asarray(factor * _beyond_chance(gain), dtype=np.float32)


def _least_absolute(correction: Origins, left: Origins, otherwise: float = 0.0) -> Float[np.ndarray, "horizon target"]:
    """Return the factors, of a grid over 0 to 1, that leave the least absolute error.

    As far as the gain over the factor `otherwise` may be chance, they stay near that one.
    """
    errors = np.stack([np.nansum(np.abs(left - factor * correction), axis=0) for factor in FACTORS])
    factor = FACTORS[errors.argmin(axis=0)]
    gain = np.abs(left - otherwise * correction) - np.abs(left - factor * correction)
    return np.asarray(otherwise + (factor - otherwise) * _beyond_chance(gain), dtype=np.float32)


def _beyond_chance(gain: Origins) -> Float[np.ndarray, "horizon target"]:
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

"""Rolling-origin forecasts: the forecaster is carried over history and says at every origin what comes next.

This is the stateful evaluation of training, backtests and promotion: a row costs one cell step, whatever the horizon.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from forecasting.network import Forecast, Forecaster, Rows
from forecasting.scaled import ScaledSeries, static_of

WARM_UP = 1_024
CHUNK = 512
MOST_OUTPUTS = 10_000_000
"""Numbers that a member says of a chunk, at most: 40 MB."""
TOGETHER = 256


class Job(NamedTuple):
    """Forecast one series from each row of `at`, which may be empty."""

    one: ScaledSeries
    at: range
    warm_up: int = WARM_UP

    @property
    def first(self) -> int:
        """The row the carried state starts from: `warm_up` rows before the first origin, or the first there is."""
        return max(self.at.start - self.warm_up, 0)


class Told(NamedTuple):
    """Forecasts of one series by origin, in z units; see `network.Forecast`."""

    point: Float[np.ndarray, "origins horizon targets"]
    median: Float[np.ndarray, "origins horizon targets"]
    scale: Float[np.ndarray, "origins horizon targets"]


def stream(forecaster: Forecaster, jobs: Sequence[Job]) -> list[Told]:
    """Forecast every job, many series side by side; results are in the order of the jobs."""
    lags = forecaster.architecture.lags
    jobs = [job._replace(warm_up=max(job.warm_up, lags)) for job in jobs]
    order = sorted(range(len(jobs)), key=lambda i: jobs[i].at.stop - jobs[i].first)
    told: dict[int, Told] = {}
    for low in range(0, len(order), TOGETHER):
        group = order[low : low + TOGETHER]
        told.update(zip(group, _together(forecaster, [jobs[i] for i in group]), strict=True))
    return [told[i] for i in range(len(jobs))]


@torch.no_grad()
def _together(forecaster: Forecaster, jobs: list[Job]) -> list[Told]:
    """Unroll a batch of series of different lengths from their own first rows; what lies behind an end is not kept."""
    device = forecaster.spread.device
    state = forecaster.initial_state(len(jobs), static_of([job.one for job in jobs], device))
    empty = torch.zeros(0, *forecaster.noise.shape)
    kept = [[Forecast(empty, empty, empty)] for _ in jobs]
    size = int(np.clip(MOST_OUTPUTS // (len(jobs) * forecaster.spread.numel()), 1, CHUNK))
    for low, rows in _chunks(jobs, size, forecaster.architecture.horizon, device):
        forecast, state = forecaster.unroll(rows, state)
        made = Forecast(*(part.cpu() for part in forecast))
        for i, job in enumerate(jobs):
            here = _overlap(job, low, rows.values.shape[1])
            kept[i].append(Forecast(*(part[i, here] for part in made)))
    return [Told(*(torch.cat(parts).numpy() for parts in zip(*each, strict=True))) for each in kept]


def _chunks(jobs: list[Job], chunk: int, horizon: int, device: torch.device) -> Iterator[tuple[int, Rows]]:
    longest = max(job.at.stop - job.first for job in jobs)
    for low in range(0, longest, chunk):
        yield low, rows_of(jobs, low, min(chunk, longest - low), horizon, device)


def rows_of(jobs: Sequence[Job], low: int, size: int, horizon: int, device: torch.device) -> Rows:
    """Return `size` rows of each job, from `low` behind its first; missing where they lie behind its last origin."""
    values = [_padded(job.one.z(*_span(job, low, size)), size, np.nan) for job in jobs]
    features = [_padded(job.one.features(*_span(job, low, size)), size, 0.0) for job in jobs]
    known = [_known(job, low, size, horizon) for job in jobs]
    return Rows(*(torch.from_numpy(np.stack(arrays)).to(device) for arrays in (values, features, known)))


def _known(job: Job, low: int, size: int, horizon: int) -> np.ndarray:
    """Known covariates of a chunk and of the steps its last row forecasts."""
    first = job.first + low
    return job.one.known(first, first + size + horizon)


def _span(job: Job, low: int, size: int) -> tuple[int, int]:
    return min(job.first + low, job.at.stop), min(job.first + low + size, job.at.stop)


def _padded(rows: np.ndarray, size: int, value: float) -> np.ndarray:
    if len(rows) == size:
        return rows
    return np.pad(rows, ((0, size - len(rows)), (0, 0)), constant_values=value)


def _overlap(job: Job, low: int, size: int) -> slice:
    """Positions in the chunk that starts `low` rows behind the job's first row at which the job wants a forecast."""
    start, stop = (row - job.first - low for row in (job.at.start, job.at.stop))
    return slice(max(start, 0), max(min(stop, size), 0))

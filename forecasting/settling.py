"""Measures how long a forecaster remembers, and what being carried does to its errors, on validation rows.

The forecaster is carried over history, as a stream is, and asked at origins spread over the validation rows of some
series. From the same origins it is asked again with fresh states: from windows, as a client of the forecast route would
send them, and from histories of 1, 2, 3, 4, 6, 8 ... rows, of a window, and of what the linear road remembers, until
more of them changes nothing. What is done is bounded, however long or many the series are.

That keep gates near 1 tell little of how long the forecast remembers, and that a truncated history does tell, was
measured before this was written; the figures are in `docs/forecaster.md`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from forecasting.filling import fill_alone
from forecasting.growing import growth_of
from forecasting.members import Architecture
from forecasting.network import Forecaster
from forecasting.scaled import ScaledSeries, evenly, origins, static_of, targets
from forecasting.steadiness import LONGEST, SETTLED, Streaming
from forecasting.streaming import Job, rows_of

LENGTHS = (1, 2, 3, *(share * 2**power for power in range(1, 9) for share in (2, 3)), LONGEST)
MOST_SERIES = 16
MOST_ORIGINS, MOST_CELLS = 1_024, 2_000_000
CURVE_ORIGINS = 96
MOST_ROWS, MOST_HISTORY = 65_536, 16_384
MOST_NUMBERS = 4_000_000
"""Numbers of one kind, such as gates, that a member holds at once: 16 MB."""
ROUNDING = 1e-9
"""A squared error, in z units, that rounding alone may make: two models that are always right are equally good."""
WORST = 1e6
"""The ratio of a carried forecaster that says what is no number, or errs even more than this."""

Said = Float[np.ndarray, "places horizon targets"]


class _Places(NamedTuple):
    """Origins: the job of each and its row, how many rows were carried up to it, what was said and what came."""

    job: Int[np.ndarray, " places"]
    row: Int[np.ndarray, " places"]
    carried: Int[np.ndarray, " places"]
    said: Said
    came: Said

    def of(self, which: np.ndarray) -> _Places:
        return _Places(*(part[which] for part in self))


def measure_streaming(forecaster: Forecaster, panel: Sequence[ScaledSeries], window: int) -> Streaming:
    """Carry a forecaster in evaluation mode over history, and hold it against fresh windows of `window` rows.

    The errors are those of origins with more than a window of rows behind them. A length of history is tried where the
    carried one is at least twice as long, for half of the origins or more, and on those.
    """
    horizon = forecaster.architecture.horizon
    jobs = _jobs(panel, horizon)
    if not jobs:
        return Streaming(window=window, origins=0, carried=0)
    places = _carried(forecaster, jobs, window)
    compared = places.of(places.carried > window)
    curve = _curve(forecaster, jobs, places, window)
    alone = compared._replace(said=_fresh(forecaster, jobs, compared, 1))
    return Streaming(
        window=window,
        origins=len(compared.row),
        carried=int(places.carried.max(initial=0)),
        ratio=_ratio(compared, _fresh(forecaster, jobs, compared, window)),
        settling=_settling(curve),
        curve=tuple((rows, round(error, 6)) for rows, error in curve),
        growth=growth_of(forecaster, jobs[0]),
        alone=_ratio(alone, compared.said),
    )


def _jobs(panel: Sequence[ScaledSeries], horizon: int) -> list[Job]:
    """Choose series with validation origins, evenly, and the newest rows of each; half of these only bring up state."""
    parts = evenly([(one, at) for one in panel if len(at := origins(one.valid, horizon))], MOST_SERIES)
    most = min(MOST_HISTORY, MOST_ROWS // max(len(parts), 1))
    jobs = []
    for one, at in parts:
        first = max(at.stop - most, 0)
        start = max(at.start, first + most // 2) if first else at.start
        jobs.append(Job(one, range(start, at.stop), warm_up=start - first))
    return jobs


def _stride(jobs: Sequence[Job], window: int, cells: int) -> int:
    """Return how many rows apart origins are: not too many of them, and not always at the same hour of a season."""
    most = min(MOST_ORIGINS, MOST_ROWS // window, MOST_CELLS // cells) // len(jobs)
    stride = math.ceil(max(len(job.at) for job in jobs) / max(most, 1))
    while math.gcd(stride, jobs[0].one.calendar.season) > 1:
        stride += 1
    return stride


def _carried(forecaster: Forecaster, jobs: Sequence[Job], window: int) -> _Places:
    """Carry the forecaster over each job from its first row, and keep what it says at origins a stride apart."""
    horizon = forecaster.architecture.horizon
    stride = _stride(jobs, window, forecaster.noise.numel())
    told = _told(forecaster, jobs, stride)
    behind = stride * (1 + np.arange(told.shape[1]))
    rows = np.array([job.first for job in jobs])[:, None] + behind - 1
    wanted = np.array([[row in job.at for row in line] for line, job in zip(rows.tolist(), jobs, strict=True)])
    of, step = np.nonzero(wanted)
    came = [
        targets(job.one, job.at, horizon)[line[asked] - job.at.start]
        for job, line, asked in zip(jobs, rows, wanted, strict=True)
    ]
    return _Places(of, rows[of, step], behind[step], told[of, step], np.concatenate(came))


def _fresh(forecaster: Forecaster, jobs: Sequence[Job], places: _Places, rows: int) -> Said:
    """Forecast from so many rows before each origin alone."""
    if not len(places.row):
        return places.said
    ends = zip(places.job.tolist(), places.row.tolist(), strict=True)
    alone = [Job(jobs[job].one, range(row, row + 1), warm_up=rows - 1) for job, row in ends]
    return _told(forecaster, alone, rows)[:, 0]


@torch.no_grad()
def _told(forecaster: Forecaster, jobs: Sequence[Job], stride: int) -> Float[np.ndarray, "jobs steps horizon targets"]:
    """Return the point behind every `stride`-th row of each job; before its first, nothing was seen."""
    device, horizon = forecaster.spread.device, forecaster.architecture.horizon
    state = forecaster.initial_state(len(jobs), static_of([job.one for job in jobs], device))
    longest = max(job.at.stop - job.first for job in jobs)
    said = []
    for low, size, positions in _chunks(longest, stride, _rows_at_once(forecaster.architecture, len(jobs), stride)):
        rows = rows_of(jobs, low, size, horizon, device)
        members, state = forecaster.unroll_members(rows, state, positions or range(size - 1, size))
        if positions:
            said.append(torch.stack([member[:, :, 0] for member in members]).mean(dim=0).cpu())
    return np.asarray(torch.cat(said, dim=1).numpy()) if said else np.zeros((len(jobs), 0, *forecaster.noise.shape))


def _chunks(longest: int, stride: int, chunk: int) -> Iterator[tuple[int, int, range]]:
    """Yield first row, size and positions of chunks: the positions are every `stride`-th row of all."""
    for low in range(0, longest, chunk):
        size = min(chunk, longest - low)
        yield low, size, range((-low - 1) % stride, size, stride)


def _rows_at_once(a: Architecture, batch: int, stride: int) -> int:
    """Return how many rows may be unrolled at once: four gates a unit, and what the heads say every `stride` rows."""
    numbers = a.folds * 4 * a.hidden + 3 * a.horizon * a.targets // stride
    return max(MOST_NUMBERS // (batch * numbers), 1)


def _ratio(places: _Places, fresh: Said) -> float | None:
    """Return the error of the carried forecaster over that of fresh windows; None where no cell was observed."""
    if np.isnan(places.came).all():
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        carried, anew = (np.square(said.astype(np.float64) - places.came) for said in (places.said, fresh))
        seen = ~np.isnan(places.came)
        ratio = (carried[seen].mean() + ROUNDING) / (anew[seen].mean() + ROUNDING)
    return round(float(min(ratio, WORST)), 6) if np.isfinite(ratio) else WORST


def _curve(forecaster: Forecaster, jobs: Sequence[Job], places: _Places, window: int) -> list[tuple[int, float]]:
    """Try longer and longer histories, until twice the length that was enough is enough, too."""
    most = np.median(places.carried) // 2 if len(places.row) else 0
    tried = {*LENGTHS, window, forecaster.architecture.lags + 1}
    lengths = [rows for rows in sorted(tried) if rows <= min(most, LONGEST)]
    if not lengths:
        return []
    places = places.of(np.flatnonzero(places.carried >= 2 * lengths[-1]))
    places = places.of(np.array(evenly(range(len(places.row)), CURVE_ORIGINS)))
    moved = _root_mean_square(places.said - _last_seen(jobs, places)[:, None])
    curve: list[tuple[int, float]] = []
    for rows in lengths:
        away = _root_mean_square(_fresh(forecaster, jobs, places, rows) - places.said)
        curve.append((rows, min(away / max(moved, math.sqrt(ROUNDING)), WORST)))
        enough = _settling(curve)
        if enough and rows >= 2 * enough:
            break
    return curve


def _settling(curve: Sequence[tuple[int, float]]) -> int | None:
    settled = None
    for rows, error in reversed(curve):
        if not error <= SETTLED:
            break
        settled = rows
    return settled


def _root_mean_square(difference: np.ndarray) -> float:
    """Return it in double precision, `WORST` where a forecast is no number."""
    found = math.sqrt(np.square(difference.astype(np.float64)).mean())
    return found if math.isfinite(found) else WORST


def _last_seen(jobs: Sequence[Job], places: _Places) -> Float[np.ndarray, "places targets"]:
    """Return the last target values that the carried forecaster had seen at each place."""
    found = np.zeros((len(places.row), places.said.shape[-1]), np.float32)
    for number, job in enumerate(jobs):
        here = places.job == number
        level = fill_alone(torch.from_numpy(job.one.target_z(job.first, job.at.stop))).level[0]
        found[here] = level.numpy()[places.row[here] - job.first]
    return found

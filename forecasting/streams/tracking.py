"""Tracking the forecasts of streams: scores, intervals that keep their promise, drift. (tracker, row) -> tracker.

A tracker is a flat vector of 64-bit floats whose layout `Tracking.shape` names; its size does not grow. It belongs to a
stream and survives a change of model: a residual r = (actual - median) / scale, in the units that are learnt, has no
unit, and what is tracked is relative to the calibration of whichever bundle is served. A missing value changes nothing.

Intervals. An end of a level that may miss a lies, of step and column, at

    median + f (m + o w) scale        with m its calibrated multiplier, w the width of the calibrated interval

Factor f and offset o (outward) start at 1 and 0, the calibrated interval, and move with every value that comes:

    f <- f (1 + k (min(|r| / (f E|r|), c) - 1))         o <- o + e ((missed here - a / 2) + b (missed there - a / 2))

f follows the size of residuals within some 25 rows: an exponentially weighted mean, whose step is bounded (one absurd
value moves f by c k at most). o is the quantile tracking of Angelopoulos, Candes and Tibshirani (2023, conformal PID),
of the residual in factors; after Gibbs and Candes (2021): whatever happens, the share of misses over N rows is off by
at most the way that o goes over e N, so feedback brings coverage where it should be. Misses on the other side
count by b, so that the coverage of the interval is held closer than that of each end. Step h has its own f and o, which
move h^0.75 slower, since its residuals overlap; what came is compared with the ends as they are now, so that no delay
enters the loop. f stays within [1/64, 64], an end between a tenth of its calibrated distance and 4 w more, a wider
level is never inside a narrower one, and the median never outside. Figures: benchmarks/results/intervals_*.md.

Scores are of the next row, in the units of the data, against what was issued; the naive forecast is the value before.

Drift is looked for in each column by itself, with the cumulative sums of Page (1954) and Hinkley (1971), which start
again at 0 after an alarm. Errors: sum of min(|r| / E|r|, 5) - 1.5, against what calibration expects; columns that are
calm but for rare storms need a larger sum. Inputs, which needs no forecast: sum of +-(|z - usual level| - usual
distance) - 0.4 (less where that distance is small), where both are exponential means of 2,000 rows (12 weeks of hours),
so that seasons are no drift. Days and weeks are averaged out by the 0.4 and by a limit of at least 80, which grows with
the long-run variance of the distance, estimated from its means over 100 rows: slowly wandering series need more. An
alarm is told for 500 rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from forecasting.conformal import Calibration
from forecasting.engines import ZForecast
from forecasting.scaling import Units
from forecasting.streams import kernel
from forecasting.streams.expecting import fixed_numbers
from forecasting.streams.scoring import Errors, Score, Scores

__all__ = ["Errors", "Score", "Scores", "Tracked", "Tracking", "drift_of"]

FORMAT = 3


class Tracked(NamedTuple):
    """What comes of a row.

    Tracker and pending are those after it; point, median and ends (by level low and high) are of the new forecast in
    the units of the data, views of `values`. `finite` is False where one of its numbers, also before bounds, is not;
    `good` counts where it is True.
    """

    tracker: Float[np.ndarray, "stream width"]
    pending: Float[np.ndarray, "stream horizon horizon target two"]
    point: Float[np.ndarray, "stream horizon target"]
    median: Float[np.ndarray, "stream horizon target"]
    ends: Float[np.ndarray, "stream ends horizon target"]
    score: Float[np.ndarray, "stream scored"]
    finite: Bool[np.ndarray, " stream"]
    values: Float[np.ndarray, "stream parts horizon target"]
    good: int

    @property
    def said(self) -> Float[np.ndarray, "stream horizon target two"]:
        """Median and scale as they were issued, in the units that are learnt; NaN behind a row that never came."""
        return self.pending[:, 0]


class Tracking:
    """What tracks the forecasts of one bundle; it is not changed by tracking.

    `shape` names the layout of a tracker of `width` numbers, `scored` is how many numbers a score has, `levels` are
    those of the intervals in percent, in the order of the ends. `drift_at` is where the drift stands in a score.
    """

    def __init__(self, calibration: Calibration | None, horizon: int, targets: int) -> None:
        """Start from what was calibrated; without a calibration there are no intervals."""
        self.levels = () if calibration is None else calibration.levels
        self._horizon, self._targets = horizon, targets
        ends = 2 * len(self.levels)
        self._parts = 2 + ends
        self._offsets = kernel.HEAD + len(self.levels) * kernel.PER_LEVEL + targets * (kernel.ISSUED + self._parts)
        self.width = self._offsets + (1 + ends) * horizon * targets
        self._each = kernel.SAID_COVERED + len(self.levels)
        self.scored = targets * self._each + 2 + ends + targets
        self.drift_at = targets * self._each + 1
        self.shape = f"{FORMAT}:{','.join(map(str, self.levels))}:{horizon}:{targets}"
        self._fixed = fixed_numbers(calibration, self.levels, horizon, targets)
        none = np.zeros((1, targets), bool)
        self._unbound = none, none.astype(np.float32), none.astype(np.float32), none

    def start(self, streams: int) -> Float[np.ndarray, "streams width"]:
        """Return trackers before any row."""
        one = np.zeros(self.width)
        by_target = one[kernel.HEAD + len(self.levels) * kernel.PER_LEVEL : self._offsets].reshape(self._targets, -1)
        by_target[:, kernel.LAST] = by_target[:, kernel.ISSUED :] = np.nan
        one[self._offsets :: self._parts - 1] = 1.0
        return np.tile(one, (streams, 1))

    def nothing(self, streams: int) -> Float[np.ndarray, "streams horizon horizon target two"]:
        """Return what is pending before any forecast."""
        return np.full((streams, self._horizon, self._horizon, self._targets, 2), np.nan, np.float32)

    def advance(  # noqa: PLR0913, PLR0917 - a row of a stream has that many sides
        self,
        tracker: Float[np.ndarray, "stream width"],
        pending: Float[np.ndarray, "stream horizon horizon target two"],
        actual: Float[np.ndarray, "stream target"],
        arrived: Bool[np.ndarray, " stream"],
        said: ZForecast,
        units: Units,
        shift: Float[np.ndarray, "horizon target"],
    ) -> Tracked:
        """Take a row of each stream, and what a network said after it; nothing that comes in is changed.

        `tracker` and `pending` are those before the row; pending[:, j] was issued j + 1 rows ago: median and scale in
        the units that are learnt. `actual` is in the units of the data, screened; `arrived` is False for a row that
        never came, after which no forecast is issued. `units` are of the targets, with or without an axis of streams,
        `shift` is what is added to a point before a logarithm is undone.
        """
        streams = len(tracker)
        values = np.empty((streams, self._parts, self._horizon, self._targets), np.float32)
        after, later = np.empty(tracker.shape), np.empty(pending.shape, np.float32)
        score, finite = np.empty((streams, self.scored), np.float32), np.empty(streams, np.bool_)
        good = kernel.advance(
            _own(tracker), _own(pending), _own(actual), arrived, *map(np.ascontiguousarray, said),
            *(_by_stream(part) for part in units[:2]),
            *(self._unbound if units.plain else map(_by_stream, units[5:9])),
            units.plain, shift, self._fixed, after, later, values, score, finite,
        )  # fmt: skip
        return Tracked(after, later, values[:, 0], values[:, 1], values[:, 2:], score, finite, values, good)

    def read(self, score: Float[np.ndarray, " scored"]) -> Score:
        """Read a score as `advance` writes it."""
        found = self.split(score[None])
        count, skills = int(found.count[0]), found.skills[0]
        return Score(
            actual=found.actual[0],
            point=found.point[0],
            median=found.median[0],
            naive=found.naive[0],
            interval=found.interval[0],
            covered=dict(zip(self.levels, found.covered[0].T, strict=True)),
            count=count,
            skill=None if np.isnan(skills).all() else float(np.nanmean(skills)),
            skills=skills,
            coverage=self._by_level(count, found.coverage[0]),
            coverage_ever=self._by_level(count, found.coverage_ever[0]),
            drift=int(found.drift[0]),
        )

    def split(self, scores: Float[np.ndarray, "stream scored"]) -> Scores:
        """Take scores as `advance` writes them apart."""
        targets, levels, last = self._targets, len(self.levels), self._targets * self._each
        by_target = scores[:, :last].reshape(len(scores), targets, self._each)
        actual, point, median, naive, interval = (by_target[:, :, place] for place in range(kernel.SAID_COVERED))
        ends = (last + 2, last + 2 + levels, last + 2 + 2 * levels)
        return Scores(
            actual,
            point,
            median,
            naive,
            interval,
            covered=by_target[:, :, kernel.SAID_COVERED :],
            count=scores[:, last],
            drift=scores[:, last + 1],
            coverage=scores[:, ends[0] : ends[1]],
            coverage_ever=scores[:, ends[1] : ends[2]],
            skills=scores[:, ends[2] :],
        )

    def current(self, tracker: Float[np.ndarray, " width"]) -> Score:
        """Read the running part of a tracker alone; nothing is said of a last forecast."""
        score = np.full(self.scored, np.nan, np.float32)
        kernel.running(_own(tracker), len(self.levels), self._targets, score)
        return self.read(score)

    def errors(self, tracker: Float[np.ndarray, "stream width"]) -> Errors:
        """Return the errors that trackers hold the sums of."""
        start = kernel.HEAD + len(self.levels) * kernel.PER_LEVEL
        by_target = tracker[:, start : self._offsets].reshape(len(tracker), self._targets, -1)
        cells = by_target[..., kernel.COUNT]
        with np.errstate(invalid="ignore"):
            means = by_target[..., kernel.MEDIAN_ERROR : kernel.INTERVAL + 1] / cells[..., None]
        mae, square, naive, naive_square, interval = np.moveaxis(means, -1, 0)
        return Errors(cells, mae, np.sqrt(square), naive, np.sqrt(naive_square), interval)

    def _by_level(self, count: int, shares: np.ndarray) -> dict[int, float] | None:
        return dict(zip(self.levels, shares.tolist(), strict=True)) if count and self.levels else None


def drift_of(tracker: Float[np.ndarray, "stream width"]) -> Int[np.ndarray, " stream"]:
    """Return the drift code of each: 0 none, 1 inputs, 2 errors, 3 both."""
    return (tracker[:, kernel.INPUTS_LEFT] > 0) + 2 * (tracker[:, kernel.ERRORS_LEFT] > 0)


def _by_stream(part: np.ndarray) -> Float[np.ndarray, "stream_or_one target"]:
    """Return a part of units with an axis of streams."""
    there = part.ndim == 2 and part.flags.c_contiguous  # noqa: PLR2004
    return part if there else np.ascontiguousarray(part.reshape(-1, part.shape[-1]))


def _own(array: np.ndarray) -> np.ndarray:
    """Return an array of the kind that the kernel is compiled for; for any other it would be compiled again."""
    flags = array.flags
    return array if flags.c_contiguous and flags.writeable else array.copy()

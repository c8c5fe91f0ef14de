"""Tracking the forecasts of streams: scores, intervals that keep their promise, drift. State in, state out.

A tracker is a flat vector of 64-bit floats, whose layout `Tracking.shape` names. It belongs to a stream and survives a
change of model: residuals r = (actual - median) / scale have no unit, and what is tracked is relative to the
calibration of whichever bundle is served.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from forecasting.conformal import JUDGED, Calibration
from forecasting.engines import ZForecast
from forecasting.scaling import Units
from forecasting.streams import kernel

FORMAT = 2

RATE, VARIATION, MOST = 0.04, 0.9, 4.0
SLOWER = 0.75
"""Intervals of step h move h to this power slower than those of the next step: its residuals share h - 1 rows."""


class Tracked(NamedTuple):
    """What comes of a row.

    Tracker and pending are those after it; point, median and ends are of the new forecast in the units of the data,
    views of one array (`values`). `finite` is False where one of its numbers, also before bounds, is not.
    """

    tracker: Float[np.ndarray, "stream tracked"]
    pending: Float[np.ndarray, "stream horizon horizon target two"]
    point: Float[np.ndarray, "stream horizon target"]
    median: Float[np.ndarray, "stream horizon target"]
    ends: Float[np.ndarray, "stream ends horizon target"]
    score: Float[np.ndarray, "stream scored"]
    finite: Bool[np.ndarray, " stream"]
    values: Float[np.ndarray, "stream parts horizon target"]


class Score(NamedTuple):
    """How the last forecast fared by target (NaN: not scored), and all of them so far.

    `actual`, `point`, `median`, `naive` (the value before) and `interval` (the interval score of the judged level) are
    in the units of the data; `covered` is 1 or 0 by level. `skill` is 1 - MAE / MAE of the value before, by target in
    `skills`. `coverage` is that of about the last 500 rows, `coverage_ever` that of all, None before anything was scored.
    """

    actual: Float[np.ndarray, " target"]
    point: Float[np.ndarray, " target"]
    median: Float[np.ndarray, " target"]
    naive: Float[np.ndarray, " target"]
    interval: Float[np.ndarray, " target"]
    covered: dict[int, Float[np.ndarray, " target"]]
    count: int
    skill: float | None
    skills: Float[np.ndarray, " target"]
    coverage: dict[int, float] | None
    coverage_ever: dict[int, float] | None
    drift: int

    @property
    def scored(self) -> Bool[np.ndarray, " target"]:
        """Which targets of the last forecast were scored."""
        return ~np.isnan(self.actual)


class Scores(NamedTuple):
    """The same of many streams, column by column; all of them are views of what `Tracking.advance` wrote."""

    actual: Float[np.ndarray, "stream target"]
    point: Float[np.ndarray, "stream target"]
    median: Float[np.ndarray, "stream target"]
    naive: Float[np.ndarray, "stream target"]
    interval: Float[np.ndarray, "stream target"]
    covered: Float[np.ndarray, "stream target level"]
    count: Float[np.ndarray, " stream"]
    drift: Float[np.ndarray, " stream"]
    coverage: Float[np.ndarray, "stream level"]
    coverage_ever: Float[np.ndarray, "stream level"]
    skills: Float[np.ndarray, "stream target"]


class Tracking:
    """What tracks the forecasts of one bundle."""

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
        self.shape = f"{FORMAT}:{','.join(map(str, self.levels))}:{horizon}:{targets}"
        self._fixed = _fixed(calibration, self.levels, horizon, targets)
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

    def advance(
        self,
        tracker: Float[np.ndarray, "stream width"],
        pending: Float[np.ndarray, "stream horizon horizon target two"],
        actual: Float[np.ndarray, "stream target"],
        arrived: Bool[np.ndarray, " stream"],
        said: ZForecast,
        units: Units,
        shift: Float[np.ndarray, "horizon target"],
    ) -> Tracked:
        """Score what is pending by what came, move the intervals, and say the new forecast with them."""
        streams = len(tracker)
        values = np.empty((streams, self._parts, self._horizon, self._targets), np.float32)
        after, later = np.empty(tracker.shape), np.empty(pending.shape, np.float32)
        score, finite = np.empty((streams, self.scored), np.float32), np.empty(streams, np.bool_)
        kernel.advance(
            _own(tracker), _own(pending), _own(actual), arrived, *map(np.ascontiguousarray, said),
            *(_by_stream(part) for part in units[:2]),
            *(self._unbound if units.plain else map(_by_stream, units[5:9])),
            units.plain, shift, self._fixed, after, later, values, score, finite,
        )  # fmt: skip
        return Tracked(after, later, values[:, 0], values[:, 1], values[:, 2:], score, finite, values)

    def read(self, score: Float[np.ndarray, " scored"]) -> Score:
        """Read a score as `advance` writes it."""
        found = Scores._make(part[0] for part in self.split(score[None]))
        count, skills = int(found.count), found.skills
        return Score(
            *found[: kernel.SAID_COVERED],
            covered=dict(zip(self.levels, found.covered.T, strict=True)),
            count=count,
            skill=None if np.isnan(skills).all() else float(np.nanmean(skills)),
            skills=skills,
            coverage=self._by_level(count, found.coverage),
            coverage_ever=self._by_level(count, found.coverage_ever),
            drift=int(found.drift),
        )

    def split(self, scores: Float[np.ndarray, "stream scored"]) -> Scores:
        """Take scores as `advance` writes them apart."""
        targets, levels, last = self._targets, len(self.levels), self._targets * self._each
        by_target = scores[:, :last].reshape(len(scores), targets, self._each)
        ends = (last + 2, last + 2 + levels, last + 2 + 2 * levels)
        return Scores(
            *(by_target[:, :, place] for place in range(kernel.SAID_COVERED)),
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

    def _by_level(self, count: int, shares: np.ndarray) -> dict[int, float] | None:
        return dict(zip(self.levels, shares.tolist(), strict=True)) if count and self.levels else None


def drift_of(tracker: Float[np.ndarray, "stream width"]) -> Int[np.ndarray, " stream"]:
    """Return the drift code of each: 0 none, 1 inputs, 2 errors, 3 both."""
    return (tracker[:, kernel.INPUTS_LEFT] > 0) + 2 * (tracker[:, kernel.ERRORS_LEFT] > 0)


def _by_stream(part: np.ndarray) -> Float[np.ndarray, "stream_or_one target"]:
    """Return a part of units with an axis of streams."""
    return np.ascontiguousarray(part.reshape(-1, part.shape[-1]))


def _own(array: np.ndarray) -> np.ndarray:
    """Return an array of the kind that the kernel is compiled for; for any other it would be compiled again."""
    flags = array.flags
    return array if flags.c_contiguous and flags.writeable else array.copy()


def _fixed(calibration: Calibration | None, levels: tuple[int, ...], horizon: int, targets: int) -> np.ndarray:
    """Return what the kernel takes of a calibration, flat, see there."""
    rates = np.arange(1, horizon + 1) ** -SLOWER
    if calibration is None:
        return np.concatenate([np.ones(3 * horizon * targets), rates, np.zeros(1)])
    judged = levels.index(JUDGED) if JUDGED in levels else 0
    cells = np.concatenate([_expected(calibration), calibration.ends(levels)]).reshape(3 + 2 * len(levels), -1)
    return np.concatenate([cells.T.ravel(), [1 - level / 100 for level in levels], rates, [judged]])


def _expected(calibration: Calibration) -> Float[np.ndarray, "three horizon target"]:
    """Return the mean of |r| that its quantiles tell, how quickly a factor follows it, and the most that moves it.

    Quantiles are linear between those calibrated, and beyond the last one a quarter farther on average. What is calm
    but for rare storms (a large coefficient of variation) is followed slowly, by steps that may be large.
    """
    size = np.maximum(np.abs(calibration.factors.astype(np.float64)), 1e-3)
    p = np.array(calibration.probabilities)
    step, low, high = np.diff(p)[:, None, None], size[:-1], size[1:]
    mean = (step * (low + high) / 2).sum(axis=0) + 1.25 * (p[0] * size[0] + (1 - p[-1]) * size[-1])
    square = (step * (low**2 + low * high + high**2) / 3).sum(axis=0)
    square += 1.625 * (p[0] * size[0] ** 2 + (1 - p[-1]) * size[-1] ** 2)
    spread = square / mean**2
    return np.stack([mean, RATE * np.minimum(1, np.sqrt(VARIATION / (spread - 1))), MOST * np.sqrt(spread)])

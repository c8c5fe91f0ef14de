"""Streams of one known forecaster to track, and what tracking does written down once more, a number at a time."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from forecasting.conformal import Calibration, Outcome, calibrate
from forecasting.engines import ZForecast
from forecasting.scaling import Units
from forecasting.streams.expecting import expected
from forecasting.streams.tracking import Tracking, drift_of
from tests.forecasting.panels import own_units

LEVELS = (80, 90, 95)


class Played(NamedTuple):
    """What was tracked of streams, a row each: [stream, row, ...]; what is said of row i is at i - 1."""

    covered: np.ndarray
    ends: np.ndarray
    drift: np.ndarray
    last: Any


def calibrated(residuals: np.ndarray) -> Calibration:
    """Calibrate on residuals of (origin, step, target)."""
    came = residuals.astype(np.float32)
    return calibrate(
        [Outcome(np.zeros_like(came), np.zeros_like(came), np.ones_like(came), came, own_units(came.shape[2]))], LEVELS
    )


def play(calibration: Calibration, rows: np.ndarray) -> Played:
    """Track streams whose every forecast is 0 with scale 1; `rows` are (stream, row, target), the horizon is 1."""
    streams, count, targets = rows.shape
    tracking, units = Tracking(calibration, 1, targets), own_units(targets)
    tracker, pending = tracking.start(streams), tracking.nothing(streams)
    zero, came = np.zeros((streams, 1, targets), np.float32), np.ones(streams, bool)
    covered = np.empty((streams, count, targets, len(LEVELS)), np.float32)
    ends = np.empty((streams, count, 2 * len(LEVELS), targets), np.float32)
    drift = np.empty((streams, count), int)
    actual = rows.astype(np.float32)
    tracked = None
    for i in range(count):
        tracked = tracking.advance(
            tracker, pending, actual[:, i], came, ZForecast(zero, zero, zero + 1), units, calibration.shift
        )
        tracker, pending = tracked.tracker, tracked.pending
        covered[:, i] = tracking.split(tracked.score).covered
        ends[:, i], drift[:, i] = tracked.ends[:, :, 0], drift_of(tracker)
    return Played(covered, ends, drift, tracked)


class Slow:
    """One stream tracked as the docstrings say, with names instead of places."""

    def __init__(self, calibration: Calibration, horizon: int, targets: int) -> None:
        self.levels, self.horizon, self.targets = calibration.levels, horizon, targets
        self.multipliers = calibration.ends(self.levels).astype(np.float64)
        self.mean, self.rate, self.most = expected(calibration)
        self.shift = calibration.shift
        self.factor, self.offset = np.ones((horizon, targets)), np.zeros(self.multipliers.shape)
        self.pending: list[list[tuple[float, float]] | None] = []
        self.issued: np.ndarray | None = None
        self.last = np.full(targets, np.nan)
        self.sums = np.zeros((3, targets))  # cells, absolute errors, those of the value before
        self.held: list[np.ndarray] = []
        self.worse = np.zeros(targets)
        self.alarms = [0, 0]

    def take(self, actual: np.ndarray, arrived: bool, said: ZForecast, units: Units) -> np.ndarray:
        """Return point, median and ends of the new forecast; `said` is of (step, target)."""
        if arrived:
            learned = np.where(units.log, np.log1p(np.where(units.log, actual, 0)), actual).astype(np.float64)
            self._score(actual.astype(np.float64))
            self._watch(learned)
            for h, forecast in enumerate(self.pending[: self.horizon]):
                if forecast is not None:
                    self._adapt(
                        h, [self._residual(forecast[h * self.targets + c], learned[c]) for c in range(self.targets)]
                    )
        z = [said.median.astype(np.float64) + q * said.scale for q in self._quantiles()]
        smear = np.zeros((len(z) + 2, *said.point.shape))
        smear[0] = self.shift
        values = units.from_z(np.stack([said.point, said.median, *z]).astype(np.float64), smear)
        mean, std = units.mean.astype(np.float64), units.std.astype(np.float64)
        pairs = list(zip((said.median * std + mean).ravel(), (said.scale * std).ravel(), strict=True))
        self.pending.insert(0, [(float(np.float32(m)), float(np.float32(s))) for m, s in pairs] if arrived else None)
        self.issued = values[:, 0].astype(np.float32) if arrived else None
        return values

    def _quantiles(self) -> list[np.ndarray]:
        found: list[np.ndarray] = []
        inner = outer = np.zeros_like(self.factor)
        for place in range(0, len(self.multipliers), 2):
            low, high = self.multipliers[place : place + 2]
            width = np.maximum(high - low, 0.01)
            inner = np.minimum(inner, self.factor * (low - self.offset[place] * width))
            outer = np.maximum(outer, self.factor * (high + self.offset[place + 1] * width))
            found += [inner, outer]
        return found

    @staticmethod
    def _residual(forecast: tuple[float, float], learned: float) -> float:
        return (learned - forecast[0]) / forecast[1]

    def _adapt(self, h: int, residuals: list[float]) -> None:
        slower = (h + 1) ** -0.75
        for c, r in enumerate(residuals):
            if math.isnan(r):
                continue
            f = self.factor[h, c]
            for place, level in zip(range(0, len(self.multipliers), 2), self.levels, strict=True):
                low, high = self.multipliers[place : place + 2, h, c]
                width, half = max(high - low, 0.01), (1 - level / 100) / 2
                below = (r < f * (low - self.offset[place, h, c] * width)) - half
                above = (r > f * (high + self.offset[place + 1, h, c] * width)) - half
                for end, here, there, m in ((place, below, above, -low), (place + 1, above, below, high)):
                    moved = self.offset[end, h, c] + 0.02 * slower * (here + 0.6 * there)
                    self.offset[end, h, c] = min(max(moved, -0.9 * m / width), 4)
            surprise = min(abs(r) / (f * self.mean[h, c]), self.most[h, c]) - 1
            self.factor[h, c] = min(max(f * (1 + self.rate[h, c] * slower * surprise), 1 / 64), 64)

    def _score(self, actual: np.ndarray) -> None:
        held = np.full((self.targets, len(self.levels)), np.nan)
        if self.issued is not None:
            for c in np.flatnonzero(~np.isnan(actual) & ~np.isnan(self.last)):
                self.sums[:, c] += 1, abs(actual[c] - self.issued[1, c]), abs(actual[c] - self.last[c])
                held[c] = (self.issued[2::2, c] <= actual[c]) & (actual[c] <= self.issued[3::2, c])
        self.held.append(held)
        self.last = np.where(np.isnan(actual), self.last, actual)

    def _watch(self, learned: np.ndarray) -> None:
        self.alarms[1] = max(self.alarms[1] - 1, 0)
        if not self.pending or self.pending[0] is None:
            return
        for c in range(self.targets):
            r = self._residual(self.pending[0][c], learned[c])
            if not math.isnan(r):
                self.worse[c] = max(self.worse[c] + min(abs(r) / self.mean[0, c], 5) - 1.5, 0)
                if self.worse[c] * self.rate[0, c] > 0.04 * 80:
                    self.worse[c], self.alarms[1] = 0, 500

    @property
    def skills(self) -> np.ndarray:
        """1 - MAE / MAE of the value before, by target."""
        with np.errstate(invalid="ignore"):
            return np.where(self.sums[2] > 0, 1 - self.sums[1] / self.sums[2], np.nan)

    @property
    def covered_ever(self) -> np.ndarray:
        """The share held of all that was scored, by level."""
        return np.nanmean(np.concatenate(self.held), axis=0)

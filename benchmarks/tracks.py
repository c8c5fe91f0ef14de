"""Rows tracked as streams, and how well their intervals did."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from forecasting.conformal import Calibration, Outcome, calibrate
from forecasting.engines import ZForecast
from forecasting.scaling import Scale, Scaler, Units
from forecasting.streams.tracking import Tracking, drift_of
from forecasting.transforms import PLAIN

WINDOW, LEVEL = 500, 90
LEVELS = (80, LEVEL, 95)


class Played(NamedTuple):
    """What tracking made of some streams: ends of the level about each row, and drift behind it; by [stream, row]."""

    low: np.ndarray
    high: np.ndarray
    drift: np.ndarray


def track_known(rows: np.ndarray, calibration: Calibration) -> Played:
    """Track rows of (stream, row) with forecasts of 0 and scale 1."""
    zero = np.zeros((*rows.shape, 1, 1), np.float32)
    return track(calibration, ZForecast(zero, zero, zero + 1), rows[..., None], own_units(1), 0, 0)


def track(calibration: Calibration, said: ZForecast, rows: np.ndarray, units: Units, step: int, target: int) -> Played:
    """Track streams; said[:, i] was said before row i of them."""
    streams, count, targets = rows.shape
    tracking = Tracking(calibration, said.point.shape[2], targets)
    tracker, pending = tracking.start(streams), tracking.nothing(streams)
    place, actual = 2 * tracking.levels.index(LEVEL), rows.astype(np.float32)
    ends, drift = np.full((2, streams, count + step), np.nan), np.zeros((streams, count), int)
    nothing, came = np.full((streams, targets), np.nan, np.float32), np.ones(streams, bool)
    for i in range(count):
        before = actual[:, i - 1] if i else nothing
        made = ZForecast(*(part[:, i] for part in said))
        tracked = tracking.advance(tracker, pending, before, came, made, units, calibration.shift)
        tracker, pending = tracked.tracker, tracked.pending
        ends[:, :, i + step] = tracked.ends[:, place : place + 2, step, target].T
        drift[:, i] = drift_of(tracker)
    return Played(ends[0, :, :count], ends[1, :, :count], drift)


def inside(low: np.ndarray | float, high: np.ndarray | float, rows: np.ndarray) -> np.ndarray:
    """Return 1 where a row lies inside, NaN where there is none or nothing was said of it."""
    return np.where(np.isnan(rows) | np.isnan(low), np.nan, (low <= rows) & (rows <= high))


def interval_score(low: np.ndarray | float, high: np.ndarray | float, rows: np.ndarray) -> float:
    missed = np.maximum(low - rows, 0) + np.maximum(rows - high, 0)
    return float(np.nanmean(high - low + 2 / (1 - LEVEL / 100) * missed))


def rolling(covered: np.ndarray) -> np.ndarray:
    """Return the coverage of every 500 rows in a row of (stream, row)."""
    return np.asarray(np.nanmean(sliding_window_view(covered, WINDOW, axis=1), axis=-1))


def calibrated(residuals: np.ndarray) -> Calibration:
    came = residuals.astype(np.float32)
    zero = np.zeros_like(came)
    return calibrate([Outcome(zero, zero, zero + 1, came, own_units(came.shape[2]))], LEVELS)


def own_units(width: int) -> Units:
    none, ones = (None,) * width, (1.0,) * width
    scale = Scale(mean=(0.0,) * width, std=ones, spread=ones, lower=none, upper=none)
    return Scaler(series={}, overall=scale, transforms=(PLAIN,) * width, ids=()).units(None)


def begun(drift: np.ndarray, code: int) -> np.ndarray:
    """Count by stream how often an alarm of a kind began."""
    return np.asarray(np.count_nonzero(np.diff(((drift & code) > 0).astype(int), axis=1) > 0, axis=1))

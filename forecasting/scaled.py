"""A panel as the network sees it: z units and calendar features, worked out for the rows asked for and then forgotten.

Nothing is kept beside the float32 series itself, so a long panel costs its own bytes and no more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from forecasting.calendar import Calendar, nanoseconds
from forecasting.scaling import Scaler, Units
from forecasting.series import Panel, Series, Split


@dataclass(frozen=True)
class Part:
    """Rows [start, stop) of a series: the rows whose values are to be forecast."""

    start: int
    stop: int


@dataclass(frozen=True)
class ScaledSeries:
    """A series with its scale and calendar, and where its parts lie. `times` are UTC nanoseconds."""

    series: Series
    units: Units
    calendar: Calendar
    times: Int[np.ndarray, " rows"]
    train: Part
    valid: Part
    test: Part

    def z(self, start: int, stop: int) -> Float[np.ndarray, "rows columns"]:
        """Values of rows [start, stop) in z units, screened; NaN is missing."""
        return self.units.to_z(self.series.values[start:stop])

    def features(self, start: int, stop: int) -> Float[np.ndarray, "rows features"]:
        """Calendar features of rows [start, stop)."""
        return self.calendar.features(self.times[start:stop])


def scale_panel(panel: Panel, scaler: Scaler, calendar: Calendar, split: Split) -> tuple[ScaledSeries, ...]:
    """Put a panel beside its scales, and cut it."""
    return tuple(_scaled(one, scaler.units(one.id), calendar, split) for one in panel)


def _scaled(series: Series, units: Units, calendar: Calendar, split: Split) -> ScaledSeries:
    end = len(series) if split.end is None else int(series.index.searchsorted(split.end))
    valid, test = (int(series.index.searchsorted(time)) for time in (split.valid, split.test))
    parts = (Part(0, valid), Part(valid, test), Part(test, end))
    return ScaledSeries(series, units, calendar, nanoseconds(series.index), *parts)


def origins(part: Part, horizon: int) -> range:
    """Rows to forecast from, such that all `horizon` targets of each lie inside the part."""
    return range(max(part.start - 1, 0), part.stop - horizon)


def targets(one: ScaledSeries, at: range, horizon: int) -> Float[np.ndarray, "origins horizon columns"]:
    """What came after each origin, in z units."""
    if not len(at):
        return np.zeros((0, horizon, one.series.values.shape[1]), np.float32)
    following = one.z(at.start + 1, at.stop + horizon)
    return np.lib.stride_tricks.sliding_window_view(following, horizon, axis=0).transpose(0, 2, 1)

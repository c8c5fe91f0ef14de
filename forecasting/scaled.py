"""A panel as the network sees it: z units and calendar features, worked out for the rows asked for and then forgotten.

Nothing is kept beside the float32 series itself, so a long panel costs its own bytes and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int

from forecasting.calendar import Calendar, nanoseconds
from forecasting.columns import Columns
from forecasting.members import Static
from forecasting.scaling import Scaler, Units
from forecasting.series import Panel, Series, Split
from forecasting.statics import Coded, Statics

T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """Rows [start, stop) of a series: the rows whose values are to be forecast."""

    start: int
    stop: int


@dataclass(frozen=True)
class ScaledSeries:
    """A series with its scale and calendar, and where its parts lie. `times` are UTC nanoseconds."""

    series: Series
    columns: Columns
    units: Units
    static: Coded
    statics: Statics
    calendar: Calendar
    times: Int[np.ndarray, " rows"]
    train: Part
    valid: Part
    test: Part

    @property
    def target_units(self) -> Units:
        """The units of the targets alone."""
        return self.units.first(len(self.columns.targets))

    def z(self, start: int, stop: int) -> Float[np.ndarray, "rows seen"]:
        """Targets and past covariates of rows [start, stop) in z units, screened; NaN is missing."""
        seen = self.columns.seen
        return self.units.first(seen).to_z(self.series.values[start:stop, :seen])

    def target_z(self, start: int, stop: int) -> Float[np.ndarray, "rows targets"]:
        """Targets of rows [start, stop) in z units."""
        width = len(self.columns.targets)
        return self.units.first(width).to_z(self.series.values[start:stop, :width])

    def actual(self, start: int, stop: int) -> Float[np.ndarray, "rows targets"]:
        """Targets of rows [start, stop) in the units of the data; NaN where missing or implausible."""
        width = len(self.columns.targets)
        return self.units.first(width).screened(self.series.values[start:stop, :width])

    def known(self, start: int, stop: int) -> Float[np.ndarray, "rows known"]:
        """Known covariates of rows [start, stop) in z units; NaN is missing, as is what lies outside the series."""
        rows = np.full((stop - start, len(self.columns.known)), np.nan, dtype=np.float32)
        if self.columns.known:
            low, high = (min(max(row, 0), len(self.series)) for row in (start, stop))
            units = self.units.of(slice(self.columns.seen, None))
            rows[low - start : high - start] = units.to_z(self.series.values[low:high, self.columns.seen :])
        return rows

    def features(self, start: int, stop: int) -> Float[np.ndarray, "rows features"]:
        """Calendar features of rows [start, stop)."""
        return self.calendar.features(self.times[start:stop])


@dataclass(frozen=True)
class Scales:
    """What makes numbers of a panel, learned on training rows: z units, static values, calendar."""

    scaler: Scaler
    statics: Statics
    calendar: Calendar


def scale_panel(panel: Panel, scales: Scales, split: Split) -> tuple[ScaledSeries, ...]:
    """Put a panel beside its scales, and cut it."""
    return tuple(_scaled(one, panel.columns, scales, split) for one in panel)


def _scaled(series: Series, columns: Columns, scales: Scales, split: Split) -> ScaledSeries:
    end = len(series) if split.end is None else int(series.index.searchsorted(split.end))
    valid, test = (int(series.index.searchsorted(time)) for time in (split.valid, split.test))
    parts = (Part(0, valid), Part(valid, test), Part(test, end))
    units, static = scales.scaler.units(series.id), scales.statics.encode(series.id, series.static)
    return ScaledSeries(
        series, columns, units, static, scales.statics, scales.calendar, nanoseconds(series.index), *parts
    )


def static_of(series: Sequence[ScaledSeries], device: torch.device | None = None) -> Static:
    """Return the static covariates of some series, side by side, as a network takes them."""
    numbers, codes = (np.stack(parts) for parts in zip(*(one.static for one in series), strict=True))
    return Static(torch.from_numpy(numbers).to(device), torch.from_numpy(codes).to(device))


def origins(part: Part, horizon: int) -> range:
    """Rows to forecast from, such that all `horizon` targets of each lie inside the part."""
    return range(max(part.start - 1, 0), part.stop - horizon)


def evenly(all_of: Sequence[T], most: int) -> list[T]:
    """Choose so many of a sequence, at most, spread over it from its first to its last."""
    places = np.linspace(0, len(all_of) - 1, min(most, len(all_of))).round().astype(int)
    return [all_of[place] for place in places]


def targets(one: ScaledSeries, at: range, horizon: int) -> Float[np.ndarray, "origins horizon targets"]:
    """What came after each origin, in z units."""
    return _windows(one.target_z(at.start + 1, max(at.stop + horizon, at.start + 1)), at, horizon)


def actuals(one: ScaledSeries, at: range, horizon: int) -> Float[np.ndarray, "origins horizon targets"]:
    """What came after each origin, in the units of the data."""
    return _windows(one.actual(at.start + 1, max(at.stop + horizon, at.start + 1)), at, horizon)


def _windows(following: np.ndarray, at: range, horizon: int) -> Float[np.ndarray, "origins horizon targets"]:
    if not len(at):
        return np.zeros((0, horizon, following.shape[1]), np.float32)
    return np.lib.stride_tricks.sliding_window_view(following, horizon, axis=0).transpose(0, 2, 1)

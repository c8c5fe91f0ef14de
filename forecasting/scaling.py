"""z units: each series is centred and scaled by its own training rows; a series never seen, by those of all together.

Cells outside the plausible limits (see `plausible`) become missing here, in training, backtest and requests alike.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import msgspec
import numpy as np
from jaxtyping import Float

from forecasting.plausible import learn_limits, screen
from forecasting.series import Panel


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """One series' statistics, a number a column, in the units of the data; a limit of None is no limit."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    lower: tuple[float | None, ...]
    upper: tuple[float | None, ...]


class Units(NamedTuple):
    """A `Scale` as float32 arrays of shape (columns,), ready for arithmetic."""

    mean: np.ndarray
    std: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    def to_z(self, values: Float[np.ndarray, "*rows columns"]) -> Float[np.ndarray, "*rows columns"]:
        """Screen and scale; NaN stays NaN."""
        return np.asarray((screen(values, self.lower, self.upper) - self.mean) / self.std)

    def from_z(self, z: Float[np.ndarray, "*rows columns"]) -> Float[np.ndarray, "*rows columns"]:
        """Return to the units of the data."""
        return np.asarray(z * self.std + self.mean)


class Scaler(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The scales of a panel: by series id, and of all series together."""

    series: dict[str, Scale]
    overall: Scale

    def knows(self, series: str | None) -> bool:
        """Tell whether the series had rows in training."""
        return series in self.series

    def units(self, series: str | None) -> Units:
        """Return the arrays of one series; of the whole panel where it is not known."""
        return self._arrays.get(series, self._arrays[None])

    @cached_property
    def _arrays(self) -> dict[str | None, Units]:
        return {None: _arrays(self.overall), **{series: _arrays(scale) for series, scale in self.series.items()}}


def fit_scaler(train: Panel) -> Scaler:
    """Learn the scales from training rows; a series without any is left to the statistics of all together."""
    present = [one for one in train if np.isfinite(one.values).any()]
    pooled = [np.concatenate([one.values[:, [c]] for one in present]) for c in range(len(train.columns))]
    overall = _join([_scale(column, None) for column in pooled])
    return Scaler(series={one.id: _scale(one.values, overall) for one in present}, overall=overall)


def _scale(values: Float[np.ndarray, "rows columns"], fallback: Scale | None) -> Scale:
    """Measure in float64; a column that never moves, or was never seen, takes the spread of the whole panel."""
    lower, upper = learn_limits(values)
    screened = screen(values, lower, upper)
    means, stds = [], []
    for c in range(values.shape[1]):
        seen = screened[:, c][~np.isnan(screened[:, c])].astype(np.float64)
        mean, std = (float(seen.mean()), float(seen.std())) if len(seen) else (None, 0.0)
        means.append(mean if mean is not None else (fallback.mean[c] if fallback else 0.0))
        stds.append(std if std > 0 else (fallback.std[c] if fallback else 1.0))
    return Scale(mean=tuple(means), std=tuple(stds), lower=_finite(lower), upper=_finite(upper))


def _join(columns: list[Scale]) -> Scale:
    return Scale(
        mean=tuple(one.mean[0] for one in columns),
        std=tuple(one.std[0] for one in columns),
        lower=tuple(one.lower[0] for one in columns),
        upper=tuple(one.upper[0] for one in columns),
    )


def _finite(limits: Float[np.ndarray, " columns"]) -> tuple[float | None, ...]:
    return tuple(float(limit) if np.isfinite(limit) else None for limit in limits)


def _arrays(scale: Scale) -> Units:
    lower = [-np.inf if limit is None else limit for limit in scale.lower]
    upper = [np.inf if limit is None else limit for limit in scale.upper]
    return Units(*(np.asarray(numbers, dtype=np.float32) for numbers in (scale.mean, scale.std, lower, upper)))

"""z units: each series is centred and scaled by its own training rows; a series never seen, by those of all together.

A column learnt as log(1 + x) is centred and scaled after the logarithm. Cells outside the plausible limits (see
`plausible`), or outside what the project says is possible, become missing here, in training, backtest and requests
alike; what is answered is moved inside what is possible.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import msgspec
import numpy as np
from jaxtyping import Float

from forecasting.plausible import learn_limits, screen
from forecasting.series import Panel
from forecasting.transforms import PLAIN, Transform

NEAREST = 20.0
"""Standard deviations by which an answer in log(1 + x) may leave the training mean; far beyond lies overflow."""

FULLEST = 88.0
"""About the largest log(1 + x) of which float32 still holds the x."""


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """One series' statistics, a number a column; a limit of None is no limit.

    `mean` and `std` are of the column as it is learnt (after the logarithm, if there is one), `spread` is the standard
    deviation in the units of the data.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    spread: tuple[float, ...]
    lower: tuple[float | None, ...]
    upper: tuple[float | None, ...]


class Units(NamedTuple):
    """A `Scale` with the transforms as arrays of shape (columns,), ready for arithmetic.

    `plain`: no column has a transform or a bound. Those of several series are of shape (series, 1, ..., columns).
    """

    mean: np.ndarray
    std: np.ndarray
    spread: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    log: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    integer: np.ndarray
    plain: bool

    def of(self, columns: slice) -> Units:
        """Return the units of some columns alone."""
        return Units._make([*(part[..., columns] for part in self[:-1]), self.plain])

    def first(self, columns: int) -> Units:
        """Return the units of the first columns alone."""
        return self.of(slice(columns))

    def screened(self, values: Float[np.ndarray, "*rows columns"]) -> Float[np.ndarray, "*rows columns"]:
        """Return the values with what is implausible, or impossible, as NaN."""
        return screen(values, self.lower, self.upper)

    def to_z(self, values: Float[np.ndarray, "*rows columns"]) -> Float[np.ndarray, "*rows columns"]:
        """Screen, transform and scale; NaN stays NaN."""
        kept = self.screened(values)
        if not self.plain:
            kept = np.where(self.log, np.log1p(kept, where=self.log, out=kept.copy()), kept)
        return np.asarray((kept - self.mean) / self.std)

    def from_z(
        self, z: Float[np.ndarray, "*rows columns"], smear: Float[np.ndarray, "*#rows columns"] | float = 0.0
    ) -> Float[np.ndarray, "*rows columns"]:
        """Return to the units of the data, inside the bounds and whole where the column is.

        `smear` is added before a logarithm is undone: the mean of x is not the one of log(1 + x) (Duan 1983).
        """
        if not self.plain:
            return self._constrained(z, smear)
        return np.asarray(z * self.std + self.mean)

    def _constrained(self, z: np.ndarray, smear: np.ndarray | float) -> np.ndarray:
        held = np.where(self.log, z.clip(-NEAREST, NEAREST), z) * self.std + self.mean
        values = np.where(self.log, np.expm1(np.where(self.log, np.minimum(held + smear, FULLEST), 0.0)), held)
        values = np.clip(values, self.lowest, self.highest)
        return np.asarray(np.where(self.integer, np.rint(values), values), dtype=z.dtype)


class Scaler(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The scales of a panel: by series id (none, if one scale is for all), and of all series together."""

    series: dict[str, Scale]
    overall: Scale
    transforms: tuple[Transform, ...]
    ids: tuple[str, ...]

    def knows(self, series: str | None) -> bool:
        """Tell whether the series had rows in training."""
        return series in self._known

    def units(self, series: str | None) -> Units:
        """Return the arrays of one series; of the whole panel where it is not known."""
        return self._arrays.get(series, self._arrays[None])

    def target_units(self, series: str | None, targets: int) -> Units:
        """Return the arrays of the targets of one series, which come first among its columns."""
        key = series if series in self._arrays else None, targets
        if key not in self._targets:
            self._targets[key] = self.units(series).first(targets)
        return self._targets[key]

    @cached_property
    def _targets(self) -> dict[tuple[str | None, int], Units]:
        return {}

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.ids)

    @cached_property
    def _arrays(self) -> dict[str | None, Units]:
        return {
            None: _arrays(self.overall, self.transforms),
            **{series: _arrays(scale, self.transforms) for series, scale in self.series.items()},
        }


class _Column(NamedTuple):
    """Statistics of one column of one series."""

    mean: float = 0.0
    std: float = 1.0
    spread: float = 1.0
    lower: float | None = None
    upper: float | None = None


_NEUTRAL = _Column()


def fit_scaler(train: Panel, transforms: Sequence[Transform] = (), *, by_series: bool = True) -> Scaler:
    """Learn the scales from training rows; a series without any is left to the statistics of all together.

    With `by_series` off all series share the statistics of all together. `transforms` has one entry a column; none
    given, all columns are plain. Known covariates have no plausible limits: a rare event is what they are there for.
    """
    width = len(train.columns.row)
    transforms = tuple(transforms) or (PLAIN,) * width
    present = [one for one in train if np.isfinite(one.values[:, : len(train.columns.targets)]).any()]
    kinds = list(zip(transforms, [place < train.columns.seen for place in range(width)], strict=True))
    pooled = [np.concatenate([one.values[:, c] for one in present]) for c in range(width)]
    overall = _join([_column(column, *kind) or _unseen(kind[0]) for column, kind in zip(pooled, kinds, strict=True)])
    scales = {one.id: _own(one.values, kinds, overall) for one in present} if by_series else {}
    return Scaler(series=scales, overall=overall, transforms=transforms, ids=tuple(one.id for one in present))


def _own(values: Float[np.ndarray, "rows columns"], kinds: list[tuple[Transform, bool]], overall: Scale) -> Scale:
    """Measure one series; a column that never moves, or was never seen, takes the spread of the whole panel."""
    columns = []
    for c, kind in enumerate(kinds):
        fallback = _Column(*(part[c] for part in msgspec.structs.astuple(overall)))
        columns.append(_column(values[:, c], *kind, fallback) or _unseen(kind[0], fallback))
    return _join(columns)


def _unseen(transform: Transform, like: _Column = _NEUTRAL) -> _Column:
    """Return what is known of a column without a cell: what is possible, and the statistics of another."""
    lower, upper = transform.limits
    return like._replace(lower=lower, upper=upper)


def _column(
    values: Float[np.ndarray, " rows"], transform: Transform, screened: bool, fallback: _Column = _NEUTRAL
) -> _Column | None:
    """Measure one column in float64; None where nothing is seen."""
    lower, upper = _limits(values, transform, screened)
    edges = np.array([[lower], [upper]], dtype=np.float32)
    seen = screen(values[:, None], *edges)[:, 0]
    seen = seen[~np.isnan(seen)].astype(np.float64)
    if not len(seen):
        return None
    learnt = np.log1p(seen) if transform.log1p else seen
    moves = seen.min() < seen.max()  # the deviation of equal numbers is not always 0: their mean is rounded
    return _Column(
        mean=float(learnt.mean()),
        std=float(learnt.std()) if moves else fallback.std,
        spread=float(seen.std()) if moves else fallback.spread,
        lower=float(lower) if np.isfinite(lower) else None,
        upper=float(upper) if np.isfinite(upper) else None,
    )


def _limits(values: Float[np.ndarray, " rows"], transform: Transform, screened: bool) -> tuple[float, float]:
    lowest, highest = _possible(transform)
    if not screened:
        return lowest, highest
    lower, upper = learn_limits(values[:, None])
    return max(float(lower[0]), lowest), min(float(upper[0]), highest)


def _possible(transform: Transform) -> tuple[float, float]:
    low, high = transform.limits
    return -np.inf if low is None else low, np.inf if high is None else high


def _within(low: float, high: float) -> tuple[np.float32, np.float32]:
    """Return bounds as float32, rounded inwards: what is answered must respect them as they are written."""
    lowest, highest = np.float32(low), np.float32(high)
    if lowest < low:
        lowest = np.nextafter(lowest, np.float32(np.inf))
    if highest > high:
        highest = np.nextafter(highest, np.float32(-np.inf))
    return lowest, highest


def _join(columns: list[_Column]) -> Scale:
    return Scale(**{name: tuple(getattr(one, name) for one in columns) for name in _Column._fields})


def _arrays(scale: Scale, transforms: Sequence[Transform]) -> Units:
    lower = [-np.inf if limit is None else limit for limit in scale.lower]
    upper = [np.inf if limit is None else limit for limit in scale.upper]
    lowest, highest = zip(*(_within(*_possible(transform)) for transform in transforms), strict=True)
    return Units(
        mean=np.asarray(scale.mean, dtype=np.float32),
        std=np.asarray(scale.std, dtype=np.float32),
        spread=np.asarray(scale.spread, dtype=np.float32),
        lower=np.asarray(lower, dtype=np.float32),
        upper=np.asarray(upper, dtype=np.float32),
        log=np.array([transform.log1p for transform in transforms]),
        lowest=np.asarray(lowest, dtype=np.float32),
        highest=np.asarray(highest, dtype=np.float32),
        integer=np.array([transform.integer for transform in transforms]),
        plain=all(transform == PLAIN for transform in transforms),
    )


def together(units: Sequence[Units], axes: int) -> Units:
    """Return the units of several series as one, with so many axes between series and columns.

    Where all are the same they need no axis of series.
    """
    if all(one is units[0] for one in units[1:]):
        return units[0]
    parts = (np.stack(part) for part in zip(*(one[:-1] for one in units), strict=True))
    between = (slice(None), *(None,) * axes)
    return Units._make([*(part[between] for part in parts), all(one.plain for one in units)])

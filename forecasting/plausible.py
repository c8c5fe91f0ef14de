"""Limits of what a column can plausibly be, learned on training rows and applied everywhere.

The limits are ten times the range of a column's training rows beyond that range, the range taken without the most
extreme thousandth of the cells on either side: far outside anything that weather, load or demand does by itself, and
inside what a broken sensor, a lost decimal point or another unit does. A cell outside is a missing cell.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from forecasting.report import Finding, counted
from forecasting.series import Series, rfc3339

if TYPE_CHECKING:
    from forecasting.columns import Columns
    from forecasting.series import Panel, Split

_FEWEST = 20
_TRIM = 1000
_REACH = 10
_SPIKES = 3
_SHARE = 0.01


def learn_limits(
    values: Float[np.ndarray, "rows columns"],
) -> tuple[Float[np.ndarray, " columns"], Float[np.ndarray, " columns"]]:
    """Return the lower and upper limit of each column, infinite where the rows cannot tell.

    A column with n observed cells loses its ceil(n / 1000) largest and smallest; R is the range of what is left and
    the limits lie 10 R beyond it. Fewer than 20 cells, or R = 0, set no limit. Cells outside are taken away and the
    rule is applied again until none is, so that rows already screened teach the same limits.
    """
    pairs = [_column_limits(column[~np.isnan(column)]) for column in values.T]
    lower, upper = np.array(pairs, dtype=np.float32).reshape(-1, 2).T
    return lower, upper


def _column_limits(observed: Float[np.ndarray, " cells"]) -> tuple[np.float32, np.float32]:
    while True:
        lower, upper = _trimmed_limits(observed)
        inside = observed[(observed >= lower) & (observed <= upper)]
        if len(inside) == len(observed):
            return lower, upper
        observed = inside


def _trimmed_limits(observed: Float[np.ndarray, " cells"]) -> tuple[np.float32, np.float32]:
    count = len(observed)
    if count < _FEWEST:
        return np.float32(-np.inf), np.float32(np.inf)
    trim = math.ceil(count / _TRIM)
    ordered = np.partition(observed, (trim, count - 1 - trim))
    low, high = float(ordered[trim]), float(ordered[count - 1 - trim])
    reach = _REACH * (high - low) or math.inf
    with np.errstate(over="ignore"):
        return np.float32(low - reach), np.float32(high + reach)


def screen(
    values: Float[np.ndarray, "*rows columns"],
    lower: Float[np.ndarray, "*#rows columns"],
    upper: Float[np.ndarray, "*#rows columns"],
) -> Float[np.ndarray, "*rows columns"]:
    """Return the values with cells outside the limits as NaN; the same array where there are none."""
    outside = (values < lower) | (values > upper)
    return np.where(outside, np.float32(np.nan), values) if outside.any() else values


def screen_panel(panel: Panel, split: Split) -> tuple[Panel, tuple[Finding, ...]]:
    """Screen each series by the limits of its own training rows; a finding for each column of it that was touched.

    Known covariates are left as they are: a rare event is what they are there for.
    """
    series, findings = [], []
    for one, train in zip(panel, split.train(panel), strict=True):
        lower, upper = _limits(train.values, panel.columns)
        clean = replace(one, values=screen(one.values, lower, upper))
        for place, column in enumerate(panel.columns.row):
            outside = np.isnan(clean.values[:, place]) & ~np.isnan(one.values[:, place])
            if outside.any():
                findings.append(_finding(one, (column, place), outside, f"[{lower[place]:.6g}, {upper[place]:.6g}]"))
        series.append(clean)
    return replace(panel, series=tuple(series)), tuple(findings)


def _limits(
    values: Float[np.ndarray, "rows columns"], columns: Columns
) -> tuple[Float[np.ndarray, " columns"], Float[np.ndarray, " columns"]]:
    lower, upper = learn_limits(values[:, : columns.seen])
    none = np.full(len(columns.known), np.inf, dtype=np.float32)
    return np.append(lower, -none), np.append(upper, none)


def _finding(one: Series, column: tuple[str, int], outside: Bool[np.ndarray, " rows"], limits: str) -> Finding:
    """Spikes become missing; more cells than spikes can be are in another unit, which only a person can mend."""
    name, place = column
    count, seen = int(outside.sum()), int((~np.isnan(one.values[:, place])).sum())
    spikes = count <= max(_SPIKES, _SHARE * seen)
    what = f"{counted(count, 'cell')} of {name!r} in series {one.id!r} outside {limits}, which its training rows allow"
    advice = f"that is {count / seen:.1%} of its cells and looks like another unit or sensor; mend the source"
    at = int(outside.argmax())
    return Finding(
        code="implausible" if spikes else "unit-change",
        action="repaired" if spikes else "refused",
        message=f"{what}; {'read as missing' if spikes else advice}",
        count=count,
        column=name,
        series=one.id,
        where=f"{rfc3339(one.index[at])}: {one.values[at, place]:.6g}",
    )

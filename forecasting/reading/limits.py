"""Hold the cells of each column against what `data.transform` says it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from forecasting.reading.tables import first_place
from forecasting.report import Finding, counted

if TYPE_CHECKING:
    import pandas as pd

    from forecasting.sections import DataSection
    from forecasting.transforms import Transform

_SLIPS = 3
_SHARE = 0.01


def within_limits(
    values: Float[np.ndarray, "rows columns"], places: pd.Index, data: DataSection
) -> tuple[Float[np.ndarray, "rows columns"], tuple[Finding, ...]]:
    """Return the values with the few that cannot be as NaN, and findings; `places` says where each row stood."""
    findings: list[Finding] = []
    kept = values.copy() if data.transform else values
    for at, (name, transform) in enumerate(zip(data.columns.row, data.transforms(), strict=True)):
        outside = _outside(values[:, at], transform)
        if outside.any():
            findings.append(_out_of_bounds(name, values[:, at], outside, (places, transform)))
            kept[outside, at] = np.nan
        broken = _fractions(kept[:, at]) & transform.integer
        if broken.any():
            findings.append(_not_integer(name, kept[:, at], broken, places))
    return kept, tuple(findings)


def _outside(cells: Float[np.ndarray, " rows"], transform: Transform) -> Bool[np.ndarray, " rows"]:
    """Compare as float32, which the cells are: 0.1 is inside a bound of 0.1."""
    low, high = transform.limits
    below = cells < np.float32(-np.inf if low is None else low)
    above = cells > np.float32(np.inf if high is None else high)
    return np.asarray((below | above) & np.isfinite(cells))


def _fractions(cells: Float[np.ndarray, " rows"]) -> Bool[np.ndarray, " rows"]:
    return np.asarray(np.isfinite(cells) & (cells != np.rint(cells)))


def _out_of_bounds(name: str, cells: np.ndarray, outside: np.ndarray, against: tuple[pd.Index, Transform]) -> Finding:
    """A few slips become missing; more of them contradict the project file, which only a person can mend."""
    places, transform = against
    low, high = ("none" if limit is None else f"{limit:.6g}" for limit in transform.limits)
    count, seen = int(outside.sum()), int((~np.isnan(cells)).sum())
    slips = count <= max(_SLIPS, _SHARE * seen)
    what = f"{counted(count, 'cell')} of {name!r} outside [{low}, {high}], the limits that data.transform sets"
    advice = f"that is {count / seen:.1%} of its cells; correct data.transform.{name}, or mend the source"
    return Finding(
        code="out-of-bounds",
        action="repaired" if slips else "refused",
        message=f"{what}; {'read as missing' if slips else advice}",
        count=count,
        column=name,
        where=_example(cells, outside, places),
    )


def _not_integer(name: str, cells: np.ndarray, broken: np.ndarray, places: pd.Index) -> Finding:
    return Finding(
        code="not-integer",
        action="refused",
        message=f"no whole number in {counted(int(broken.sum()), 'cell')} of {name!r}, which data.transform says are; "
        f"take integer out of data.transform.{name}, or mend the source",
        count=int(broken.sum()),
        column=name,
        where=_example(cells, broken, places),
    )


def _example(cells: np.ndarray, mask: np.ndarray, places: pd.Index) -> str:
    return f"{first_place(places, mask)}: {cells[mask.argmax()]:.6g}"

"""How the forecasts of a stream fared, as values: see `tracking`, which makes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float


@dataclass(frozen=True)
class Score:
    """How the last forecast fared by target (NaN: not scored), and all of them so far.

    `actual`, `point`, `median`, `naive` (the value before) and `interval` (the interval score of the judged level) are
    in the units of the data; `covered` is 1 or 0 by level. `count` is of scored rows. `skill` is 1 - MAE / MAE of the
    value before, the mean of `skills` by target, None where there is none. `coverage` is that of about the last 500
    rows, which is what one wants to know of intervals that move; `coverage_ever` that of all. Both are None before
    anything was scored, and where no interval is calibrated. `drift`: 0 none, 1 inputs, 2 errors, 3 both.
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
        return np.asarray(~np.isnan(self.actual))


@dataclass(frozen=True)
class Scores:
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


class Errors(NamedTuple):
    """Errors of all scored forecasts of the next row, in the units of the data; NaN where there is none yet.

    `cells` is how many there are. Absolute errors are of the median, squared ones of the point, `naive_*` of the value
    before on the same rows; `interval_score` is of the judged level (Gneiting and Raftery 2007).
    """

    cells: Float[np.ndarray, "stream target"]
    mae: Float[np.ndarray, "stream target"]
    rmse: Float[np.ndarray, "stream target"]
    naive_mae: Float[np.ndarray, "stream target"]
    naive_rmse: Float[np.ndarray, "stream target"]
    interval_score: Float[np.ndarray, "stream target"]

"""What is said of one window, in the units of the data, and as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from forecasting.admission import Caution
from forecasting.conformal import JUDGED, Calibration


class Interval(NamedTuple):
    """Between `low` and `high`, both included, what comes is expected to lie as often as its level says."""

    low: Float[np.ndarray, "steps targets"]
    high: Float[np.ndarray, "steps targets"]


@dataclass(frozen=True)
class WindowForecast:
    """The next rows, in the units of the data; `instants` (UTC nanoseconds) is None without times before.

    `intervals` are by level in percent; low <= median <= high. `cold`: training never saw the series, and the window is
    shorter than what the model looks back on.
    """

    instants: Int[np.ndarray, " steps"] | None
    point: Float[np.ndarray, "steps targets"]
    median: Float[np.ndarray, "steps targets"]
    intervals: Mapping[int, Interval] = field(default_factory=dict)
    cold: bool = False
    cautions: tuple[Caution, ...] = ()

    @property
    def status(self) -> Literal["ready", "cold"]:
        """`cold` or `ready`."""
        return "cold" if self.cold else "ready"

    @property
    def times(self) -> pd.DatetimeIndex | None:
        """The times as an index; made on demand, for it costs a tenth of a forecast."""
        return None if self.instants is None else pd.DatetimeIndex(self.instants, tz="UTC")


def forecast_frame(answer: WindowForecast, targets: tuple[str, ...], series: str | None = None) -> pd.DataFrame:
    """Return a forecast as a table with a row a step.

    Its columns are those of `forecast_columns`.
    """
    return pd.DataFrame(forecast_columns(answer, targets, series))


def forecast_columns(answer: WindowForecast, targets: tuple[str, ...], series: str | None = None) -> dict[str, Any]:
    """Return a forecast by column.

    They are `series` (if given), `timestamp` (if known), `step`, the targets, `<target>-median` and, by level,
    `<target>-lo-<level>` and `<target>-hi-<level>`.
    """
    columns: dict[str, Any] = {} if series is None else {"series": series}
    columns |= {} if answer.times is None else {"timestamp": answer.times}
    columns |= {"step": range(1, len(answer.point) + 1)}
    columns |= dict(zip(targets, answer.point.T, strict=True))
    columns |= {f"{name}-median": one for name, one in zip(targets, answer.median.T, strict=True)}
    for level, (low, high) in answer.intervals.items():
        for c, name in enumerate(targets):
            columns |= {f"{name}-lo-{level}": low[:, c], f"{name}-hi-{level}": high[:, c]}
    return columns


def default_levels(calibration: Calibration | None) -> tuple[int, ...]:
    """Return the levels of the intervals that are given where none are asked for."""
    if calibration is None:
        return ()
    return (JUDGED,) if JUDGED in calibration.levels else calibration.levels[:1]

"""What goes into an engine and what comes out."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from forecasting.statics import Coded


class Inputs(NamedTuple):
    """Windows of equal length in z units, oldest row first; NaN is missing.

    `known` are the covariates known in advance of these rows and of the `horizon` rows after them; `static` those of
    each window (None: unknown), with a window axis before.
    """

    values: Float[np.ndarray, "window time seen"]
    calendar: Float[np.ndarray, "window time feature"]
    known: Float[np.ndarray, "window reach known"]
    static: Coded | None = None


class ZForecast(NamedTuple):
    """What a network says after the last rows of windows, in z units; see `network.Forecast`."""

    point: Float[np.ndarray, "*window horizon target"]
    median: Float[np.ndarray, "*window horizon target"]
    scale: Float[np.ndarray, "*window horizon target"]


@runtime_checkable  # beartype asks, in the tests
class Engine(Protocol):
    """Computes what a network says after the last rows of windows; many threads may ask at once."""

    name: str

    def forecast_last(self, inputs: Inputs) -> ZForecast:
        """Return point, median and scale by window, step and target."""

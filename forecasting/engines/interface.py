"""What goes into an engine and what comes out: of windows, from no state to a forecast; of streams, step by step."""

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


class Steps(NamedTuple):
    """One new row of each of some streams, in z units; NaN is missing.

    `known` are the covariates known in advance of this row and of the `horizon` rows after it; `static` those of each
    stream (None: unknown).
    """

    values: Float[np.ndarray, "stream seen"]
    calendar: Float[np.ndarray, "stream feature"]
    known: Float[np.ndarray, "stream reach known"]
    static: Coded | None = None


States = Float[np.ndarray, "stream width"]
"""All that a network carries of each stream, flat, as 32-bit floats; only the engine knows the layout."""


@runtime_checkable
class StepEngine(Protocol):
    """Computes `network.Forecaster.step` for a batch of streams: (row, state) -> (forecast, state).

    State is a value: what comes in is not changed. Streams do not see each other, also not in the last bit: what is
    said of one does not depend on how many stand beside it. Many threads may ask at once.
    """

    name: str
    width: int

    def initial(self, streams: int) -> States:
        """Return the states before any row."""

    def step(self, rows: Steps, states: States) -> tuple[ZForecast, States]:
        """Take one row of each stream; forecasts have a stream axis first."""

    def unroll(self, rows: Inputs, states: States) -> States:
        """Take many rows of each stream and say nothing; bit for bit the states after as many steps.

        Of `known` only the rows themselves matter.
        """

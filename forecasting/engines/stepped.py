"""A network a row at a time, on one core of a CPU: `kernel` over what `packing` laid out."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from forecasting.engines import kernel
from forecasting.engines.interface import Inputs, States, Steps, ZForecast
from forecasting.engines.packing import layout_of, pack
from forecasting.filling import LONGEST_ABSENCE
from forecasting.network import Forecaster
from forecasting.statics import Coded

NOBODY = np.empty((kernel.OUTPUTS, 0, 0, 0), np.float32)
UNUSED = Coded(np.empty((0, 0), np.float32), np.empty((0, 0), np.int64))


class CompiledSteps:
    """Weights as one array; later changes of the network are not seen.

    The first of its kind on a machine compiles, which takes seconds; numba keeps what it compiled where it can write.
    """

    def __init__(self, forecaster: Forecaster) -> None:
        """Take the weights over, and a row of no stream, so that no real row waits for a compiler."""
        a = forecaster.architecture
        layout = layout_of(a)
        self.name, self.width = "numba on cpu", layout.width
        self._shape, self._outputs = a, (a.horizon, a.targets)
        self._weights, self._plan = pack(forecaster)
        self._first = np.zeros((1, layout.width), np.float32)
        self._first[:, layout.levels + 2 * a.seen : layout.cells] = LONGEST_ABSENCE
        values, calendar, known = (np.empty((0, 1, width), np.float32) for width in (a.seen, a.calendar, a.known))
        self.unroll(Inputs(values, calendar, known), self.initial(0))

    def initial(self, streams: int) -> States:
        """Return the states before any row."""
        return self._first.repeat(streams, axis=0)

    def step(self, rows: Steps, states: States) -> tuple[ZForecast, States]:
        """Take one row of each stream; forecasts have a stream axis first."""
        said = np.zeros((kernel.OUTPUTS, len(states), *self._outputs), np.float32)
        after = self._advanced(rows, states, said)
        return ZForecast(said[0], said[1], said[2]), after

    def unroll(self, rows: Inputs, states: States) -> States:
        """Take many rows of each stream and say nothing; bit for bit the states after as many steps."""
        return self._advanced(rows, states, NOBODY)

    def _advanced(self, rows: Steps | Inputs, states: States, said: np.ndarray) -> States:
        after = states.astype(np.float32, order="C")
        numbers, codes = self._static(rows.static, len(states))
        values, calendar, known = _lines(rows.values), _lines(rows.calendar), _lines(rows.known)
        kernel.advance(self._weights, self._plan, values, calendar, known, numbers, codes, after, said)
        return after

    def _static(self, static: Coded | None, streams: int) -> Coded:
        a = self._shape
        if not (a.statics or a.categories):
            return UNUSED
        if static is None:
            return Coded(np.zeros((streams, a.statics), np.float32), np.zeros((streams, len(a.categories)), np.int64))
        return Coded(_lines(static.numbers), np.array(static.codes, np.int64, order="C"))


def _lines(part: np.ndarray) -> Float[np.ndarray, "stream number"]:
    """Return the rows of each stream one behind the other; the kernel is compiled for arrays as most of them come."""
    if not part.flags.carray or part.dtype != np.float32:
        part = part.astype(np.float32, order="C")
    return part if part.ndim == 2 else part.reshape(len(part), part.shape[1] * part.shape[2])  # noqa: PLR2004

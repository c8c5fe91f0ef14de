"""The engine of windows that also says how a forecast came about; for explanations (`memory.told`)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from forecasting.engines.compiled import CompiledEngine, known_of
from forecasting.engines.interface import Inputs


class Traced(NamedTuple):
    """How a forecast of one window came about, rows first: what each member was told, and its hidden states by layer.

    `base` is the point of anchor and road, `points` what the members' heads say of it, in their own units.
    """

    base: Float[np.ndarray, "horizon target"]
    last: Float[np.ndarray, " target"]
    changes: Float[np.ndarray, "time column"]
    rows: list[Float[np.ndarray, "time folded input"]]
    hidden: list[list[Float[np.ndarray, "time folded hidden"]]]
    points: list[Float[np.ndarray, "horizon target"]]


class TracingEngine(CompiledEngine):
    """Says how the forecast of one window comes about."""

    _every = True

    def trace(self, inputs: Inputs) -> Traced:
        """Run the network over a window from a fresh state."""
        values, calendar, known = (part.transpose(1, 0, 2) for part in inputs[:3])
        views, ahead = self._views(values), known_of(known)
        rows = [one.rows(views, calendar, ahead, inputs.static) for one in self._members]
        states = self._cells.run(None, {f"rows{place}": one for place, one in enumerate(rows)})
        layers = len(states) // len(rows)
        hidden = [states[low : low + layers] for low in range(0, len(states), layers)]
        said = [one.corrections(each[-1][-1], ahead) for one, each in zip(self._members, hidden, strict=True)]
        base = self._road.said(views, calendar[-1], ahead)[0, 0]
        last = views.level[-1, 0, : base.shape[-1]]
        return Traced(base, last, views.changes[:, 0], rows, hidden, [one[0, 0] for one in said])

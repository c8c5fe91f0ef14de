"""Pictures of what a forecaster remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from forecasting.canvas import BLUE, GREY, INK, VERMILION, finished, stacked

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from forecasting.remembering import Memory

FLOOR = 1e-6
"""Of the largest derivative: what lies below is not drawn."""
FEW = 40


def reach_figure(memory: Memory, freq: str) -> Figure:
    """Draw by how much the point moves with a row so many rows back: of the whole, the linear road and the network."""
    figure, (panel,) = stacked(1, 1, 3.2)
    largest = max(memory.forecast.curve) or 1.0
    drawn = (
        ("forecast", memory.forecast, INK, 2.6),
        ("linear road", memory.linear, BLUE, 1.2),
        ("network", memory.recurrent, VERMILION, 1.2),
    )
    for name, reach, colour, width in drawn:
        curve = np.array(reach.curve)
        shown = np.where(curve > FLOOR * largest, curve, np.nan)
        panel.plot(
            np.arange(len(curve)),
            shown,
            color=colour,
            linewidth=width,
            label=name,
            marker="." if len(curve) < FEW else "",
        )
    panel.axvline(memory.forecast.most - 1, color=GREY, linestyle="--", label="90 % within")
    if any(memory.forecast.curve):
        panel.set_yscale("log")
    panel.set_xlabel(f"rows back (one is {freq}; 0 is the newest)")
    panel.set_ylabel("derivative of the point")
    return finished(
        figure, [panel], f"what the forecast moves with, over {memory.windows} windows of {memory.history} rows"
    )


def gates_figure(memory: Memory) -> Figure:
    """Draw how the values of each gate lie between 0 and 1, a row of panels for each layer."""
    figure, panels = stacked(len(memory.layers), 3, 1.8)
    for place, layer in enumerate(memory.layers):
        for at, name in enumerate(("keep", "write", "read")):
            gate, panel = getattr(layer, name), panels[3 * place + at]
            if gate is None:
                panel.set_axis_off()
                continue
            panel.bar(np.arange(10) / 10 + 0.05, gate.tenths, width=0.09, color=BLUE)
            panel.set_title(f"{name}, layer {place}: mean {gate.mean:.2f}", fontsize="medium")
            panel.set_xlim(0, 1)
    return finished(figure, [], "share of the values of each gate, over rows, units and members")

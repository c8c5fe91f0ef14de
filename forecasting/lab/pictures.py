"""Pictures of the laboratory's results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from forecasting.canvas import BLUE, GREY, INK, VERMILION, finished, stacked
from forecasting.lab.adding import BASELINE, SOLVED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from forecasting.lab.results import Results

COLOURS = {
    "rnn": GREY,
    "lstm": BLUE,
    "gru": "#009E73",
    "question": "#56B4E9",
    "lstm1997": "#CC79A7",
    "alternative1": VERMILION,
    "alternative1_deep": INK,
    "alternative1_skip": "#B8A000",
    "alternative2": "#E69F00",
}
DASHES = {"default": "-", "one": "--", "chrono": ":"}
LEAST, MOST = 1e-12, 1e4


def flow_figure(results: Results) -> Figure:
    """Draw how much of a gradient is left so many steps back: the mean of the seeds, a line for each variant."""
    figure, (panel,) = stacked(1, 1, 4.6)
    for flow in results.flows:
        left = np.exp(np.log(np.maximum(flow.left, 1e-300)).mean(axis=0))
        lags, colour, dash = (0, *flow.lags), COLOURS[flow.variant.system], DASHES[flow.variant.begin]
        panel.plot(lags, [1.0, *left], color=colour, linestyle=dash, linewidth=1.6, label=flow.variant.name)
    panel.set_yscale("log")
    panel.set_ylim(LEAST, MOST)
    panel.set_xlabel("steps back")
    panel.set_ylabel("gradient left")
    figure = finished(figure, [], "before training: how much of a gradient is left")
    figure.legend(
        *panel.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize="small"
    )
    return figure


def adding_figure(results: Results) -> Figure:
    """Draw the squared error of each training, a column of panels for each length."""
    lengths = sorted({one.length for one in results.added})
    figure, panels = stacked(1, len(lengths), 3.6)
    for length, panel in zip(lengths, panels, strict=True):
        tried = [one for one in results.added if one.length == length]
        for place, one in enumerate(tried):
            errors = [min(lesson.error, 1.0) for lesson in one.lessons]
            panel.scatter(errors, [place] * len(errors), color=COLOURS[one.variant.system], s=24)
        panel.set_yticks(range(len(tried)), [one.variant.name for one in tried], fontsize="small")
        panel.axvline(BASELINE, color=GREY, linestyle="--")
        panel.axvline(SOLVED, color=GREY, linestyle=":")
        panel.set_xscale("log")
        panel.set_xlabel(f"squared error, T = {length}")
    return finished(
        figure, [], "adding two numbers far apart: each dot is a training; dashed: no memory; dotted: solved"
    )


def growth_figure(results: Results) -> Figure:
    """Draw how large the state becomes of networks that are carried on."""
    figure, (panel,) = stacked(1, 1, 3.0)
    for growth in results.growths:
        panel.plot(
            growth.behind, growth.sizes, marker="o", color=COLOURS[growth.variant.system], label=growth.variant.name
        )
    panel.set_xlabel("rows carried")
    panel.set_ylabel("largest number in the state")
    return finished(figure, [panel], "a state that cannot forget grows with every row")

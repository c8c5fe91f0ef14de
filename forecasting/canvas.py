"""What all pictures have in common: size, colours, where the legend goes.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart. Figures are made without pyplot, so any
thread may draw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.axes import Axes

INK, GREY, BLUE, VERMILION = "#333333", "#AAAAAA", "#0072B2", "#D55E00"
WIDTH = 10.0
MOST_ABREAST = 8


def stacked(rows: int, across: int, height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure with so many panels; a row of them is so many inches high."""
    figure = Figure(figsize=(WIDTH, 1.2 + height * rows), layout="constrained")
    return figure, list(figure.subplots(rows, across, squeeze=False, sharex=across == 1).flat)


def finished(figure: Figure, labelled: Iterable[Axes], title: str) -> Figure:
    """Put title and legend outside of the data."""
    figure.suptitle(title)
    for panel in labelled:
        handles, names = panel.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), MOST_ABREAST), frameon=False)
    for panel in figure.axes:
        panel.spines[["top", "right"]].set_visible(False)
    return figure

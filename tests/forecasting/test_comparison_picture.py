"""The picture of a decision can be drawn whatever the losses are."""

from __future__ import annotations

import numpy as np
import pytest

from forecasting.comparing import Paired, compare
from forecasting.comparison_picture import comparison_figure

HOUR = 3_600_000_000_000


def drawn(ours: np.ndarray, theirs: np.ndarray) -> list[list[str]]:
    """Draw it, and return what the legends of the panels say."""
    paired = Paired(np.arange(len(ours)) * HOUR, ours, theirs)
    found = compare(paired, 1)
    assert found is not None
    figure = comparison_figure(paired, found, "not promoted: " + 30 * "for a long reason, ")
    figure.canvas.draw()
    return [[text.get_text() for text in legend.get_texts()] for panel in figure.axes if (legend := panel.get_legend())]


@pytest.mark.parametrize("count", [1, 2, 300])
def test_each_panel_says_what_its_lines_are(count: int) -> None:
    losses = np.random.default_rng(0).gamma(2, size=(2, count))
    assert drawn(*losses) == [
        ["what chance would do (95 %)", "lead of the new model"],
        ["champion", "new model"],
    ]


@pytest.mark.parametrize("broken", [(0,), (1,), (0, 1)])
def test_losses_without_end_are_left_out(broken: tuple[int, ...]) -> None:
    losses = np.ones((2, 99))
    for one in broken:
        losses[one, 7] = np.inf
    assert len(drawn(*losses)) == 2

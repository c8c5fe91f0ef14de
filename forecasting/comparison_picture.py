"""A picture of a gate's decision: how a challenger's lead over the champion grew, and what chance would do."""

from __future__ import annotations

import math
import textwrap

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from forecasting.canvas import BLUE, GREY, INK, finished, stacked
from forecasting.comparing import Comparison, Paired

SMOOTH = 24
"""Times that a loss is averaged over, an eighth of all where there are fewer: single ones jump too much."""


def comparison_figure(paired: Paired, found: Comparison, title: str) -> Figure:
    """Draw the lead over time, ending at the mean difference with its interval, and both losses, averaged a little.

    Losses without end are left out: the title says who answered what is no number.
    """
    ours, theirs = (np.where(np.isfinite(loss), loss, np.nan) for loss in (paired.ours, paired.theirs))
    times = pd.DatetimeIndex(paired.times, tz="UTC").tz_localize(None)
    figure, (lead, losses) = stacked(2, 1, 2.6)
    count = len(times)
    grown = np.nancumsum(theirs - ours) / count
    reach = (found.high - found.low) / 2 if math.isfinite(found.low) else 0.0
    chance = reach * np.sqrt(np.arange(1, count + 1) / count)
    lead.fill_between(times, -chance, chance, color="#DDDDDD", label="what chance would do (95 %)")
    lead.plot(times, grown, color=BLUE, linewidth=1.2, label="lead of the new model")
    lead.axhline(0, color=INK, linewidth=0.8)
    lead.set_ylabel("sum of differences\n/ number of times")
    losses.plot(times, _smooth(theirs), color=GREY, linewidth=3, label="champion")
    losses.plot(times, _smooth(ours), color=BLUE, linewidth=1.2, label="new model")
    losses.set_ylabel("mse_z")
    losses.set_ylim(bottom=0)
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    losses.xaxis.set_major_locator(locator)
    losses.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    for panel in (lead, losses):
        panel.legend(loc="upper left", ncols=2, frameon=False)
    return finished(figure, [], "\n".join(textwrap.wrap(title, 110)))


def _smooth(loss: Float[np.ndarray, " times"]) -> Float[np.ndarray, " times"]:
    width = max(min(SMOOTH, len(loss) // 8), 1)
    return pd.Series(loss).rolling(width, min_periods=1, center=True).mean().to_numpy()

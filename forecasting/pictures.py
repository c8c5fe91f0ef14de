"""Pictures of a run for people: forecast against actual, errors, residuals, training curves.

Figures are made without pyplot, so any thread may draw. Colours are those of Okabe and Ito, which colour-blind readers
can tell apart; where there are more columns than a page has room for, the title says how many are shown.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from forecasting.canvas import BLUE, GREY, INK, VERMILION, WIDTH, finished, stacked
from forecasting.conformal import JUDGED
from forecasting.scores import FullScores, Scorecard, Scores

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd
    from matplotlib.axes import Axes

BASELINES = (GREY, "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#F0E442")
LINES = (BLUE, VERMILION, "#009E73", "#E69F00", "#CC79A7", "#56B4E9")
DASHES = ("-", "--")

MOST_COLUMNS = 12
NEWEST = 168
LAGS = 48
BINS = 60
TAIL = 0.005
CONFIDENCE = 1.96


class Trace(NamedTuple):
    """Forecasts of one series and what came, in the units of the data; a row per target time, NaN missing.

    `low` and `high` are the ends of the 90 % interval, NaN where there is none.
    """

    times: pd.DatetimeIndex
    actual: Float[np.ndarray, "rows columns"]
    point: Float[np.ndarray, "rows columns"]
    median: Float[np.ndarray, "rows columns"]
    low: Float[np.ndarray, "rows columns"]
    high: Float[np.ndarray, "rows columns"]


def forecast_figure(
    trace: Trace, columns: Sequence[str], units: Mapping[str, str], title: str, newest: int = NEWEST
) -> Figure:
    """Draw the newest rows of a trace, a panel for each column; a missing cell is a gap."""
    shown = columns[:MOST_COLUMNS]
    figure, panels = stacked(len(shown), 1, 1.7)
    times = trace.times[-newest:].tz_convert("UTC").tz_localize(None).to_numpy()
    actual, point, median, low, high = (part[-newest:] for part in trace[1:])
    for c, (name, panel) in enumerate(zip(shown, panels, strict=True)):
        if np.isfinite(low[:, c]).any():
            panel.fill_between(
                times, low[:, c], high[:, c], color=BLUE, alpha=0.18, linewidth=0, label=f"{JUDGED} % interval"
            )
        panel.plot(times, actual[:, c], color=GREY, linewidth=2.4, marker=".", markersize=4, label="actual")
        panel.plot(times, point[:, c], color=BLUE, linewidth=1.2, label="point forecast")
        panel.plot(times, median[:, c], color=VERMILION, linewidth=1.2, linestyle=(0, (3, 4)), label="median forecast")
        panel.set_ylabel(_with_unit(name, units))
        panel.margins(x=0.01)
    locator = AutoDateLocator(minticks=3, maxticks=9)  # type: ignore[no-untyped-call] # matplotlib's stubs
    panels[-1].xaxis.set_major_locator(locator)
    panels[-1].xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    panels[-1].set_xlabel("time (UTC)")
    return finished(figure, panels[:1], f"{title}{_of(shown, columns)}")


def error_by_step_figure(scorecard: Scorecard) -> Figure:
    """Draw the errors of model and baselines in z units: by step ahead where there are several, and by column."""
    cards = _cards(scorecard)
    columns = list(scorecard.model.by_column)
    shown = columns[:MOST_COLUMNS]
    several = len(scorecard.model.by_step) > 1
    figure = Figure(figsize=(WIDTH, 7.0 if several else 4.0), layout="constrained")
    panels = list(figure.subplots(2 if several else 1, 2, squeeze=False).flat)
    for panel, (label, error) in zip(panels, _ERRORS * 2, strict=False):
        panel.set_ylabel(label)
        if several and panel in panels[:2]:
            _draw_steps(panel, cards, error)
        else:
            _draw_columns(panel, cards, shown, error)
        panel.set_ylim(bottom=0)
    title = f"Error in the backtest, {scorecard.start[:10]} to {scorecard.end[:10]}, {scorecard.origins:,} origins"
    return finished(figure, panels[:1], f"{title}{_of(shown, columns)}")


def calibration_figure(
    cells: Int[np.ndarray, "steps columns"], inside: Mapping[int, np.ndarray], columns: Sequence[str]
) -> Figure:
    """Draw how many of the observed cells each interval held: nominal against observed by column, and 90 % by step.

    `inside` counts those (steps, columns) that the interval of each level, in percent, held.
    """
    shown = columns[:MOST_COLUMNS]
    figure = Figure(figsize=(WIDTH, 5.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    levels = sorted(inside)
    left.plot([0, 100], [0, 100], color=GREY, linewidth=3, label="as promised")
    observed = {level: _percent(inside[level].sum(axis=0), cells.sum(axis=0)) for level in levels}
    for c, name in enumerate(shown):
        style = {"color": LINES[c % len(LINES)], "linestyle": DASHES[c // len(LINES)]}
        left.plot(levels, [observed[level][c] for level in levels], marker=".", linewidth=1.2, label=name, **style)
        if JUDGED in inside:
            _draw_coverage(right, _percent(inside[JUDGED][:, c], cells[:, c]), style)
    left.set(xlabel="level of the interval (%)", ylabel="what came was inside (%)", xlim=(0, 100), ylim=(0, 100))
    right.axhline(JUDGED, color=GREY, linewidth=3, zorder=0)
    right.set(
        xlabel="steps ahead",
        ylabel=f"inside the {JUDGED} % interval (%)",
        xlim=(0.5, len(cells) + 0.5),
        ylim=(None, 101),
    )
    right.xaxis.set_major_locator(MaxNLocator(integer=True))
    return finished(figure, [left], f"Intervals in the backtest{_of(shown, columns)}")


def residual_figure(
    residuals: Float[np.ndarray, "rows columns"], columns: Sequence[str], units: Mapping[str, str]
) -> Figure:
    """Draw how the next-step errors (forecast minus actual) of each column spread, and whether they depend on time."""
    shown = columns[:MOST_COLUMNS]
    figure, panels = stacked(len(shown), 2, 1.8)
    for c, name in enumerate(shown):
        _draw_spread(panels[2 * c], residuals[:, c], _with_unit(name, units))
        _draw_autocorrelation(panels[2 * c + 1], residuals[:, c])
    panels[0].set_title("forecast minus actual (the end bars hold the tails)", fontsize="medium")
    panels[1].set_title("autocorrelation (grey: what chance would do)", fontsize="medium")
    panels[-1].set_xlabel("lag (rows)")
    return finished(figure, [], f"Residuals of the next step{_of(shown, columns)}")


def curves_figure(curves: Sequence[Mapping[str, float]], best: int) -> Figure:
    """Draw every number of the training log against its `step`, a panel for each, with the step kept marked."""
    names = [name for name in dict.fromkeys(key for row in curves for key in row) if name != "step"]
    figure, panels = stacked(len(names), 1, 2.4)
    for name, panel in zip(names, panels, strict=True):
        points = [(row["step"], row[name]) for row in curves if name in row]
        panel.plot(*zip(*points, strict=True), color=BLUE, marker=".", linewidth=1.2)
        panel.axvline(best, color=VERMILION, linewidth=1, linestyle="--", label=f"kept: step {best}")
        panel.set_ylabel(name)
    panels[-1].set_xlabel("step")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    return finished(figure, panels[:1], "Training")


def autocorrelation(values: Float[np.ndarray, " rows"], lags: int) -> Float[np.ndarray, " lags"]:
    """Return the autocorrelation at lags 1 to `lags` over the pairs that are observed; NaN where there are none."""
    centred = values - np.nanmean(values) if np.isfinite(values).any() else values
    filled, seen = np.nan_to_num(centred), np.isfinite(centred).astype(float)
    spread = float((filled**2).sum() / max(seen.sum(), 1))
    found = np.full(lags, np.nan)
    for lag in range(1, min(lags, len(values) - 1) + 1):
        pairs = seen[lag:] @ seen[:-lag]
        if pairs and spread:
            found[lag - 1] = (filled[lag:] @ filled[:-lag]) / pairs / spread
    return found


def _rmse_z(scores: Scores) -> float:
    return math.nan if scores.mse_z is None else math.sqrt(scores.mse_z)


def _mae_z(scores: Scores) -> float:
    return math.nan if scores.mae_z is None else scores.mae_z


_ERRORS = [("RMSE of the point (z units)", _rmse_z), ("MAE of the median (z units)", _mae_z)]


def _cards(scorecard: Scorecard) -> dict[str, tuple[FullScores, str]]:
    """Model first; a baseline that does not apply is left out. Each keeps its colour in every picture."""
    colours = dict(zip(scorecard.baselines, BASELINES, strict=False))
    applying = {name: card for name, card in scorecard.baselines.items() if card is not None}
    others = {name.replace("_", " "): (card, colours.get(name, INK)) for name, card in applying.items()}
    return {"model": (scorecard.model, BLUE), **others}


def _percent(inside: np.ndarray, cells: np.ndarray) -> np.ndarray:
    return np.asarray(np.divide(100.0 * inside, cells, where=cells > 0, out=np.full(cells.shape, np.nan)))


def _draw_coverage(panel: Axes, observed: np.ndarray, style: Mapping[str, Any]) -> None:
    panel.plot(np.arange(1, len(observed) + 1), observed, marker=".", linewidth=1.2, **style)


def _draw_steps(panel: Axes, cards: Mapping[str, tuple[FullScores, str]], error: Callable[[Scores], float]) -> None:
    for name, (card, colour) in cards.items():
        steps = [one.step for one in card.by_step]
        width = 2.2 if name == "model" else 1.2
        panel.plot(steps, [error(one) for one in card.by_step], color=colour, linewidth=width, marker=".", label=name)
    panel.set_xlabel("steps ahead")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_columns(
    panel: Axes, cards: Mapping[str, tuple[FullScores, str]], columns: Sequence[str], error: Callable[[Scores], float]
) -> None:
    thick = 0.8 / len(cards)
    for place, (name, (card, colour)) in enumerate(cards.items()):
        left = np.arange(len(columns)) - 0.4 + (place + 0.5) * thick
        panel.bar(left, [error(card.by_column[one]) for one in columns], width=thick, color=colour, label=name)
    panel.set_xticks(np.arange(len(columns)), columns, rotation=30, ha="right", rotation_mode="anchor")


def _draw_spread(panel: Axes, residuals: Float[np.ndarray, " rows"], label: str) -> None:
    observed = residuals[np.isfinite(residuals)]
    panel.set_ylabel(label)
    if len(observed):
        reach = float(np.abs(np.quantile(observed, [TAIL, 1 - TAIL])).max()) or 1.0
        panel.hist(
            observed.clip(-reach, reach), bins=BINS, range=(-reach, reach), color=BLUE
        )  # tails pile up at the ends
    panel.axvline(0, color=INK, linewidth=0.8)
    panel.set_yticks([])


def _draw_autocorrelation(panel: Axes, residuals: Float[np.ndarray, " rows"]) -> None:
    chance = CONFIDENCE / math.sqrt(max(int(np.isfinite(residuals).sum()), 1))
    panel.axhspan(-chance, chance, color="#DDDDDD")
    panel.bar(np.arange(1, LAGS + 1), autocorrelation(residuals, LAGS), width=0.8, color=BLUE)
    panel.axhline(0, color=INK, linewidth=0.8)
    panel.set_ylim(-1, 1)


def _with_unit(name: str, units: Mapping[str, str]) -> str:
    return f"{name}\n({units[name]})" if name in units else name


def _of(shown: Sequence[str], columns: Sequence[str]) -> str:
    return "" if len(shown) == len(columns) else f" ({len(shown)} of {len(columns)} columns)"

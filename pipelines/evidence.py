"""The pictures of a run and its card, made from its backtest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from forecasting.card import Card
from forecasting.comparing import Paired
from forecasting.comparison_picture import comparison_figure
from forecasting.evaluation import Backtest
from forecasting.pictures import (
    Trace,
    calibration_figure,
    curves_figure,
    error_by_step_figure,
    forecast_figure,
    residual_figure,
)
from forecasting.registry import Run
from forecasting.ridge import Choice, LinearFit
from forecasting.scores import Scorecard
from forecasting.training import Epoch, Fitted
from pipelines.promotion import Decision

MOST_SERIES = 4
CARD_SCORES = ("mse_z", "mae_z", "mae", "rmse", "mase", "mql", "coverage", "width")


def card_of(card: Scorecard, told: Card | None = None) -> str:
    """Return the scorecard as Markdown, for MLflow's pages of run and version, with how it remembers and streams."""
    cards = {"**model**": card.model, **card.baselines}
    rows = [
        f"| {name} | {' | '.join(_written(getattr(scores, key)) for key in CARD_SCORES)} |"
        for name, scores in cards.items()
        if scores is not None
    ]
    head = f"Test rows {card.start} to {card.end}, {card.origins:,} origins, observed cells only.\n"
    reasons = [f"\n{name}: {reason}" for name, reason in card.reasons.items()]
    table = [f"| | {' | '.join(CARD_SCORES)} |", "|---" * (len(CARD_SCORES) + 1) + "|", *rows]
    words = {"memory": told.memory, "streaming": told.streaming} if told else {}
    sentences = [f"\n{name}: {said}" for name, said in words.items() if said]
    return "\n".join([head, *table, *reasons, *sentences])


def _written(score: float | None) -> str:
    return "-" if score is None else f"{score:.4f}"


def log_pictures(run: Run, epochs: Sequence[Epoch], best: Epoch, tested: Backtest, units: Mapping[str, str]) -> None:
    """Log forecast against actual, error by step and column, residuals, calibration and training curves."""
    columns = list(tested.scorecard.model.by_column)
    drawn = [i for i, at in enumerate(tested.at) if len(at)][:MOST_SERIES]
    for i in drawn:
        figure = forecast_figure(trace_of(tested, i), columns, units, _title(tested, i))
        run.log_figure(f"pictures/forecast-{_plain(tested.panel[i].series.id)}.png", figure)
    traces = [trace_of(tested, i) for i, at in enumerate(tested.at) if len(at)]
    residuals = np.concatenate([trace.point - trace.actual for trace in traces])
    run.log_figure("pictures/residuals.png", residual_figure(residuals, columns, units))
    run.log_figure("pictures/errors.png", error_by_step_figure(tested.scorecard))
    if tested.reliability.inside:
        run.log_figure("pictures/calibration.png", calibration_figure(*tested.reliability, columns))
    run.log_figure("pictures/training.png", curves_figure([_point(epoch) for epoch in epochs], best.epoch))


def log_comparison(run: Run, paired: Paired, decision: Decision) -> None:
    """Log how the difference to the champion grew over the rows that both were tested on, and its figures."""
    found = decision.comparison
    if found is None:
        return
    title = f"{'promoted' if decision.promote else 'not promoted'}: {decision.reason}"
    run.log_figure("pictures/decision.png", comparison_figure(paired, found, title))
    told = {"champion": found.theirs, "model": found.ours, "gain": found.gain, "p_value": found.p_value}
    run.log_metrics({f"gate.{name}": value for name, value in told.items() if math.isfinite(value)})


def log_fit(run: Run, fitted: Fitted, targets: Sequence[str]) -> None:
    """Log how training went: a curve for each network, which roads and channels were tried, what is trusted."""
    for epoch in fitted.epochs:
        run.log_curve(epoch.epoch, _numbers(epoch))
    run.log_json("linear-road.json", [_tried_road(choice, fitted.linear) for choice in fitted.linear.tried])
    run.log_json("channels.json", {"chosen": fitted.best.channels, "tried": _best_of_each(fitted.epochs)})
    run.log_json("trust.json", {"targets": targets, "point, median, scale": fitted.trust.tolist()})


def _numbers(epoch: Epoch) -> dict[str, float | None]:
    """Name the numbers of an epoch by what was trained: each network has its own curves."""
    numbers = {key: value for key, value in msgspec.to_builtins(epoch).items() if key not in ("epoch", "channels")}
    return {f"{epoch.channels}.{key}": value for key, value in numbers.items()}


def _best_of_each(epochs: Sequence[Epoch]) -> list[Epoch]:
    ways = dict.fromkeys(epoch.channels for epoch in epochs)
    return [min((one for one in epochs if one.channels == way), key=lambda epoch: epoch.objective) for way in ways]


def _tried_road(choice: Choice, found: LinearFit) -> dict[str, Any]:
    """Return what is recorded of a linear road that was tried."""
    candidate, averaged = choice.candidate._asdict(), choice in found.chosen
    return {"candidate": candidate, "strength": choice.strength, "mse_z": choice.mse_z, "averaged": averaged}


def road_words(found: LinearFit) -> str:
    """Say which linear road was chosen."""
    roads = [_road(choice) for choice in found.chosen]
    if len(roads) < 2:  # noqa: PLR2004 - a mean is of two
        return "".join(roads) or "none: the last value stays"
    return f"the mean of {len(roads)} roads, the best: {roads[0]}"


def _road(choice: Choice) -> str:
    if not choice.questions:
        return "none: the last value stays"
    lags, others, levels = choice.candidate
    beside = f", {others} changes of the other columns" if others else ""
    return f"{lags} lags of the target{beside}, levels: {levels}; ridge {choice.strength:g}"


def trace_of(tested: Backtest, i: int) -> Trace:
    """Return the next-step forecasts of one series beside what came, in the units of the data."""
    one, at, answered = tested.panel[i], tested.at[i], tested.answered[i]
    return Trace(
        times=one.series.index[at.start + 1 : at.stop + 1],
        actual=tested.actual[i][:, 0],
        point=answered.point[:, 0],
        median=answered.median[:, 0],
        low=answered.low[:, 0],
        high=answered.high[:, 0],
    )


def _title(tested: Backtest, i: int) -> str:
    return f"Next-step forecasts on test rows, series {tested.panel[i].series.id}"


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)[:64]


def _point(epoch: Epoch) -> dict[str, float]:
    numbers = msgspec.to_builtins(epoch)
    return {
        "step": epoch.epoch,
        **{key: value for key, value in numbers.items() if key not in ("epoch", "channels") and value is not None},
    }

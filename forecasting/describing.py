"""Writes the model card from what is known once a model is trained and judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from forecasting.card import Card, CardColumn, CardData, CardScore
from forecasting.conformal import Calibration
from forecasting.members import Architecture
from forecasting.project import Project
from forecasting.remembering import Memory
from forecasting.report import counted
from forecasting.scaled import Scales
from forecasting.scaling import Scaler
from forecasting.scores import Scorecard
from forecasting.series import Panel, Split, rfc3339
from forecasting.steadiness import SETTLED, Streaming
from forecasting.transforms import Bounds

SCORES = ("mse_z", "mae_z", "mql", "coverage", "interval_score")
MOSTLY = 1 / 3
MANY = 3  # so that 24 rows of an hour are 24 hours, and 72 are 3 days
UNITS = (("day", 86_400.0), ("hour", 3_600.0), ("minute", 60.0), ("second", 1.0))


@dataclass(frozen=True)
class Judged:
    """What training and the backtest came to; `linear` and `trusted` as in the card, None is not known."""

    architecture: Architecture
    linear: str
    trusted: float
    calibration: Calibration | None = None
    scorecard: Scorecard | None = None
    streaming: Streaming | None = None
    memory: Memory | None = None


def describe_data(project: Project, panel: Panel, split: Split) -> CardData:
    """Return what the rows were."""
    grid = panel.grid()
    return CardData(
        source=project.public().data.source,
        series=len(panel),
        rows=panel.rows,
        freq=panel.freq,
        timezone=panel.timezone,
        start=rfc3339(grid[0]),
        valid=rfc3339(split.valid),
        test=rfc3339(split.test),
        end=rfc3339(grid[-1] if split.end is None else split.end),
        scaling=project.data.scaling,
        static=panel.columns.static,
    )


def describe_columns(project: Project, panel: Panel, split: Split, scales: Scales) -> tuple[CardColumn, ...]:
    """Return what each value of a row is, and was in training."""
    columns, scaler, train = panel.columns, scales.scaler, split.train(panel)
    roles = ["target"] * len(columns.targets) + ["past"] * len(columns.past) + ["known"] * len(columns.known)
    cells = np.sum([np.isnan(one.values).sum(axis=0) for one in train], axis=0) / max(train.rows, 1)
    measured, means = (*scaler.series.values(), scaler.overall), _means(train, scaler)
    return tuple(
        CardColumn(
            name=name,
            role=roles[place],
            unit=project.data.units.get(name),
            log1p=transform.log1p,
            integer=transform.integer,
            possible=transform.limits,
            plausible=_widest([(one.lower[place], one.upper[place]) for one in measured]),
            mean=float(means[place]),
            std=scaler.overall.spread[place],
            missing=float(cells[place]),
        )
        for place, (name, transform) in enumerate(zip(columns.row, scaler.transforms, strict=True))
    )


def _means(train: Panel, scaler: Scaler) -> Float[np.ndarray, " columns"]:
    """Return the means of all plausible cells in the units of the data; 0 of a column without any."""
    kept = [scaler.units(one.id).screened(one.values) for one in train]
    cells = np.sum([(~np.isnan(values)).sum(axis=0) for values in kept], axis=0)
    return np.asarray(np.sum([np.nansum(values, axis=0, dtype=np.float64) for values in kept], axis=0) / cells.clip(1))


def _widest(limits: list[Bounds]) -> Bounds:
    lows, highs = zip(*limits, strict=True)
    low = None if None in lows else min(lows)
    return low, None if None in highs else max(highs)


def describe_scores(scorecard: Scorecard) -> tuple[CardScore, ...]:
    """Return the scores that matter most, beside the baselines'."""
    return tuple(
        CardScore(
            score=name,
            model=getattr(scorecard.model, name),
            baselines={base: getattr(scores, name, None) for base, scores in scorecard.baselines.items()},
        )
        for name in SCORES
    )


def describe_network(a: Architecture) -> str:
    """Say what the forecaster is, in a sentence."""
    each = "sees all targets together" if a.channels == "joint" else "is shared by the targets and sees each alone"
    return (
        f"{a.members} x {a.cell} of {a.layers} x {a.hidden} that {each}, beside a linear road of {a.lags} lags; "
        f"{a.horizon} {'step' if a.horizon == 1 else 'steps'} ahead"
    )


def describe_streaming(streaming: Streaming) -> str:
    """Say what becomes of a model that is carried from row to row, and whether it may be."""
    if streaming.settling is not None:
        settles = f"settles after {counted(streaming.settling, 'row')}"
    elif streaming.curve:
        settles = f"does not settle within {counted(streaming.curve[-1][0], 'row')}"
    else:
        settles = "too few rows to see it settle"
    if streaming.grows:
        rows, size = streaming.growth[-1]
        return f"its state grows without bound, to {size:,.0f} after {counted(rows, 'row')}: it is not streamed"
    ratio = "ratio unknown" if streaming.ratio is None else f"ratio {streaming.ratio:.3f}"
    if streaming.safe:
        return f"{settles}, {ratio}, safe"
    every, anew = counted(streaming.resync_every, "row"), counted(streaming.resync_rows, "row")
    return f"{settles}, {ratio}, not safe: its state must be rebuilt from the last {anew} every {every}"


def describe_memory(memory: Memory, streaming: Streaming | None, freq: str) -> str:
    """Say how far back a model looks, what fewer rows of history would do, and what its linear road has of it."""
    larger = _larger(streaming)
    if not memory.forecast.most or (streaming and streaming.needless):
        return f"no memory is needed: {larger or 'its forecasts stay at the last value'}"
    about = "at least" if memory.cut else "about"
    said = f"this model looks back {about} {span_words(memory.forecast.most, freq)}"
    fewer = _fewer(memory.forecast.most, streaming.curve) if streaming else None
    if fewer is not None:
        rows, error = fewer
        said += f"; with {span_words(rows, freq)} of history its forecasts would differ by {100 * error:.0f} %"
    said += f"; {larger}" if larger else ""
    if memory.recurrent.most:
        return f"{said}; its recurrent network looks back {span_words(memory.recurrent.most, freq)}"
    return f"{said}; its recurrent network adds nothing"


def _larger(streaming: Streaming | None) -> str | None:
    if streaming is None or streaming.alone is None:
        return None
    many = streaming.alone >= MANY - 1
    how = f"{streaming.alone:.1f} times as large" if many else f"{100 * (streaming.alone - 1):.1f} % larger"
    return f"from the newest row alone its squared errors would be {how}"


def _fewer(reach: int, curve: Sequence[tuple[int, float]]) -> tuple[int, float] | None:
    """Return the longest history of the curve that is no more than six tenths of the reach and changes something."""
    return next(((rows, error) for rows, error in reversed(curve) if rows <= 0.6 * reach and error > SETTLED), None)


def span_words(rows: int, freq: str) -> str:
    """Say how long so many rows are: in the unit of a row, or in a longer one that it comes to a whole number of.

    In rows where a row has no fixed length (months), or is shorter than a second.
    """
    one = _seconds(freq)
    for unit, seconds in UNITS:
        longer = (rows * one) % seconds == 0 and rows * one >= MANY * seconds
        if one and (one % seconds == 0 or longer):
            return counted(round(rows * one / seconds), unit)
    return counted(rows, "row")


def _seconds(freq: str) -> float:
    """Return the length of a step; 0 where it has none. A day is taken as 24 hours."""
    step = pd.tseries.frequencies.to_offset(freq)
    if isinstance(step, pd.offsets.Day):
        return step.n * UNITS[0][1]
    return pd.Timedelta(step).total_seconds() if isinstance(step, pd.offsets.Tick) else 0.0


def describe_limits(
    project: Project, card: tuple[CardColumn, ...], calibration: Calibration | None, scorecard: Scorecard | None
) -> tuple[str, ...]:
    """Return what a reader of forecasts must know, a sentence each."""
    said = [f"{one.name}: {one.missing:.0%} of the training cells were missing" for one in card if one.missing > MOSTLY]
    if scorecard is not None:
        said += [f"on test rows it did not beat {name}" for name in scorecard.baselines if _worse(scorecard, name)]
    if calibration is not None:
        said += [
            f"the {level} % interval has too few validation rows behind it for every step and target"
            for level in calibration.levels
            if calibration.short(level).any()
        ]
    said.append(f"trained on rows every {project.data.freq}; forecasts of rows with another step mean nothing")
    said.append("intervals hold as often as they say while errors stay as they were on validation rows")
    return tuple(said)


def _worse(scorecard: Scorecard, name: str) -> bool:
    baseline, model = scorecard.baselines[name], scorecard.model
    if baseline is None or baseline.mse_z is None or model.mse_z is None:
        return False
    return model.mse_z >= baseline.mse_z


def write_card(project: Project, panel: Panel, split: Split, scales: Scales, judged: Judged) -> Card:
    """Write the card."""
    columns = describe_columns(project, panel, split, scales)
    return Card(
        data=describe_data(project, panel, split),
        columns=columns,
        forecaster=describe_network(judged.architecture),
        linear=judged.linear,
        trusted=judged.trusted,
        levels=judged.calibration.levels if judged.calibration else (),
        scores=describe_scores(judged.scorecard) if judged.scorecard else (),
        streaming=describe_streaming(judged.streaming) if judged.streaming else None,
        memory=describe_memory(judged.memory, judged.streaming, project.data.freq) if judged.memory else None,
        limits=describe_limits(project, columns, judged.calibration, judged.scorecard),
    )

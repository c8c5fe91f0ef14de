"""The rolling-origin backtest: a forecaster and the baselines, at every origin, on the same observed cells.

What is judged is what would be answered, in the units of the data: bounds kept, whole numbers whole, logarithms undone.
Every forecast, a baseline's too, has the conformal quantiles that its own errors on validation rows give it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from forecasting.baselines import BASELINES, Predictor, fit_baseline
from forecasting.conformal import JUDGED, Calibration, Outcome, calibrate
from forecasting.errors import DataError
from forecasting.metrics import Answer, Losses, Yardstick, added, in_sample_naive, losses, score
from forecasting.network import Forecaster
from forecasting.scaled import ScaledSeries, actuals, origins, targets
from forecasting.scaling import Units
from forecasting.scores import FullScores, Scorecard
from forecasting.series import rfc3339
from forecasting.streaming import Job, Told, stream

MOST_NAIVE_ROWS = 1_000_000
MOST_RESIDUALS = 5_000_000
MOST_NUMBERS = 4_000_000
"""Answered numbers held at once, in double precision: 32 MB."""


@dataclass(frozen=True)
class Answered:
    """Answers for one series in the units of the data; `low` and `high` end the 90 % interval, NaN without one."""

    point: Float[np.ndarray, "origins horizon columns"]
    median: Float[np.ndarray, "origins horizon columns"]
    low: Float[np.ndarray, "origins horizon columns"]
    high: Float[np.ndarray, "origins horizon columns"]


class Reliability(NamedTuple):
    """How many of the observed `cells` (horizon, columns) each interval held, by level in percent."""

    cells: np.ndarray
    inside: dict[int, np.ndarray]


@dataclass(frozen=True)
class Backtest:
    """The scorecard, and what it was made from: by series, origins, forecasts (z units), answers and what came."""

    scorecard: Scorecard
    panel: tuple[ScaledSeries, ...]
    at: tuple[range, ...]
    told: tuple[Told, ...]
    answered: tuple[Answered, ...]
    actual: tuple[Float[np.ndarray, "_ horizon columns"], ...]
    reliability: Reliability


class _Case(NamedTuple):
    """One series in the test part: its origins, what came (units of the data) and what its errors count."""

    one: ScaledSeries
    at: range
    actual: Float[np.ndarray, "origins horizon columns"]
    yardstick: Yardstick


def _validation(panel: Sequence[ScaledSeries], horizon: int) -> list[range]:
    """Return the validation origins of each series; the newest, where there are more than a calibration needs."""
    most = MOST_RESIDUALS // (horizon * len(panel[0].columns.targets) * len(panel))
    return [origins(one.valid, horizon)[-max(most, 1) :] for one in panel]


def _calibrate(
    told: Sequence[Told], panel: Sequence[ScaledSeries], rows: Sequence[range], levels: Sequence[int]
) -> Calibration:
    outcomes = [
        Outcome(*said, targets(one, at, said.point.shape[1]), one.target_units)
        for said, one, at in zip(told, panel, rows, strict=True)
    ]
    return calibrate(outcomes, levels)


def backtest(
    forecaster: Forecaster, calibration: Calibration | None, panel: Sequence[ScaledSeries], columns: tuple[str, ...]
) -> Backtest:
    """Forecast the targets, `columns`, from every origin of the test part, streamed; score it beside the baselines.

    Raises:
        DataError: no series has a row in the test part.
    """
    cases = _cases(panel, forecaster.architecture.horizon)
    told = stream(forecaster, [Job(case.one, case.at) for case in cases])
    parts = [_lost(said, case, calibration) for said, case in zip(told, cases, strict=True)]
    baselines = {name: _judge_baseline(name, cases, columns) for name in BASELINES}
    first, last = _period(cases)
    scorecard = Scorecard(
        start=rfc3339(first),
        end=rfc3339(last),
        origins=sum(len(case.at) for case in cases),
        model=score([(part, case.yardstick) for part, case in zip(parts, cases, strict=True)], columns),
        baselines={name: scores for name, (scores, _) in baselines.items()},
        reasons={name: reason for name, (_, reason) in baselines.items() if reason},
    )
    answered = [_answered(said, one.target_units, calibration) for said, one in zip(told, panel, strict=True)]
    _, at, actual, _ = zip(*cases, strict=True)
    reliability = _reliability(added(parts), calibration)
    return Backtest(scorecard, tuple(panel), at, tuple(told), tuple(answered), actual, reliability)


def _cases(panel: Sequence[ScaledSeries], horizon: int) -> list[_Case]:
    places = [(one, origins(one.test, horizon)) for one in panel]
    if not any(len(at) for _, at in places):
        message = (
            f"no series has the {horizon} rows in the test part that a forecast needs; give more data or another split"
        )
        raise DataError(message)
    return [_Case(one, at, actuals(one, at, horizon), _yardstick(one)) for one, at in places]


def _yardstick(one: ScaledSeries) -> Yardstick:
    newest = max(one.train.stop - MOST_NAIVE_ROWS, 0)
    naive = in_sample_naive(one.actual(newest, one.train.stop), one.calendar.season)
    return Yardstick(one.target_units.spread.astype(np.float64), *naive)


def _lost(said: Told, case: _Case, calibration: Calibration | None) -> Losses:
    """Measure the forecasts of one series, a stretch of origins at a time: many quantiles of many steps are many."""
    units, spread = case.one.target_units, case.yardstick.spread
    stretches = _stretches(said, 1 + (len(calibration.probabilities) if calibration else 0))
    return added(
        [losses(answer(part, units, calibration), case.actual[rows], spread, calibration) for rows, part in stretches]
    )


def _stretches(said: Told, numbers: int) -> Iterator[tuple[slice, Told]]:
    _, horizon, columns = said.point.shape
    size = max(MOST_NUMBERS // (horizon * columns * numbers), 1)
    for low in range(0, max(len(said.point), 1), size):
        rows = slice(low, low + size)
        yield rows, Told(*(part[rows].astype(np.float64) for part in said))


def answer(said: Told, units: Units, calibration: Calibration | None) -> Answer:
    """Return what is answered, in the units of the data."""
    if calibration is None:
        return Answer(units.from_z(said.point), units.from_z(said.median), said.median[:, None][:, :0])
    point = units.from_z(said.point, calibration.shift)
    return Answer(point, units.from_z(said.median), units.from_z(calibration.quantiles(said.median, said.scale)))


def _answered(said: Told, units: Units, calibration: Calibration | None) -> Answered:
    if calibration is None:
        none = np.full_like(said.median, np.nan)
        return Answered(units.from_z(said.point), units.from_z(said.median), none, none)
    ends = calibration.interval(JUDGED, said.median, said.scale)
    point = units.from_z(said.point, calibration.shift)
    return Answered(point, units.from_z(said.median), *(units.from_z(end) for end in ends))


def _reliability(total: Losses, calibration: Calibration | None) -> Reliability:
    levels = list(calibration.central) if calibration else []
    return Reliability(total.cells, dict(zip(levels, total.inside, strict=True)))


def _judge_baseline(
    name: str, cases: Sequence[_Case], columns: tuple[str, ...]
) -> tuple[FullScores | None, str | None]:
    """Fit, calibrate and score one baseline; None where it applies to no series of the test part, and the reason."""
    horizon = cases[0].actual.shape[1]
    asked = [case for case in cases if len(case.at) or len(origins(case.one.valid, horizon))]
    panel = [case.one for case in asked]
    predictors, reason = fit_baseline(name, panel, [bool(case.at) for case in asked], horizon)
    if not predictors:
        return None, reason
    calibration = _calibrated_baseline(predictors, panel, horizon)
    tested = [(case, say) for case, say in zip(asked, predictors, strict=True) if case.at]
    parts = [(_lost(_told(say(case.at)), case, calibration), case.yardstick) for case, say in tested]
    return score(parts, columns), reason


def _calibrated_baseline(
    predictors: Sequence[Predictor], panel: Sequence[ScaledSeries], horizon: int
) -> Calibration | None:
    """Calibrate a baseline as a model is, with errors of one size; None where validation rows show nothing."""
    rows = _validation(panel, horizon)
    columns = len(panel[0].columns.targets)
    nothing = np.zeros((0, horizon, columns), np.float32)
    told = [_told(predictor(at) if at else nothing) for predictor, at in zip(predictors, rows, strict=True)]
    try:
        return _calibrate(told, panel, rows, [JUDGED])
    except DataError:
        return None


def _told(made: Float[np.ndarray, "origins horizon columns"]) -> Told:
    return Told(made, made, np.broadcast_to(np.float32(1), made.shape))


def _period(cases: Sequence[_Case]) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return the times of the first and the last target."""
    used = [(case.one.series.index, case.at, case.actual.shape[1]) for case in cases if case.at]
    return min(i[at.start + 1] for i, at, _ in used), max(i[at.stop - 1 + horizon] for i, at, horizon in used)

"""From windows of rows to forecasts: a pure function of bundle and windows, safe to call from many threads.

Windows of equal length are computed together; what is said about one of them does not depend on the others, but for
rounding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from forecasting.admission import (
    Caution,
    Scaled,
    Window,
    cautions_about,
    is_new,
    refuse_far,
    refuse_unusable,
    scale_windows,
)
from forecasting.bundle import Bundle, Spec
from forecasting.conformal import Calibration
from forecasting.engines import EagerEngine, Engine, Inputs, ZForecast
from forecasting.errors import GatecastError, NotFinite, WindowRejected
from forecasting.forecasts import Interval, WindowForecast, default_levels, forecast_columns, forecast_frame
from forecasting.scaling import together
from forecasting.stepping import times_after

__all__ = [
    "Asked",
    "Caution",
    "Interval",
    "Window",
    "WindowForecast",
    "ZForecast",
    "default_levels",
    "forecast",
    "forecast_columns",
    "forecast_frame",
    "forecast_many",
    "levels_of",
    "predict_z",
    "z_inputs",
]


class Asked(NamedTuple):
    """A window to forecast from; `levels` of the intervals in percent (None: 90), `steps` (None: all there are)."""

    window: Window
    levels: Sequence[int] | None = None
    steps: int | None = None


def forecast(
    bundle: Bundle,
    window: Window,
    levels: Sequence[int] | None = None,
    steps: int | None = None,
    engine: Engine | None = None,
) -> WindowForecast:
    """Unroll the window once and forecast what follows its last row, `steps` steps far (default: all).

    `levels` are those of the intervals, in percent (default: 90, if it is calibrated). `engine` is one for the network
    of the bundle (default: the network itself).

    Raises:
        WindowRejected: the window has no rows, another width, an infinite or absurd cell, or nothing observed; more
            steps are asked for than the model forecasts, or a level that is not calibrated.
        NotFinite: the network answered with something that is not a number; nothing of it is returned.
    """
    (answer,) = forecast_many(bundle, engine or EagerEngine(bundle.forecaster), [Asked(window, levels, steps)])
    if isinstance(answer, GatecastError):
        raise answer
    return answer


def forecast_many(
    bundle: Bundle, engine: Engine, asked: Sequence[Asked]
) -> list[WindowForecast | WindowRejected | NotFinite]:
    """Return for each window its forecast, or the error that `forecast` would raise; none spoils another."""
    answers: list[Any] = [None] * len(asked)
    groups: dict[int, list[int]] = {}
    for place, one in enumerate(asked):
        try:
            refuse_unusable(bundle.spec, one.window, bundle.spec.horizon if one.steps is None else one.steps)
            levels = levels_of(bundle.calibration, one.levels)
        except WindowRejected as error:
            answers[place] = error
        else:
            answers[place] = one._replace(levels=levels)
            groups.setdefault(len(one.window.values), []).append(place)
    for places in groups.values():
        found = _of_equal_length(bundle, engine, [answers[place] for place in places])
        for place, answer in zip(places, found, strict=True):
            answers[place] = answer
    return answers


def predict_z(bundle: Bundle, window: Window, engine: Engine | None = None) -> ZForecast:
    """Forecast one window in z units, by an engine (default: the network); `ahead` may be too short, or None.

    Raises:
        WindowRejected: a cell is absurdly far from what the model was trained on.
    """
    said = (engine or EagerEngine(bundle.forecaster)).forecast_last(z_inputs(bundle, window))
    return ZForecast(*(part[0] for part in said))


def z_inputs(bundle: Bundle, window: Window) -> Inputs:
    """Return what an engine is given of one window; `ahead` may be too short, or None.

    Raises:
        WindowRejected: a cell is absurdly far from what the model was trained on.
    """
    scaled = scale_windows(bundle, [window])
    for _, error in refuse_far(bundle.spec, [window], scaled):
        raise error
    return _inputs(bundle.spec, [window], scaled)


def levels_of(calibration: Calibration | None, asked: Sequence[int] | None) -> tuple[int, ...]:
    """Return the levels of intervals that are asked for, each once; those given by default where none are.

    Raises:
        WindowRejected: one of them is not calibrated.
    """
    if asked is None:
        return default_levels(calibration)
    if asked and calibration is None:
        message = "this model has no calibrated intervals; leave levels out, or train it again"
        raise WindowRejected(message, "/levels")
    for place, level in enumerate(asked):
        if calibration and level not in calibration.levels:
            message = f"level {level} is not calibrated; this model has {', '.join(map(str, calibration.levels))}"
            raise WindowRejected(message, f"/levels/{place}")
    return tuple(dict.fromkeys(asked))


def _of_equal_length(bundle: Bundle, engine: Engine, asked: Sequence[Asked]) -> list[WindowForecast | GatecastError]:
    windows = [one.window for one in asked]
    scaled = scale_windows(bundle, windows)
    if refused := dict(refuse_far(bundle.spec, windows, scaled)):
        kept = [one for place, one in enumerate(asked) if place not in refused]
        found = iter(_of_equal_length(bundle, engine, kept) if kept else ())
        return [refused.get(place) or next(found) for place in range(len(asked))]
    said = engine.forecast_last(_inputs(bundle.spec, windows, scaled))
    levels = tuple({level: None for one in asked for level in one.levels or ()})
    answers, usable = _in_data_units(bundle, windows, said, levels)
    cautions = cautions_about(bundle, windows, scaled)
    return [
        _answer(bundle, one, dict(zip(levels, zip(rows[2::2], rows[3::2], strict=True), strict=True)), rows, about)
        if good
        else NotFinite("the model's forecast is not finite; look at the window's values, then at the model")
        for one, rows, about, good in zip(asked, answers, cautions, usable, strict=True)
    ]


def _answer(
    bundle: Bundle,
    asked: Asked,
    ends: Mapping[int, tuple[np.ndarray, np.ndarray]],
    rows: Float[np.ndarray, "parts horizon targets"],
    cautions: tuple[Caution, ...],
) -> WindowForecast:
    window, steps = asked.window, bundle.spec.horizon if asked.steps is None else asked.steps
    return WindowForecast(
        instants=None if window.times is None else times_after(bundle.spec.calendar, int(window.times[-1]), steps),
        point=rows[0, :steps],
        median=rows[1, :steps],
        intervals={level: Interval(*(end[:steps] for end in ends[level])) for level in asked.levels or ()},
        cold=is_new(bundle, window) and len(window.values) < bundle.spec.lookback,
        cautions=window.cautions + cautions,
    )


def _inputs(spec: Spec, windows: Sequence[Window], scaled: Scaled) -> Inputs:
    rows, seen = len(windows[0].values), spec.columns.seen
    times = [window.times for window in windows]
    if spec.calendar.width and all(time is not None for time in times):
        calendar = spec.calendar.features(np.array(times))
    else:
        calendar = np.zeros((len(windows), rows, spec.calendar.width), dtype=np.float32)
    reach = rows + spec.horizon
    known = scaled.z[..., seen:] if spec.columns.known else np.zeros((len(windows), reach, 0), np.float32)
    return Inputs(scaled.z[:, :rows, :seen], calendar, known, scaled.static)


def _in_data_units(
    bundle: Bundle, windows: Sequence[Window], said: ZForecast, levels: tuple[int, ...]
) -> tuple[Float[np.ndarray, "windows parts steps targets"], list[bool]]:
    """Return point, median and, by level, low and high, and which windows have finite numbers only.

    The ends may not pass the median by rounding.
    """
    calibration = bundle.calibration
    count, horizon, targets = said.point.shape
    units = together([bundle.scaler.target_units(window.series, targets) for window in windows], axes=2)
    z = np.empty((count, 2 + 2 * len(levels), horizon, targets), dtype=np.float32)
    z[:, 0], z[:, 1] = said.point, said.median
    with np.errstate(over="ignore", invalid="ignore"):  # found by _usable
        if calibration and levels:
            np.multiply(calibration.ends(levels), said.scale[:, None], out=z[:, 2:])
            z[:, 2:] += said.median[:, None]
        answer = units.from_z(z, _smear(calibration, z) if calibration and not units.plain else 0.0)
        np.minimum(answer[:, 2::2], answer[:, 1:2], out=answer[:, 2::2])
        np.maximum(answer[:, 3::2], answer[:, 1:2], out=answer[:, 3::2])
        return answer, _usable(z, answer)


def _smear(calibration: Calibration, z: np.ndarray) -> Float[np.ndarray, "parts steps targets"]:
    """Return what is added before a logarithm is undone: to the point alone, which is a mean."""
    smear = np.zeros(z.shape[1:], dtype=np.float32)
    smear[0] = calibration.shift
    return smear


def _usable(z: Float[np.ndarray, "windows ..."], answer: Float[np.ndarray, "windows ..."]) -> list[bool]:
    """Tell which windows have finite numbers only, in both units: bounds would make infinity look like an answer."""
    if math.isfinite(z.sum()) and math.isfinite(answer.sum()):  # sums of what is finite, but for the very largest
        return [True] * len(z)
    return [bool(np.isfinite(one).all() and np.isfinite(other).all()) for one, other in zip(z, answer, strict=True)]

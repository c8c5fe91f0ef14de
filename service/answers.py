"""From a request's windows to the answer: a pure function of model, request and limits, run in a thread."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
from jaxtyping import Float

from forecasting.errors import WindowRejected
from forecasting.prediction import WindowForecast, forecast
from forecasting.stepping import Times
from forecasting.windows import RawWindow, build_window
from service.body import decode, windows_of
from service.models import ServedModel
from service.schemas import ForecastAnswer, ForecastsAnswer, ForecastStep, Limits, Warned, WindowAnswer, WindowRequest

FEWEST_DIGITS, MOST_DIGITS = 7, 9
"""Every 32-bit float is one decimal number of 9 digits, and most of those that people write have at most 7."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def answer(model: ServedModel, body: bytes, limits: Limits) -> bytes:
    """Return the JSON of the answer to the JSON of a forecast request.

    Raises:
        NotJson, WindowRejected: the body, or one of its windows, cannot be used; then none is answered.
        NotFinite: the model's answer is withheld.
    """
    windows, several = windows_of(decode(body))
    if len(windows) > limits.max_windows:
        message = f"{len(windows)} windows came; at most {limits.max_windows} are taken"
        raise WindowRejected(message, "/windows")
    answers = [_answer_window(model, window, pointer, limits) for pointer, window in windows]
    units = model.bundle.spec.units
    if several:
        return msgspec.json.encode(ForecastsAnswer(model=model.identity, forecasts=answers, units=units))
    one = answers[0]
    whole = ForecastAnswer(
        model=model.identity, forecast=one.forecast, units=units, status=one.status, warnings=one.warnings
    )
    return msgspec.json.encode(whole)


def _answer_window(model: ServedModel, window: WindowRequest, pointer: str, limits: Limits) -> WindowAnswer:
    spec = model.bundle.spec
    try:
        found = forecast(model.bundle, build_window(spec, _raw(window, limits)), window.levels, window.horizon)
    except WindowRejected as error:
        raise WindowRejected(str(error), pointer + error.pointer) from error
    warnings = [Warned(code=caution.code, detail=caution.detail) for caution in found.cautions]
    return WindowAnswer(forecast=_steps(spec.targets, found), status=found.status, warnings=warnings)


def _raw(window: WindowRequest, limits: Limits) -> RawWindow:
    rows, pointer = (window.data, "/data") if window.observations is None else (window.observations, "/observations")
    if rows is None or (window.columns is None) != (window.data is None) or (window.observations and window.data):
        message = "send observations, or columns with data"
        raise WindowRejected(message)
    if len(rows) > limits.max_rows:
        message = f"{len(rows)} rows came; at most {limits.max_rows} are taken"
        raise WindowRejected(message, pointer)
    return RawWindow(
        rows=rows,
        columns=window.columns,
        timestamps=None if window.timestamps is None else [_nanoseconds(time) for time in window.timestamps],
        last_timestamp=None if window.last_timestamp is None else _nanoseconds(window.last_timestamp),
        series=window.series,
        known_future=window.known_future,
        static=window.static or {},
        horizon=window.horizon,
    )


def _nanoseconds(time: datetime) -> int:
    return (time - EPOCH) // MICROSECOND * 1000


def _steps(targets: tuple[str, ...], found: WindowForecast) -> list[ForecastStep]:
    times = [None] * len(found.point) if found.instants is None else _rfc3339(found.instants)
    ends = [end for interval in found.intervals.values() for end in interval]
    point, median, *ends = shortest(np.stack([found.point, found.median, *ends])).tolist()
    pairs = {
        str(level): _pairs(low, high) for level, low, high in zip(found.intervals, ends[::2], ends[1::2], strict=True)
    }
    return [
        ForecastStep(
            timestamp=time,
            step=place + 1,
            point=dict(zip(targets, point[place], strict=True)),
            median=dict(zip(targets, median[place], strict=True)),
            intervals={level: dict(zip(targets, rows[place], strict=True)) for level, rows in pairs.items()},
        )
        for place, time in enumerate(times)
    ]


def _pairs(low: list[list[float]], high: list[list[float]]) -> list[list[tuple[float, float]]]:
    return [list(zip(*ends, strict=True)) for ends in zip(low, high, strict=True)]


def shortest(values: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    """Return float64 with as few digits as tell these 32-bit floats from their neighbours: 39.02, not 39.0200004.

    All at once; to write and read each by itself takes five times as long.
    """
    wide = values.astype(np.float64)
    size = np.abs(wide)
    before = np.floor(np.log10(size, where=size > 0, out=np.zeros_like(size))) + 1
    digits = np.arange(FEWEST_DIGITS, MOST_DIGITS + 1).reshape(-1, *(1 for _ in values.shape))
    up, down = 10.0 ** np.maximum(digits - before, 0), 10.0 ** np.maximum(before - digits, 0)
    rounded = np.rint(wide * up / down) / up * down
    same = rounded.astype(np.float32) == values
    return np.select(list(same), list(rounded), wide)


def _rfc3339(times: Times) -> list[str]:
    """Write UTC times with `Z`: whole seconds, or nine decimals where the seconds are not whole."""
    instants = times.view("M8[ns]")
    seconds = instants.astype("M8[s]")
    whole = (seconds == instants).all()
    return [str(text) for text in np.datetime_as_string(seconds if whole else instants, timezone="UTC")]

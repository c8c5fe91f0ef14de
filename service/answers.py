"""From a request's windows to the answer: a pure function of model, request and limits, run in a thread."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np

from forecasting.bundle import Spec
from forecasting.errors import WindowRejected
from forecasting.prediction import WindowForecast, forecast
from forecasting.stepping import Times
from forecasting.windows import RawWindow, build_window
from service.body import decode, windows_of
from service.models import ServedModel
from service.schemas import ForecastAnswer, ForecastsAnswer, ForecastStep, Limits, Warned, WindowAnswer, WindowRequest

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
    whole = ForecastAnswer(model=model.identity, forecast=one.forecast, units=units, warnings=one.warnings)
    return msgspec.json.encode(whole)


def _answer_window(model: ServedModel, window: WindowRequest, pointer: str, limits: Limits) -> WindowAnswer:
    try:
        raw = _raw(window, limits)
        steps = _steps_asked(model.bundle.spec, window)
        found = forecast(model.bundle, build_window(model.bundle.spec, raw))
    except WindowRejected as error:
        raise WindowRejected(str(error), pointer + error.pointer) from error
    warnings = [Warned(code=caution.code, detail=caution.detail) for caution in found.cautions]
    return WindowAnswer(forecast=_steps(model.bundle.spec.targets, found, steps), warnings=warnings)


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
    )


def _nanoseconds(time: datetime) -> int:
    return (time - EPOCH) // MICROSECOND * 1000


def _steps_asked(spec: Spec, window: WindowRequest) -> int:
    if window.levels:
        message = "no interval level is calibrated for this model yet; leave levels out"
        raise WindowRejected(message, "/levels")
    if window.horizon is not None and window.horizon > spec.horizon:
        message = f"this model forecasts {spec.horizon} steps; ask for at most that many"
        raise WindowRejected(message, "/horizon")
    return window.horizon or spec.horizon


def _steps(targets: tuple[str, ...], found: WindowForecast, steps: int) -> list[ForecastStep]:
    times = [None] * steps if found.instants is None else _rfc3339(found.instants[:steps])
    rows = zip(times, found.point[:steps].tolist(), found.median[:steps].tolist(), strict=True)
    return [
        ForecastStep(
            timestamp=time,
            step=step,
            point=dict(zip(targets, point, strict=True)),
            median=dict(zip(targets, median, strict=True)),
            intervals={},
        )
        for step, (time, point, median) in enumerate(rows, start=1)
    ]


def _rfc3339(times: Times) -> list[str]:
    """Write UTC times with `Z`: whole seconds, or nine decimals where the seconds are not whole."""
    instants = times.view("M8[ns]")
    seconds = instants.astype("M8[s]")
    whole = (seconds == instants).all()
    return [str(text) for text in np.datetime_as_string(seconds if whole else instants, timezone="UTC")]

"""From the bytes of a request to windows, and from forecasts to the bytes of the answer; both pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
import numpy as np
import orjson
from jaxtyping import Float
from msgspec import UNSET, UnsetType

from forecasting.admission import IMPLAUSIBLE
from forecasting.bundle import Spec
from forecasting.errors import GatecastError, WindowRejected
from forecasting.memory.explaining import Explanation
from forecasting.prediction import Asked, WindowForecast
from forecasting.windows import RawWindow, build_window
from service.body import decode, windows_of
from service.models import ServedModel
from service.problems import ContractChanged
from service.quick import Usual
from service.schemas import (
    ForecastAnswer,
    ForecastsAnswer,
    ForecastStep,
    Limits,
    RowsRequest,
    Warned,
    WindowAnswer,
    WindowRequest,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MOST_EXPLAINED = 16
"""Windows of a request; an explanation takes some milliseconds."""

NONE: Mapping[int, Explanation] = {}


class Question(NamedTuple):
    """The windows of a request, with the JSON pointer to each, and whether they came as several.

    `explained` are the places of those whose forecasts are to be explained.
    """

    pointers: Sequence[str]
    asked: Sequence[Asked]
    several: bool
    explained: Sequence[int] = ()


def read_question(model: ServedModel, body: bytes, limits: Limits) -> Question:
    """Read a forecast request.

    Raises:
        NotJson, WindowRejected: the body, or one of its windows, cannot be used; then none is answered.
        ContractChanged: a window fits the contract of the version before, not this one's.
    """
    windows, several = windows_of(decode(body))
    if len(windows) > limits.max_windows:
        message = f"{len(windows)} windows came; at most {limits.max_windows} are taken"
        raise WindowRejected(message, "/windows")
    asked = [_asked(model, window, pointer, limits) for pointer, window in windows]
    explained = [place for place, (_, window) in enumerate(windows) if window.explain]
    if len(explained) > MOST_EXPLAINED:
        message = f"{len(explained)} forecasts are to be explained; at most {MOST_EXPLAINED} of a request are"
        raise WindowRejected(message, f"{windows[explained[MOST_EXPLAINED]][0]}/explain")
    return Question([pointer for pointer, _ in windows], asked, several, explained)


def usual_question(model: ServedModel, usual: Usual, rows: Float[np.ndarray, "rows columns"]) -> Question:
    """Do the same for a usual request, whose rows are an array.

    Raises:
        WindowRejected, ContractChanged: as `read_question` does.
    """
    raw = RawWindow(rows, last_timestamp=_instant(usual.last_timestamp), series=usual.series, horizon=usual.horizon)
    explained = () if usual.explain is None else (0,)
    return Question(("",), (_built(model, raw, usual.levels),), several=False, explained=explained)


def _asked(model: ServedModel, window: WindowRequest, pointer: str, limits: Limits) -> Asked:
    try:
        return _built(model, raw_window(window, limits), window.levels)
    except WindowRejected as error:
        raise WindowRejected(str(error), pointer + error.pointer) from error


def _built(model: ServedModel, raw: RawWindow, levels: Sequence[int] | None) -> Asked:
    try:
        return Asked(build_window(model.bundle.spec, raw), levels, raw.horizon)
    except WindowRejected:
        _refuse_old_contract(model, raw)
        raise


def _refuse_old_contract(model: ServedModel, raw: RawWindow) -> None:
    """Tell a client that wrote for the version before, whose contract was another, what has changed."""
    before, now = model.replaced, model.bundle.spec
    if before is None:
        return
    with suppress(WindowRejected):
        build_window(before, raw)
        message = (
            f"since version {model.ref.version} {_contract(now)}; before, which these rows fit, {_contract(before)}"
        )
        raise ContractChanged(message)


def _contract(spec: Spec) -> str:
    return f"a row has [{', '.join(spec.columns.row)}], freq {spec.calendar.freq!r}, horizon {spec.horizon}"


def write_answer(
    model: ServedModel,
    question: Question,
    found: Sequence[WindowForecast],
    explanations: Mapping[int, Explanation] = NONE,
) -> bytes:
    """Return the JSON of the answer, with explanations of windows by their place."""
    spec = model.bundle.spec
    written = [_window_answer(spec.targets, one, explanations.get(place, UNSET)) for place, one in enumerate(found)]
    if question.several:
        return msgspec.json.encode(ForecastsAnswer(model=model.identity, forecasts=written, units=spec.units))
    one = written[0]
    return msgspec.json.encode(
        ForecastAnswer(
            model=model.identity,
            forecast=one.forecast,
            units=spec.units,
            status=one.status,
            warnings=one.warnings,
            memory=one.memory,
        )
    )


def refused_or(answer: WindowForecast | GatecastError, pointer: str, *, strict: bool) -> WindowForecast:
    """Return a forecast, or raise what came in its place; with `strict`, values far outside are refused."""
    if isinstance(answer, WindowRejected):
        raise WindowRejected(str(answer), pointer + answer.pointer)
    if isinstance(answer, GatecastError):
        raise answer
    if strict:
        for caution in answer.cautions:
            if caution.code == IMPLAUSIBLE:
                message = f"{caution.detail}; this service takes none: send what was meant, or null where missing"
                raise WindowRejected(message, pointer)
    return answer


def _window_answer(targets: tuple[str, ...], found: WindowForecast, memory: Explanation | UnsetType) -> WindowAnswer:
    warnings = [Warned(code=caution.code, detail=caution.detail) for caution in found.cautions]
    return WindowAnswer(forecast=_steps(targets, found), status=found.status, warnings=warnings, memory=memory)


def raw_window(window: RowsRequest, limits: Limits) -> RawWindow:
    """Return the rows of a request as they came, no more of them than are taken.

    Raises:
        WindowRejected: there are too many, or they came in no form, or in two.
    """
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
        timestamps=None if window.timestamps is None else [nanoseconds(time) for time in window.timestamps],
        last_timestamp=_instant(window.last_timestamp),
        series=window.series,
        known_future=window.known_future,
        static=window.static or {},
        horizon=window.horizon,
    )


def _instant(time: datetime | None) -> int | None:
    return None if time is None else nanoseconds(time)


def nanoseconds(time: datetime) -> int:
    """Return a time in nanoseconds since 1970."""
    return (time - EPOCH) // MICROSECOND * 1000


def _steps(targets: tuple[str, ...], found: WindowForecast) -> list[ForecastStep]:
    times = [None] * len(found.point) if found.instants is None else map(rfc3339, found.instants.tolist())
    ends: list[Any] = [end for interval in found.intervals.values() for end in interval]
    point, median, *ends = shortest([found.point, found.median, *ends])
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


def shortest(values: Sequence[Float[np.ndarray, "*any"]] | np.ndarray | np.float32) -> Any:
    """Return 32-bit floats as numbers of as few digits as tell them from their neighbours: 39.02, not 39.0200004.

    By way of JSON, whose writer knows how; to round them by numpy took fifteen times as long.
    """
    return orjson.loads(orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY))


@lru_cache(maxsize=4096)  # many series are asked about at the same time
def rfc3339(time: int) -> str:
    """Write a UTC time with `Z`: whole seconds, or nine decimals where the seconds are not whole."""
    seconds, rest = divmod(time, 1_000_000_000)
    text = (EPOCH + timedelta(seconds=seconds)).isoformat()[: -len("+00:00")]
    return f"{text}.{rest:09}Z" if rest else f"{text}Z"

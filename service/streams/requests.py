"""From the bytes of a request to the rows that it pushes; a pure function of model and bytes."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from jaxtyping import Float

from forecasting.admission import Window, refuse_steps
from forecasting.bundle import Spec
from forecasting.errors import WindowRejected
from forecasting.prediction import levels_of
from forecasting.statics import StaticValue
from forecasting.streams.pushes import Pushes
from forecasting.streams.streamed import Streamed
from forecasting.windows import LARGEST, RawWindow, read_rows
from service.answers import nanoseconds, raw_window
from service.body import decode_as, quotes_of, refuse_repeated_keys
from service.schemas import Limits
from service.streams.asked import Question, Spot, Wish
from service.streams.schemas import CorrectionRequest, ObserveRequest, PushRequest, StreamPush

_PUSH = msgspec.json.Decoder(PushRequest)
_OBSERVE = msgspec.json.Decoder(ObserveRequest)
_CORRECTION = msgspec.json.Decoder(CorrectionRequest)

USUAL_QUOTES, USUAL_QUOTES_OF_MANY = 6, 10
"""Quotation marks of `observations` and `last_timestamp`, and with `stream`; a key that stands twice needs more."""


class Reader:
    """Reads what is pushed to streams of a model by one principal."""

    def __init__(self, model: Streamed, limits: Limits, *, strict: bool) -> None:
        """Remember the contract and the limits; with `strict`, values far outside are refused."""
        self._model, self._spec, self._limits, self._strict = model, model.spec, limits, strict
        self._width = len(model.spec.columns.row)
        self._plain = not model.spec.columns.known and not strict
        self.usual = self.wish(None, None)
        """What is answered where nothing else is asked for."""

    def push(self, principal: str, stream: str, body: bytes) -> Question:
        """Read the body of a push to one stream.

        Raises:
            NotJson, WindowRejected: it cannot be used; nothing of it is.
        """
        request = decode_as(_PUSH, body, _advice)
        quotes = body.count(b'"')
        if quotes == USUAL_QUOTES and (usual := self._usual_row(principal, stream, request)):
            return usual
        if quotes != quotes_of(request):
            refuse_repeated_keys(body)
        window, wish = self._checked(stream, request)
        pushes = _joined(principal, [(stream, window)], self._spec, bool(request.history))
        return Question(pushes, (wish,), (_spot("", request),))

    def observe(self, principal: str, body: bytes, most: int) -> Question:
        """Read the body of pushes to many streams, `most` rows at most.

        Raises:
            NotJson, WindowRejected: it cannot be used, or one of them cannot; nothing of it is.
        """
        request = decode_as(_OBSERVE, body, _advice)
        quotes = body.count(b'"') - 2
        if quotes == USUAL_QUOTES_OF_MANY * len(request.streams) and len(request.streams) <= most:
            usual = self._usual_rows(principal, request.streams)
            if usual is not None:
                return usual
        if quotes != sum(map(quotes_of, request.streams)):
            refuse_repeated_keys(body)
        history = _all_or_none(request.streams)
        spots = [_spot(f"/streams/{place}", one) for place, one in enumerate(request.streams)]
        read = [self._behind(spot.pointer, one) for spot, one in zip(spots, request.streams, strict=True)]
        if (rows := sum(len(window.values) for window, _ in read)) > most:
            message = f"{rows} rows came; at most {most} are taken at once"
            raise WindowRejected(message, "/streams")
        named = [(one.stream, window) for one, (window, _) in zip(request.streams, read, strict=True)]
        return Question(_joined(principal, named, self._spec, history), [wish for _, wish in read], spots)

    def correction(self, stream: str, body: bytes, time: int) -> Float[np.ndarray, " columns"]:
        """Read a row of a stream that is to stand in another's place; `time` is that of both.

        Raises:
            NotJson, WindowRejected: it cannot be used.
        """
        request = decode_as(_CORRECTION, body, _advice)
        refuse_repeated_keys(body)
        raw = RawWindow([request.observation], request.columns, timestamps=[time])
        try:
            window = read_rows(self._spec, raw, ahead=False)
        except WindowRejected as error:
            pointer = error.pointer.removeprefix("/timestamps/0")  # that one is in the address
            pointer = pointer.replace("/observations/0", "/observation").replace("/data/0", "/observation")
            raise WindowRejected(str(error), pointer) from error
        self._refuse_implausible(stream, window, "/observation")
        row: np.ndarray = window.values[0]
        return row

    def _usual_row(self, principal: str, stream: str, request: PushRequest) -> Question | None:
        """Return the push of one plain row with its time, as most are, in a fraction of the time; None for others."""
        row = self._plain_row(request)
        if row is None or request.last_timestamp is None:
            return None
        values, times = np.array((row,), dtype=np.float32), np.array((nanoseconds(request.last_timestamp),))
        return Question(Pushes(principal, (stream,), _ONE, times, values), (self.usual,), _HERE)

    def _usual_rows(self, principal: str, streams: Sequence[StreamPush]) -> Question | None:
        """Return the pushes of one such row to each of many streams; None where one of them is another."""
        rows = [self._plain_row(one) for one in streams]
        times = [nanoseconds(one.last_timestamp) for one in streams if one.last_timestamp is not None]
        if None in rows or len(times) < len(rows):
            return None
        count = len(rows)
        names, values = [one.stream for one in streams], np.array(rows, dtype=np.float32)
        spots = [Spot(f"/streams/{place}") for place in range(count)]
        return Question(
            Pushes(principal, names, np.arange(count + 1), np.array(times), values), [self.usual] * count, spots
        )

    def _plain_row(self, request: PushRequest) -> Any:
        """Return the only row of a push, if all of it are numbers; None for any other push."""
        rows = request.observations
        if rows is None or len(rows) != 1 or not self._plain or len(rows[0]) != self._width:
            return None
        if request.horizon is not None or request.history or request.explain:
            return None
        row: Any = rows[0]
        return None if None in row or not -LARGEST < min(row) <= max(row) < LARGEST else row

    def _behind(self, pointer: str, request: StreamPush) -> tuple[Window, Wish]:
        if request.explain:
            message = f"of many streams at once none is explained; {ONE_BY_ONE}"
            raise WindowRejected(message, f"{pointer}/explain")
        try:
            return self._checked(request.stream, request)
        except WindowRejected as error:
            raise WindowRejected(str(error), pointer + error.pointer) from error

    def _checked(self, stream: str, request: PushRequest) -> tuple[Window, Wish]:
        """Check rows as those of a window are, but for gaps, which the stream knows more about."""
        if request.timestamps is None and request.last_timestamp is None:
            message = "a row of a stream has a time: give timestamps, or last_timestamp"
            raise WindowRejected(message, "/last_timestamp")
        if request.history and request.known_future is not None:
            message = "nothing is forecast from history: leave known_future out"
            raise WindowRejected(message, "/known_future")
        if request.history and request.explain:
            message = "nothing is forecast from history: leave explain out"
            raise WindowRejected(message, "/explain")
        window = read_rows(self._spec, raw_window(request, self._limits), ahead=not request.history)
        self._refuse_implausible(stream, window, "")
        return window, self.wish(request.levels, request.horizon)._replace(explain=bool(request.explain))

    def wish(self, levels: Sequence[int] | None, horizon: int | None) -> Wish:
        """Return what is to be answered.

        Raises:
            WindowRejected: the model has not so many steps, or no such level.
        """
        steps = self._spec.horizon if horizon is None else horizon
        refuse_steps(self._spec, steps)
        return Wish(levels_of(self._model.bundle.calibration, levels), steps)

    def _refuse_implausible(self, stream: str, window: Window, pointer: str) -> None:
        """Refuse values far outside of what training saw, where that is wanted; else they are taken as missing."""
        if not self._strict:
            return
        with np.errstate(over="ignore", invalid="ignore"):
            units = self._model.bundle.scaler.units(self._model.series_of(stream, window.series))
            z = units.to_z(window.values)
        if (np.isnan(z) & ~np.isnan(window.values)).any():
            message = (
                "a value is far outside the training range; this service takes none: send what was meant, or null "
                "where it is missing"
            )
            raise WindowRejected(message, pointer)


ONE_BY_ONE = "push to one, or GET /v1/models/NAME/streams/ID?explain=memory"
_ONE = np.arange(2)
_ONE.flags.writeable = False
_HERE = (Spot(),)


def _spot(pointer: str, request: PushRequest) -> Spot:
    times = "/last_timestamp" if request.timestamps is None else "/timestamps"
    return Spot(pointer, times, "/observations" if request.data is None else "/data")


def _joined(principal: str, named: Sequence[tuple[str, Window]], spec: Spec, history: bool) -> Pushes:
    """Lay pushes one behind the other."""
    windows = [window for _, window in named]
    return Pushes(
        principal,
        [name for name, _ in named],
        np.cumsum([0, *(len(window.values) for window in windows)]),
        np.concatenate([_times(window) for window in windows]),
        np.concatenate([window.values for window in windows]),
        _ahead(spec, windows) if spec.columns.known and not history else None,
        [window.series for window in windows],
        [_static(window) for window in windows],
        history,
    )


def _times(window: Window) -> np.ndarray:
    return np.empty(0, np.int64) if window.times is None else window.times


def _static(window: Window) -> Mapping[str, StaticValue]:
    return window.static


def _ahead(spec: Spec, windows: Sequence[Window]) -> Float[np.ndarray, "pushes horizon known"]:
    ahead = np.full((len(windows), spec.horizon, len(spec.columns.known)), np.nan, dtype=np.float32)
    for own, window in zip(ahead, windows, strict=True):
        if window.ahead is not None:
            own[: len(window.ahead)] = window.ahead
    return ahead


def _all_or_none(streams: Sequence[StreamPush]) -> bool:
    """Return whether a request is of history."""
    first = bool(streams[0].history)
    for place, one in enumerate(streams):
        if bool(one.history) != first:
            message = "history belongs to all streams of a request, or to none: send two requests"
            raise WindowRejected(message, f"/streams/{place}/history")
    return first


def _advice(key: str) -> str:
    valid = list(dict.fromkeys(chain(*(kind.__struct_fields__ for kind in (StreamPush, CorrectionRequest)))))
    near = difflib.get_close_matches(key, [*valid, "streams"], n=1, cutoff=0.5)
    return f"unknown key; did you mean {near[0]}?" if near else f"unknown key; known are {', '.join(valid)}"

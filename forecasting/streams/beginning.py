"""How a stream begins, or is found again: whose it is, which series it is, whether its rows are still of one kind."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence

import msgspec

from forecasting.errors import GatecastError, StreamError, TooManyStreams, WindowRejected
from forecasting.log.interface import Log
from forecasting.log.records import Key, Stream
from forecasting.statics import StaticValue
from forecasting.streams.advancing import Held
from forecasting.streams.pool import Facts, Some
from forecasting.streams.pushes import Pushes
from forecasting.streams.rebuilding import profile_of
from forecasting.streams.streamed import Places, Streamed

OTHER_SERIES = "the stream is of another series than the one that came; leave series out, or begin another stream"
Given = tuple[str | None, Mapping[str, StaticValue]]


def begun(
    model: Streamed, log: Log, keys: Sequence[Key], given: Sequence[Given], room: Callable[[str], int], now: int
) -> tuple[list[Stream], dict[int, GatecastError]]:
    """Return streams by their keys, new ones (without a row yet) where there are none; and by place what is refused."""
    found, errors = log.find(keys), dict[int, GatecastError]()
    left = room(keys[0].principal) if None in found else 0
    streams = []
    for place, (key, stream) in enumerate(zip(keys, found, strict=True)):
        try:
            if stream is None:
                left -= 1
                streams.append(_new(model, key, given[place], left, now))
            else:
                streams.append(_same(model, stream, given[place][0]))
        except GatecastError as error:
            errors[place] = error
    return streams, errors


def _new(model: Streamed, key: Key, given: Given, left: int, now: int) -> Stream:
    series, static = given
    if left < 0:
        message = "this principal has as many streams as it may have; delete some"
        raise TooManyStreams(message)
    if unknown := [name for name in static if name not in model.spec.columns.static]:
        message = f"{len(unknown)} names in static are no static columns of the model; GET /v1/models lists them"
        raise WindowRejected(message, "/static")
    series = model.series_of(key.stream, series)
    told = msgspec.json.encode(dict(static)).decode()
    return Stream(secrets.randbits(63), key, series, told, model.contract, now)


def _same(model: Streamed, stream: Stream, series: str | None) -> Stream:
    if stream.contract != model.contract:
        message = (
            "the model takes other columns, or steps of another length, than when this stream began; "
            "begin another stream, or delete this one"
        )
        raise StreamError(message)
    if series is not None and series != stream.series:
        raise WindowRejected(OTHER_SERIES, "/series")
    return stream


def strangers(model: Streamed, pushes: Pushes, places: Places) -> dict[int, GatecastError]:
    """Return the pushes that name another series than the one whose scale the stream has, by their place."""
    if pushes.series is None:
        return {}
    named = ((push, series) for push, series in enumerate(pushes.series) if series is not None)
    return {
        push: WindowRejected(OTHER_SERIES, "/series")
        for push, series in named
        if model.scales.place(series) != places[push]
    }


def fresh(model: Streamed, streams: Sequence[Stream]) -> Some:
    """Return what is held of streams without a row."""
    count, tracking = len(streams), model.tracking
    facts = Facts.about(streams)
    held = Held(model.engine.initial(count), tracking.start(count), tracking.nothing(count))
    return Some(facts, held, profile_of(model, streams))

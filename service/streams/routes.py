"""The routes of streams. All of them are in the table of `add_streams`; who sees which stream is the guard's matter."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal, NoReturn

import msgspec
from fastapi import FastAPI, Path, Query
from fastapi.exceptions import RequestValidationError
from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from forecasting.streams.keeper import Keeper
from service.answers import nanoseconds
from service.openapi import Cursor, ModelName, answered, problems, read_cursor, written_cursor
from service.schemas import Explain, Time
from service.streams.asked import PLAIN, TEMPLATE, Target, key_of, principal_of
from service.streams.hot import Options, Streams
from service.streams.ledger import lines_of, write_csv, write_json
from service.streams.looking import described, explained, summary
from service.streams.published import corrected_body, ledger, observed, observed_body, pushed_body
from service.streams.schemas import ID_PATTERN, PushAnswer, StreamDescription, StreamPage

ALL = "/v1/models/{name}/streams"
ONE = ALL + "/{stream}"
MANY = "/v1/models/{name}/streams:observe"
CSV = "text/csv"
READ = (404, 409, 422, 500, 503)
TAKEN = (400, 404, 408, 409, 413, 415, 422, 500, 503)
"""Statuses of the problems of routes without and with a body."""

NO_CURSOR = "send `next` of the page before"
ROW = ONE + "/observations/{timestamp}"

StreamName = Annotated[str, Path(pattern=f"^{ID_PATTERN}$")]
RowTime = Annotated[
    str,
    Path(
        max_length=64,
        description="Time of a row, RFC 3339 with an offset or Z.",
        json_schema_extra={"format": "date-time"},
    ),
]
Limit = Annotated[int, Query(ge=1, le=1000)]


def add_streams(app: FastAPI, streams: Streams) -> None:
    """Give the app the routes of streams."""
    app.state.streams = streams
    limits, settings = streams.limits, streams.settings
    pushed, gone = answered(PushAnswer), {204: {"description": "Gone."}}
    _add(app, "POST", TEMPLATE, push_rows, pushed | problems(*TAKEN, 429), openapi_extra=pushed_body(limits))
    _add(
        app,
        "POST",
        MANY,
        observe_streams,
        observed() | problems(*TAKEN, 429),
        openapi_extra=observed_body(limits, settings),
    )
    _add(app, "PUT", ROW, correct_row, pushed | problems(*TAKEN), openapi_extra=corrected_body(limits))
    _add(app, "DELETE", ONE, erase_stream, gone | problems(*READ), status_code=204)
    _add(app, "GET", ALL, list_streams, answered(StreamPage) | problems(*READ))
    _add(app, "GET", ONE, describe_stream, answered(StreamDescription) | problems(*READ))
    _add(app, "GET", f"{ONE}/ledger", read_ledger, ledger() | problems(*READ))


def _add(app: FastAPI, method: str, path: str, endpoint: Any, responses: Any, **more: Any) -> None:
    about = {"tags": ["streams"], "responses": responses, "response_class": Response}
    app.add_api_route(path, endpoint, methods=[method], **about, **more)


async def push_rows(request: Request, name: ModelName, stream: StreamName) -> Response:
    """Push new rows of a stream: they are kept, and what comes next is forecast.

    The answer goes out once the rows are in the log. The same rows again are answered as they were then. The first push
    makes the stream.
    """
    streams = _streams(request)
    return _json(await streams.push(Target(name, stream), request.scope, request.receive))


async def observe_streams(
    request: Request,
    name: ModelName,
    levels: Annotated[list[int] | None, Query(max_length=99, description="Of a table; see the body in JSON.")] = None,
    horizon: Annotated[int | None, Query(ge=1, description="Of a table.")] = None,
    history: Annotated[bool, Query(description="Of a table.")] = False,
) -> Response:
    """Push new rows of many streams, in JSON or as an Arrow table; each stream has an outcome of its own.

    A request of wrong form is refused as a whole. The answer is of the kind of the request, unless Accept names the
    other kind.
    """
    options = Options(levels, horizon, history, request.headers.get("accept", ""))
    content, media = await _streams(request).observe(name, request.scope, request.receive, options)
    return Response(content, media_type=media)


async def correct_row(request: Request, name: ModelName, stream: StreamName, timestamp: RowTime) -> Response:
    """Correct a row that was accepted; what followed from it is made again. Its versions are kept.

    The answer is the forecast at the newest row.
    """
    moment = _moment(timestamp)
    return _json(await _streams(request).correct(Target(name, stream), moment, request.scope, request.receive))


async def erase_stream(request: Request, name: ModelName, stream: StreamName) -> Response:
    """Delete everything of a stream: its rows, forecasts, scores and states."""
    await _streams(request).erase(Target(name, stream), request.scope)
    return Response(status_code=204)


async def list_streams(request: Request, name: ModelName, limit: Limit = 100, cursor: Cursor = "") -> Response:
    """List your streams of a model, by name."""
    streams, after, who = _streams(request), read_cursor(cursor), principal_of(request.scope)
    if after and not re.fullmatch(ID_PATTERN, after):
        _refuse("cursor", NO_CURSOR)
    streams.models().find(name)
    found = await streams.asked(lambda keeper: keeper.log.streams(who, name, after, limit + 1))
    more = written_cursor(found[limit - 1].key.stream) if len(found) > limit else None
    return _json(msgspec.json.encode(StreamPage(streams=[summary(one) for one in found[:limit]], next=more)))


async def describe_stream(
    request: Request, name: ModelName, stream: StreamName, explain: Annotated[Explain | None, Query()] = None
) -> Response:
    """Describe a stream: how far it is, how its forecasts fared, what drifts.

    With `explain`, also why the forecast at its newest row is what it is: by the rows that the model settles within.
    """
    streams, key = _streams(request), key_of(Target(name, stream), request.scope)
    model = streams.models().find(name)

    def look(keeper: Keeper) -> StreamDescription:
        found = keeper.look(key, model.streamed)
        return described(model, found, UNSET if explain is None else explained(model, keeper, found.stream))

    return _json(msgspec.json.encode(await streams.asked(look)))


async def read_ledger(  # noqa: PLR0913, PLR0917 - a parameter of the address each
    request: Request,
    name: ModelName,
    stream: StreamName,
    limit: Limit = 100,
    cursor: Cursor = "",
    steps: Annotated[Literal["1", "all"], Query(description="The next step alone, or all of a forecast.")] = "1",
    format: Annotated[Literal["json", "csv"] | None, Query(description="By default what Accept asks for.")] = None,  # noqa: A002 - its name in the address
) -> Response:
    """Read what was forecast beside what came, oldest first; at most `limit` lines.

    As a table (CSV) the next page is named by a Link header.
    """
    streams, key = _streams(request), key_of(Target(name, stream), request.scope)
    model = streams.models().find(name).streamed
    horizon = model.spec.horizon if steps == "all" else 1
    rows = max(limit // horizon, 1)
    start = _start(cursor)
    entries = await streams.asked(lambda keeper: keeper.ledger(key, start, rows + horizon))
    lines = list(lines_of(model, entries, rows, horizon))
    more = written_cursor(str(entries[rows].observation.seq)) if len(entries) > rows else None
    wanted = format or ("csv" if CSV in request.headers.get("accept", "") else "json")
    if wanted == "json":
        return _json(write_json(model, stream, lines, more))
    page = request.url.include_query_params(cursor=more)
    headers = {} if more is None else {"Link": f'<{page.path}?{page.query}>; rel="next"'}
    return Response(write_csv(model, lines), media_type=CSV, headers=headers)


def _start(cursor: str) -> int:
    text = read_cursor(cursor) or "0"
    if not re.fullmatch(r"[0-9]{1,18}", text):
        _refuse("cursor", NO_CURSOR)
    return int(text)


def _moment(text: str) -> int:
    try:
        found: datetime = msgspec.convert(text, Time)
    except msgspec.ValidationError:
        _refuse("timestamp", "send a time of RFC 3339 with an offset or Z")
    return nanoseconds(found)


def _refuse(parameter: str, said: str) -> NoReturn:
    raise RequestValidationError([{"loc": (parameter,), "msg": said, "type": parameter}])


def _streams(request: Request) -> Streams:
    streams: Streams = request.app.state.streams
    return streams


def _json(content: bytes) -> Response:
    return Response(content, media_type=PLAIN)

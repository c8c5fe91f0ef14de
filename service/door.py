"""The door: what every request passes first.

It gets an id, shows its key, is counted and timed; an error that nobody expected becomes an answer. A request for a
forecast and a push to a stream are answered here, everything else by FastAPI behind.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from fastapi import FastAPI
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from service.guard import Guard
from service.headers import HEADERS, headers_for, request_id
from service.hot import TEMPLATE, Forecasts, model_asked
from service.problems import problem_response
from service.streams.asked import TEMPLATE as PUSHES
from service.streams.asked import stream_asked
from service.streams.hot import Streams
from service.telemetry import Metrics

CLIENT_LEFT = 499
OUR_FAULT, TOO_MUCH = 500, 503
SLOW_SECONDS = 1.0
JSON_HEADER = (b"content-type", b"application/json")

log = logging.getLogger(__name__)


class Door:
    """An ASGI app in front of another; `app` is the one behind."""

    def __init__(self, app: FastAPI, guard: Guard, forecasts: Forecasts, streams: Streams, *, log_all: bool) -> None:
        """Stand before `app`, whose state holds `metrics`."""
        self.app = app
        self._guard = guard
        self._forecasts, self._streams = forecasts, streams
        self._metrics: Metrics = app.state.metrics
        self._log_all = log_all

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        visit = Visit(scope, send)
        try:
            self._guard.check(scope)
            if (name := model_asked(scope)) is not None:
                await visit.answer(await self._forecasts.answer(name, scope, receive))
            elif (target := stream_asked(scope)) is not None:
                await visit.answer(await self._streams.push(target, scope, receive))
            else:
                await self.app(scope, receive, visit.send)
        except ClientDisconnect:
            log.info("request %s: the client left", visit.id)
        except Exception as error:
            if visit.status == CLIENT_LEFT:
                await problem_response(error, visit.id)(scope, receive, visit.send)
            elif not visit.answered:  # the answer has begun: all that is left is to break it off
                raise
        finally:
            self.note(scope, visit, route_of(scope))

    def note(self, scope: Scope, visit: Visit, route: str) -> None:
        """Count a request; log it where it failed, was slow, or all are to be logged."""
        seconds = time.perf_counter() - visit.start
        self._metrics.answered(scope["method"], route, visit.status, seconds)
        fault = visit.status >= OUR_FAULT and visit.status != TOO_MUCH  # refusals in a flood are counted, not logged
        if self._log_all or fault or seconds > SLOW_SECONDS:
            about = {
                "request_id": visit.id,
                "method": scope["method"],
                "route": route,
                "status": visit.status,
                "seconds": round(seconds, 6),
                "principal": scope["state"].get("principal"),
            }
            log.info("request %s: %s %s %d %.4f s", *list(about.values())[:5], extra=about)


class Visit:
    """A request on its way through: its id, when it came, how it was answered."""

    __slots__ = ("_path", "_send", "answered", "id", "start", "status")

    def __init__(self, scope: Scope, send: Send) -> None:
        """Begin; the id is noted where error handlers find it."""
        self.start = time.perf_counter()
        self.id = request_id(scope["headers"])
        self.status = CLIENT_LEFT
        self.answered = False
        self._send = send
        self._path = scope["path"]
        scope.setdefault("state", {})["request_id"] = self.id

    async def send(self, message: Message) -> None:
        """Mark what FastAPI answers."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], (b"x-request-id", self.id.encode()), *headers_for(self._path)]
        await self._send(message)
        self.answered = message["type"] == "http.response.body" and not message.get("more_body", False)

    async def answer(self, content: bytes) -> None:
        """Send the JSON of a 200."""
        self.status = 200
        length = (b"content-length", b"%d" % len(content))
        headers = [JSON_HEADER, length, (b"x-request-id", self.id.encode()), *HEADERS]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._send({"type": "http.response.body", "body": content})


def route_of(scope: Scope) -> str:
    """Return the template of the route, so that the number of labels stays bounded."""
    route: Any = scope.get("route")
    if route is not None:
        return str(getattr(route, "path", "unmatched"))
    return TEMPLATE if model_asked(scope) else PUSHES if stream_asked(scope) else "unmatched"

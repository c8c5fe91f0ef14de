"""Traces of requests by OpenTelemetry, where its own variables ask for them and its packages are installed.

Its SDK reads these variables itself: where to send spans, how many of them, the name of the service. Nothing of it is
imported otherwise.
"""

from __future__ import annotations

import logging
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.types import Message, Receive, Scope, Send

from service.door import Door, route_of

if TYPE_CHECKING:
    from fastapi import FastAPI
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

GROUP = "opentelemetry_traces_exporter"
FORMS = ("", "_proto_http", "_proto_grpc")
SERVER_FAULT = 500

log = logging.getLogger(__name__)


def traced(door: Door, exporter: str | None) -> Door | Traced:
    """Return the door with spans around it, sent by the exporter of that name; as it is, where there is none."""
    if exporter is None:
        return door
    kind = _find_exporter(exporter)
    if kind is None:
        log.warning("there is no exporter of traces %r; none are sent: pip install 'gatecast[tracing]'", exporter)
        return door
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - see above

    provider = _provider()
    provider.add_span_processor(BatchSpanProcessor(kind()))
    return Traced(door, provider)


def _find_exporter(name: str) -> type[SpanExporter] | None:
    for form in FORMS:
        for found in entry_points(group=GROUP, name=name + form):
            kind: type[SpanExporter] = found.load()
            return kind
    return None


def _provider() -> TracerProvider:
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415 - see above
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415

    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: "gatecast"}))
    return TracerProvider(resource=resource)


class Traced:
    """An ASGI app in front of the door: a span for each request, child of the one its client sent."""

    def __init__(self, door: Door, provider: TracerProvider) -> None:
        """Stand before the door."""
        from opentelemetry.propagate import extract  # noqa: PLC0415 - see above
        from opentelemetry.trace import SpanKind, StatusCode  # noqa: PLC0415

        self._door, self._provider = door, provider
        self._tracer = provider.get_tracer("gatecast")
        self._extract, self._kind, self._failed = extract, SpanKind.SERVER, StatusCode.ERROR

    @property
    def app(self) -> FastAPI:
        """The app behind the door."""
        return self._door.app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on; at the end of the service, send what is left."""
        if scope["type"] == "lifespan":
            await self._door(scope, receive, send)
            await run_in_threadpool(self._provider.shutdown)
            return
        before = self._extract({name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]})
        about = {"http.request.method": scope["method"], "url.path": scope["path"]}
        with self._tracer.start_as_current_span(scope["method"], before, self._kind, about) as span:
            await self._door(scope, receive, _noting(span, send, self._failed))
            span.update_name(f"{scope['method']} {route_of(scope)}")
            span.set_attributes({"http.route": route_of(scope), "gatecast.request_id": scope["state"]["request_id"]})


def _noting(span: Any, send: Send, failed: Any) -> Send:
    async def noting(message: Message) -> None:
        if message["type"] == "http.response.start":
            span.set_attribute("http.response.status_code", message["status"])
            if message["status"] >= SERVER_FAULT:
                span.set_status(failed)
        await send(message)

    return noting

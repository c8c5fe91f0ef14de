"""What is seen of every request from outside: its id, its metrics, and the answer to an error nobody expected."""

from __future__ import annotations

import logging
import re
import time
import uuid

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.guard import Guard
from service.headers import headers_for
from service.models import Models
from service.problems import problem_response

METHODS = {"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"}
CLIENT_LEFT = 499
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)

log = logging.getLogger(__name__)


class Metrics:
    """Prometheus metrics of one app, in a registry of its own."""

    def __init__(self) -> None:
        """Declare them."""
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "gatecast_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "gatecast_request_seconds", "Time to answer.", ["route"], buckets=SECONDS, registry=self.registry
        )
        self._models = Gauge(
            "gatecast_model_info", "Models served.", ["model", "version", "alias", "run_id"], registry=self.registry
        )
        self._refused = Gauge("gatecast_models_refused", "Models that could not be loaded.", registry=self.registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(method if method in METHODS else "other", route, status).inc()
        self._seconds.labels(route).observe(seconds)

    def serving(self, models: Models) -> None:
        """Say which models are served from now on."""
        self._models.clear()
        for model in models.served.values():
            ref = model.ref
            self._models.labels(ref.name, ref.version, ref.alias or "", ref.run_id).set(1)
        self._refused.set(len(models.refused))

    def text(self) -> bytes:
        """Return all of them in Prometheus' text format."""
        return generate_latest(self.registry)


class Telemetry:
    """ASGI middleware around everything else."""

    def __init__(self, app: ASGIApp, metrics: Metrics, guard: Guard) -> None:
        """Stand before `app`."""
        self._app = app
        self._metrics = metrics
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        status = CLIENT_LEFT

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
                message["headers"] = [*message["headers"], *headers_for(scope["path"])]
            await send(message)

        start = time.perf_counter()
        try:
            self._guard.check(scope)
            await self._app(scope, receive, send_marked)
        except ClientDisconnect:
            log.info("request %s: the client left", request_id)
        except Exception as error:
            if status != CLIENT_LEFT:  # the answer has begun: all that is left is to break it off
                raise
            await problem_response(error, request_id)(scope, receive, send_marked)
        finally:
            seconds = time.perf_counter() - start
            self._metrics.answered(scope["method"], _route(scope), status, seconds)
            log.info("request %s: %s %s %d %.4f s", request_id, scope["method"], _route(scope), status, seconds)


def _request_id(scope: Scope) -> str:
    """Return the id the client sent, if it is one that can be logged, else a new one."""
    sent = Headers(scope=scope).get("x-request-id", "")
    return sent if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", sent) else uuid.uuid4().hex


def _route(scope: Scope) -> str:
    """Return the template of the route, so that the number of labels stays bounded."""
    return getattr(scope.get("route"), "path", "unmatched")

"""The app: wires settings, models, routes, errors and telemetry; decides nothing."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from threadpoolctl import threadpool_limits

from forecasting.errors import GatecastError
from service.batching import Batcher
from service.cache import Cache
from service.door import Door
from service.following import Follower
from service.gate import choose_device
from service.guard import Guard
from service.hot import Forecasts
from service.lane import PushLane
from service.logs import configure_logs
from service.models import Models
from service.openapi import publish
from service.problems import on_bad_parameter, on_error, on_http_error
from service.quick import QuickReader
from service.routes import add_routes
from service.schemas import Limits
from service.settings import Settings
from service.shadow import Shadow
from service.sources import ModelSource, RegistrySource
from service.streams.hot import Streams
from service.streams.published import stream_components
from service.streams.queue import Queue
from service.streams.store import Store
from service.streams.upkeep import Upkeep
from service.telemetry import Metrics
from service.tracing import Traced, traced

State = dict[str, Any]
"""What the wire is told: how long a request may take to arrive, the queue, the quick lane; and the app: whether it is
`draining`."""


def create_app(
    settings: Settings | None = None, source: ModelSource | None = None, cache: Cache | None = None
) -> Door | Traced:
    """Return an app, the door with FastAPI behind; it opens its models when it is started.

    Without arguments, as `uvicorn --factory service.app:create_app` calls it, the settings come from the environment
    and the models from the registry, and these are kept on disk for the next start.

    Raises:
        SettingsError: a variable holds a value that cannot be used.
    """
    if settings is None:  # a process of its own: what it logs is ours to decide
        settings = Settings.from_env()
        configure_logs(settings)
    limits, app = _limits(settings), _bare(settings)
    app.state.metrics, app.state.webhook_secret, app.state.lane = Metrics(), settings.webhook_secret, None
    if source is None:
        source, cache = RegistrySource(settings), cache or Cache.of(settings)
    app.state.follower = Follower(source, settings, app.state.metrics, _publisher(app), cache)
    guard, forecasts = Guard.from_settings(settings), _forecasts(app, settings, limits)
    streams = _streams(app, settings, limits)
    add_routes(app, limits, forecasts, streams)
    publish(app, limits, stream_components(limits, settings), keys_asked=bool(guard.asks))
    door = Door(app, guard, forecasts, streams, log_all=settings.access_log)
    if not (settings.traces or settings.access_log):  # which look at every request on its way
        app.state.lane = PushLane(door, guard, streams)
    return traced(door, settings.traces)


def _bare(settings: Settings) -> FastAPI:
    """Return FastAPI without routes, answering errors our way."""
    app = FastAPIOffline(  # its page of documentation needs no other host
        title="Gatecast",
        redoc_url=None,
        redirect_slashes=False,  # a redirect would say the host back that the client says, in an answer of no problem
        version=_version(),
        summary="Forecasts of multivariate time series.",
        lifespan=_lifespan(settings),
    )
    for kind in (GatecastError, Exception):
        app.add_exception_handler(kind, on_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_bad_parameter)
    return app


def _limits(settings: Settings) -> Limits:
    return Limits(
        max_body_bytes=settings.max_body_bytes,
        max_rows=settings.max_rows,
        max_windows=settings.max_windows,
        max_queue=settings.max_queue,
        deadline_seconds=settings.deadline_seconds,
        receive_seconds=settings.receive_seconds,
    )


def _forecasts(app: FastAPI, settings: Settings, limits: Limits) -> Forecasts:
    batcher = Batcher(settings, app.state.metrics)
    app.state.metrics.waiting.set_function(lambda: batcher.waiting)
    return Forecasts(
        models=lambda: app.state.models,
        limits=limits,
        batcher=batcher,
        shadow=Shadow(lambda: app.state.models, app.state.metrics),
        reader=QuickReader(),
        strict=settings.implausible == "refuse",
        on_sick=app.state.follower.sick,
    )


def _streams(app: FastAPI, settings: Settings, limits: Limits) -> Streams:
    store, queue, metrics = Store(settings), Queue(settings, app.state.metrics), app.state.metrics
    metrics.streams.waiting.set_function(lambda: queue.waiting)
    metrics.streams.cached.set_function(lambda: store.cached)
    app.state.upkeep = Upkeep(store, queue, settings, metrics, lambda: app.state.models)
    return Streams(
        models=lambda: app.state.models,
        limits=limits,
        settings=settings,
        store=store,
        queue=queue,
        metrics=metrics,
        on_sick=app.state.follower.sick,
    )


def _publisher(app: FastAPI) -> Callable[[Models], None]:
    def publish_models(models: Models) -> None:
        app.state.models = models
        app.state.metrics.serving(models)

    return publish_models


def _lifespan(settings: Settings) -> Callable[[FastAPI], AbstractAsyncContextManager[State]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[State]:
        torch.set_num_threads(1)  # requests run side by side; one of them shall not take every core
        threadpool_limits(1)  # nor shall a product of numpy, which on a busy machine would wait for its own threads
        async with app.state.upkeep.running(), app.state.follower.running(choose_device(settings.device)):
            _spare_the_collector()
            yield {
                "receive_seconds": settings.receive_seconds,
                "batcher": app.state.forecasts.batcher,
                "lane": app.state.lane,
            }
        app.state.forecasts.close()

    return lifespan


def _spare_the_collector() -> None:
    """Keep the garbage collector from walking through all of torch again and again: that takes 0.1 s each time.

    A request makes hundreds of lists and no cycles, so that looking for those less often costs nothing either.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _version() -> str:
    try:
        return version("gatecast")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"

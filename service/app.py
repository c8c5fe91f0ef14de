"""The app: wires settings, models, routes, errors and telemetry; decides nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

import torch
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from forecasting.errors import GatecastError
from service.guard import Guard
from service.models import Models, ModelSource, RegistrySource, choose_device, load_models
from service.openapi import publish
from service.problems import on_bad_parameter, on_gatecast_error, on_http_error
from service.routes import add_routes
from service.schemas import Limits
from service.settings import Settings
from service.telemetry import Metrics, Telemetry


def create_app(settings: Settings | None = None, source: ModelSource | None = None) -> FastAPI:
    """Return an app; it opens its models when it is started.

    Without arguments, as `uvicorn --factory service.app:create_app` calls it, the settings come from the environment
    and the models from the registry.

    Raises:
        SettingsError: a variable holds a value that cannot be used.
    """
    settings = settings or Settings.from_env()
    limits = Limits(
        max_body_bytes=settings.max_body_bytes, max_rows=settings.max_rows, max_windows=settings.max_windows
    )
    app = FastAPIOffline(  # its page of documentation needs no other host
        title="Gatecast",
        redoc_url=None,
        version=_version(),
        summary="Forecasts of multivariate time series.",
        lifespan=_lifespan(settings, source or RegistrySource(settings)),
    )
    app.state.models, app.state.metrics = Models(), Metrics()
    guard = Guard.from_settings(settings)
    app.add_middleware(Telemetry, metrics=app.state.metrics, guard=guard)
    app.add_exception_handler(GatecastError, on_gatecast_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_bad_parameter)
    add_routes(app, limits)
    publish(app, limits, keys_asked=bool(guard.asks))
    return app


def _lifespan(settings: Settings, source: ModelSource) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        torch.set_num_threads(1)  # requests run side by side; one of them shall not take every core
        device = choose_device(settings.device)
        app.state.models = await run_in_threadpool(load_models, source, settings, device)
        app.state.metrics.serving(app.state.models)
        yield

    return lifespan


def _version() -> str:
    try:
        return version("gatecast")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"

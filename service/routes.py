"""The routes: which path does what. All of them are in the table of `add_routes`."""

from __future__ import annotations

from bisect import bisect_right
from typing import Annotated, Any

import msgspec
from fastapi import FastAPI, Query
from starlette.requests import Request
from starlette.responses import Response

from forecasting.statics import Category, Number
from service.admin import add_admin, state_of
from service.hot import TEMPLATE, Forecasts
from service.inference import add_inference
from service.models import Models, ServedModel
from service.openapi import (
    Cursor,
    ModelName,
    Ref,
    answered,
    problems,
    read_cursor,
    request_body,
    written_cursor,
)
from service.schemas import (
    ForecastAnswer,
    ForecastsAnswer,
    KnownSeries,
    Limits,
    ModelDescription,
    ModelMemory,
    ModelPage,
    Ready,
    StaticColumn,
    StreamsState,
)
from service.scoring import add_scoring, refuse_unready
from service.streams.hot import Streams
from service.streams.routes import add_streams
from service.webhook import add_webhook

SHOWN = 100
"""Series, and values of a static column, that the description of a model names."""


def add_routes(app: FastAPI, limits: Limits, forecasts: Forecasts, streams: Streams) -> None:
    """Give the app its routes; the app's state holds `models`, `metrics`, and what the others say."""
    app.state.limits, app.state.forecasts = limits, forecasts
    add = app.add_api_route
    add(
        TEMPLATE,
        forecast_window,
        methods=["POST"],
        tags=["forecast"],
        openapi_extra=request_body(limits),
        responses=answered(ForecastAnswer, ForecastsAnswer) | problems(400, 404, 408, 409, 413, 415, 422, 500, 503),
        response_class=Response,
    )
    _read(app, "/v1/models", list_models, ModelPage, 422)
    _read(app, "/v1/models/{name}", describe_model, ModelDescription, 404, 422, 503)
    _read(app, "/v1/models/{name}/memory", describe_memory, ModelMemory, 404, 422, 503)
    _read(app, "/livez", live, dict[str, bool])
    _read(app, "/readyz", ready, Ready, 503)
    text: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
    add_admin(app)
    add_webhook(app)
    add("/metrics", metrics, tags=["operation"], responses=text | problems(500), response_class=Response)
    add_streams(app, streams)
    add_scoring(app)
    add_inference(app)


def _read(app: FastAPI, path: str, endpoint: Any, kind: Any, *statuses: int) -> None:
    tag = "models" if path.startswith("/v1") else "operation"
    responses = answered(kind) | problems(*statuses, 500)
    app.add_api_route(path, endpoint, tags=[tag], responses=responses, response_class=Response)


async def forecast_window(request: Request, name: ModelName, ref: Ref = None) -> Response:
    """Forecast what follows the last row of a window; nothing is remembered.

    A row holds the model's targets, past and known covariates in their order (GET /v1/models/{name} lists them), or in
    that of `columns`. `known_future` holds the known covariates of the steps to come, where the model has any. With
    `windows`, several windows are answered in their order, all of them or none. A 200 holds finite numbers only.
    """
    del ref  # read where the door reads it
    forecasts: Forecasts = request.app.state.forecasts
    return _json(await forecasts.answer(name, request.scope, request.receive))


async def list_models(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Cursor = "",
) -> Response:
    """List the models that are served, by name."""
    served = {slot.text: model for slot, model in _models(request).served.items()}
    names = sorted(served)
    start = bisect_right(names, read_cursor(cursor)) if cursor else 0
    page = names[start : start + limit]
    more = written_cursor(page[-1]) if names[start + limit :] else None
    return _json(msgspec.json.encode(ModelPage(models=[served[name].identity for name in page], next=more)))


async def describe_model(request: Request, name: ModelName) -> Response:
    """Describe a model: its contract, its card, its scores, where it comes from."""
    model = _models(request).find(name)
    streams = await request.app.state.streams.state(name)
    return _json(msgspec.json.encode(_description(model, request.app.state.limits, streams)))


async def describe_memory(request: Request, name: ModelName) -> Response:
    """Tell how far back a model looks, what its gates do, and whether it may be carried from row to row."""
    model = _models(request).find(name)
    bundle = model.bundle
    found = ModelMemory(
        model=model.identity,
        freq=bundle.spec.calendar.freq,
        sentence=bundle.card.memory if bundle.card else None,
        memory=bundle.memory,
        streaming=bundle.streaming,
    )
    return _json(msgspec.json.encode(found))


async def live() -> Response:
    """Tell that the process answers."""
    return _json(b'{"live":true}')


async def ready(request: Request) -> Response:
    """Tell which models are served; 503 while none is, and once the service is about to end."""
    refuse_unready(request)
    return _json(msgspec.json.encode(state_of(request.app, _models(request))))


async def metrics(request: Request) -> Response:
    """Return metrics in Prometheus' text format."""
    return Response(request.app.state.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _models(request: Request) -> Models:
    models: Models = request.app.state.models
    return models


def _json(content: bytes) -> Response:
    return Response(content, media_type="application/json")


def _description(model: ServedModel, limits: Limits, streams: StreamsState) -> ModelDescription:
    bundle, spec = model.bundle, model.bundle.spec
    known = sorted(bundle.scaler.ids)
    return ModelDescription(
        model=model.identity,
        columns=spec.columns,
        static=[_static(column) for column in bundle.statics.columns],
        units=spec.units,
        levels=list(bundle.calibration.levels) if bundle.calibration else [],
        freq=spec.calendar.freq,
        timezone=spec.calendar.timezone,
        horizon=spec.horizon,
        lookback=spec.lookback,
        missing=spec.missing,
        needs_time=spec.calendar.width > 0,
        series=KnownSeries(count=len(known), ids=known[:SHOWN]) if spec.panel else None,
        limits=limits,
        device=str(bundle.forecaster.spread.device),
        card=bundle.card,
        scorecard=bundle.scorecard,
        streaming=bundle.streaming,
        streams=streams,
        provenance=spec.provenance,
    )


def _static(column: Number | Category) -> StaticColumn:
    if isinstance(column, Number):
        return StaticColumn(name=column.name, kind="number")
    return StaticColumn(name=column.name, kind="category", count=len(column.known), values=list(column.known[:SHOWN]))

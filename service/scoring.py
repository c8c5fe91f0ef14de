"""MLflow's scoring protocol: who asked `mlflow models serve` for forecasts need only change the address."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from fastapi import FastAPI, Query
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from forecasting.errors import WindowRejected
from forecasting.prediction import WindowForecast, forecast_columns
from service.body import receive_body
from service.hot import Forecasts
from service.models import Models, ServedModel
from service.openapi import Ref, answered, identified, problems, request_body
from service.problems import NotReady
from service.tables import EXAMPLES, ScoringAnswer, ScoringRequest, read_tables

NAMED = 10
"""Models that a refusal names."""

ModelAsked = Annotated[
    str | None, Query(max_length=128, description="Name of the model; may be left out where one is served.")
]


def add_scoring(app: FastAPI) -> None:
    """Give the app the routes of `mlflow models serve`."""
    app.add_api_route(
        "/invocations",
        score,
        methods=["POST"],
        tags=["mlflow"],
        openapi_extra=request_body(app.state.limits, ScoringRequest, EXAMPLES),
        responses=identified(answered(ScoringAnswer)) | problems(400, 404, 408, 413, 415, 422, 500, 503),
        response_class=Response,
    )
    for path, endpoint, statuses in (("/ping", ping, (503,)), ("/health", ping, (503,)), ("/version", mlflow, ())):
        text: dict[int | str, Any] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
        responses = text | problems(*statuses, 500)
        app.add_api_route(path, endpoint, tags=["mlflow"], responses=responses, response_class=Response)


async def score(request: Request, model: ModelAsked = None, ref: Ref = None) -> Response:
    """Forecast what follows the rows of a table, for each of its series; nothing is remembered.

    Which model and version answered, and the run they come from, is in the headers; what a reader of the forecast
    should know is there as codes. A 200 holds finite numbers only.
    """
    found = choose(request.app.state.models, model, ref)
    forecasts: Forecasts = request.app.state.forecasts
    body = await receive_body(request.scope, request.receive, forecasts.limits.max_body_bytes)
    asked = await run_in_threadpool(read_tables, found.bundle.spec, body, forecasts.limits)
    try:
        answers = await forecasts.compute(found, asked, request.scope)
    except WindowRejected as error:
        pointer = f"/params{error.pointer}" if error.pointer.startswith("/levels") else ""
        raise WindowRejected(str(error), pointer) from error
    targets = found.bundle.spec.targets
    pairs = zip(answers, asked, strict=True)
    rows = [row for answer, one in pairs for row in _rows(answer, targets, one.window.series)]
    content = msgspec.json.encode(ScoringAnswer(predictions=rows))
    return Response(content, media_type="application/json", headers=identity_headers(found, answers))


async def ping(request: Request) -> Response:
    """Tell whether a model is served, as `mlflow models serve` does; 503 while none is, and before the end."""
    refuse_unready(request)
    return Response("\n", media_type="text/plain")


def refuse_unready(request: Request) -> None:
    """Raise `NotReady` while no model is served, and once the service is about to end."""
    models: Models = request.app.state.models
    if not models.served or getattr(request.state, "draining", False):
        raise NotReady(models.reasons() if not models.served else "the service is about to end")


async def mlflow() -> Response:
    """Tell the version of MLflow whose protocol this is."""
    return Response(version("mlflow"), media_type="text/plain")


def choose(models: Models, name: str | None, ref: str | None) -> ServedModel:
    """Return the model of that name or, without a name, the only one.

    Raises:
        RequestValidationError: there are several, and none was named.
        NotReady, UnknownModel: it is not served.
    """
    if name is not None:
        return models.find(name, ref)
    names = sorted({model.ref.name for model in models.served.values()})
    if not names:
        raise NotReady(models.reasons())
    if len(names) > 1:
        more = ", ..." if len(names) > NAMED else ""
        said = f"{len(names)} models are served; name one: {', '.join(names[:NAMED])}{more}"
        raise RequestValidationError([{"loc": ("query", "model"), "msg": said, "type": "model"}])
    return models.find(names[0], ref)


def identity_headers(model: ServedModel, answers: list[WindowForecast]) -> dict[str, str]:
    """Return the headers that say who answered, and the codes of what a reader of the answer should know."""
    codes = dict.fromkeys(caution.code for answer in answers for caution in answer.cautions)
    ref = model.ref
    said = {"X-Gatecast-Model": f"{quote(ref.name)}@{quote(ref.version)}", "X-Gatecast-Run": quote(ref.run_id)}
    return said | ({"X-Gatecast-Warnings": ", ".join(codes)} if codes else {})


def _rows(answer: WindowForecast, targets: tuple[str, ...], series: str | None) -> Iterator[dict[str, float | str]]:
    """Return the rows that the pyfunc returns, as MLflow writes them."""
    columns = forecast_columns(answer, targets, series)
    count = len(answer.point)
    if series is not None:
        columns["series"] = [series] * count
    if answer.times is not None:
        columns["timestamp"] = [time.isoformat() for time in answer.times]
    lists = (getattr(column, "tolist", lambda c=column: list(c))() for column in columns.values())
    return (dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True))

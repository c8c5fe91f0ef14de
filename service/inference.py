"""The Open Inference Protocol, version 2: what clients of Triton and KServe speak."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Annotated, Any, ParamSpec

import msgspec
from fastapi import FastAPI, Header, Path
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from forecasting.errors import GatecastError, WindowRejected
from forecasting.prediction import Asked
from service.body import receive_body
from service.hot import Forecasts
from service.models import Models, ServedModel
from service.openapi import ModelName, answered, identified, problems, request_body
from service.problems import problem_response
from service.questions import arrays_of, in_tensors, inputs_of, outputs_of, windows_of_tensors
from service.schemas import Limits, ModelMetadata, ServerMetadata
from service.scoring import identity_headers, refuse_unready
from service.tensors import InferAnswer, InferRequest, Tensor, read_tensors, write_tensors

MEDIA = (b"", b"application/json", b"application/octet-stream")
"""Triton's clients declare none."""

HEAD = "Inference-Header-Content-Length"
BINARY = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
MODEL, VERSION = "/v2/models/{name}", "/v2/models/{name}/versions/{version}"

Version = Annotated[str, Path(max_length=128, description="A version or alias that is loaded.")]
Head = Annotated[
    str,
    Header(alias=HEAD, pattern="^[0-9]{1,18}$", description="Bytes of JSON, where tensors in binary come behind it."),
]
P = ParamSpec("P")

EXAMPLES = {
    "a window": {
        "value": {
            "inputs": [
                {"name": "observations", "shape": [2, 2], "datatype": "FP32", "data": [39.0, 26.1, None, 27.0]},
                {"name": "last_timestamp", "shape": [1], "datatype": "BYTES", "data": ["2013-12-30T22:00:00Z"]},
            ],
            "outputs": [{"name": "median"}, {"name": "interval_90"}],
        }
    }
}


def add_inference(app: FastAPI) -> None:
    """Give the app the routes of the protocol."""
    _read(app, "/v2", server, ServerMetadata)
    _read(app, "/v2/health/live", live, dict[str, bool])
    _read(app, "/v2/health/ready", ready, dict[str, bool], 503)
    for path, described, told, asked in (
        (MODEL, describe, model_ready, infer),
        (VERSION, describe_version, version_ready, infer_version),
    ):
        _read(app, path, described, ModelMetadata, 404, 422, 503)
        _read(app, f"{path}/ready", told, dict[str, bool], 404, 422, 503)
        app.add_api_route(
            f"{path}/infer",
            _repeating_errors(asked),
            methods=["POST"],
            tags=["inference"],
            openapi_extra=_body(app.state.limits),
            responses=identified(_answered()) | problems(400, 404, 408, 413, 415, 422, 500, 503),
            response_class=Response,
        )


def _body(limits: Limits) -> dict[str, Any]:
    found = request_body(limits, InferRequest, EXAMPLES)
    found["requestBody"]["content"] |= BINARY
    return found


def _answered() -> dict[int | str, dict[str, Any]]:
    found = answered(InferAnswer)
    found[200]["content"] |= BINARY
    return found


def _read(app: FastAPI, path: str, endpoint: Any, kind: Any, *statuses: int) -> None:
    responses = answered(kind) | problems(*statuses, 500)
    app.add_api_route(
        path, _repeating_errors(endpoint), tags=["inference"], responses=responses, response_class=Response
    )


def _repeating_errors(endpoint: Callable[P, Awaitable[Response]]) -> Callable[P, Awaitable[Response]]:
    """Say what is wrong once more where clients of this protocol look for it."""

    @wraps(endpoint)
    async def answering(*args: P.args, **kwargs: P.kwargs) -> Response:
        try:
            return await endpoint(*args, **kwargs)
        except GatecastError as error:
            request: Any = kwargs["request"]
            return problem_response(error, request.state.request_id, again=True)

    return answering


async def server(request: Request) -> Response:
    """Describe the service."""
    extensions = ["binary_tensor_data"]
    return _json(ServerMetadata(name="gatecast", version=request.app.version, extensions=extensions))


async def live() -> Response:
    """Tell that the process answers."""
    return _json({"live": True})


async def ready(request: Request) -> Response:
    """Tell whether a model is served."""
    refuse_unready(request)
    return _json({"ready": True})


async def describe(request: Request, name: ModelName) -> Response:
    """Describe inputs and outputs of a model."""
    return _described(request, name, None)


async def describe_version(request: Request, name: ModelName, version: Version) -> Response:
    """Describe inputs and outputs of a version of a model."""
    return _described(request, name, version)


async def model_ready(request: Request, name: ModelName) -> Response:
    """Tell whether a model is served."""
    _models(request).find(name)
    return _json({"ready": True})


async def version_ready(request: Request, name: ModelName, version: Version) -> Response:
    """Tell whether a version of a model is loaded."""
    _models(request).find(name, version)
    return _json({"ready": True})


async def infer(request: Request, name: ModelName, head: Head = "") -> Response:
    """Forecast what follows the last rows of one window or of a batch; nothing is remembered.

    Inputs and outputs may be in JSON, or in binary behind it. A 200 holds finite numbers only.
    """
    return await _infer(request, _models(request).find(name), head)


async def infer_version(request: Request, name: ModelName, version: Version, head: Head = "") -> Response:
    """Forecast by a version of a model that is loaded."""
    return await _infer(request, _models(request).find(name, version), head)


async def _infer(request: Request, model: ServedModel, head: str) -> Response:
    forecasts: Forecasts = request.app.state.forecasts
    body = await receive_body(request.scope, request.receive, forecasts.limits.max_body_bytes, MEDIA)
    asked, wanted, tensors = await run_in_threadpool(_read_body, model, body, head, forecasts.limits)
    try:
        answers = await forecasts.compute(model, asked, request.scope)
    except WindowRejected as error:
        raise in_tensors(error, tensors) from error
    arrays = arrays_of(answers, wanted.outputs)
    content, length = write_tensors(_answer(model, wanted), arrays, _binary(wanted, list(arrays)))
    headers, media = identity_headers(model, answers), "application/json"
    if length is not None:
        headers, media = headers | {HEAD: str(length)}, "application/octet-stream"
    return Response(content, media_type=media, headers=headers)


def _read_body(
    model: ServedModel, body: bytes, head: str, limits: Limits
) -> tuple[list[Asked], InferRequest, dict[str, Tensor]]:
    wanted, tensors = read_tensors(body, head)
    return windows_of_tensors(model.bundle, wanted, tensors, limits), wanted, tensors


def _answer(model: ServedModel, wanted: InferRequest) -> InferAnswer:
    ref = model.ref
    return InferAnswer(
        model_name=ref.name, model_version=ref.version, id=wanted.id, parameters={"run_id": ref.run_id}, outputs=[]
    )


def _binary(wanted: InferRequest, names: list[str]) -> set[str]:
    """Return the outputs that are to come in binary."""
    by_default = bool(wanted.parameters and wanted.parameters.binary_data_output)
    said = {one.name: one.parameters.binary_data for one in wanted.outputs or () if one.parameters}
    return {name for name in names if (by_default if said.get(name) is None else said[name])}


def _described(request: Request, name: str, version: str | None) -> Response:
    models = _models(request)
    model = models.find(name, version)
    versions = sorted({one.ref.version for one in models.served.values() if one.ref.name == name})
    described = ModelMetadata(
        name=name,
        versions=versions if version is None else [model.ref.version],
        platform="gatecast",
        inputs=inputs_of(model.bundle),
        outputs=outputs_of(model.bundle),
    )
    return _json(described)


def _models(request: Request) -> Models:
    models: Models = request.app.state.models
    return models


def _json(content: Any) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json")

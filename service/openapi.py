"""The published schema: made from the structures in `schemas`, with the limits this service was started with."""

from __future__ import annotations

import base64
from typing import Annotated, Any

import msgspec
from fastapi import FastAPI, Path, Query

from service.guard import ANYONE, scope_for
from service.problems import MEDIA_TYPE, Problem
from service.schemas import (
    Delivery,
    ForecastAnswer,
    ForecastRequest,
    ForecastsAnswer,
    Heard,
    Limits,
    ModelDescription,
    ModelMemory,
    ModelMetadata,
    ModelPage,
    Ready,
    ServerMetadata,
)
from service.tables import ScoringAnswer, ScoringRequest
from service.tensors import InferAnswer, InferRequest

ModelName = Annotated[str, Path(max_length=128)]
Ref = Annotated[
    str | None, Query(max_length=128, description="An alias or version that is loaded; by default production.")
]

Cursor = Annotated[
    str,
    Query(
        max_length=1024,
        pattern="^([A-Za-z0-9_-]{4})*([A-Za-z0-9_-]{2}==|[A-Za-z0-9_-]{3}=)?$",
        description="`next` of the page before.",
    ),
]

REF = "#/components/schemas/{name}"
BEARER = "key"
KEYS = "An API key; needed unless the service is bound to loopback or asks for none. `gatecast keys add` makes one."
PUBLISHED = (
    *(ForecastRequest, ForecastAnswer, ForecastsAnswer, ModelPage, ModelDescription, ModelMemory, Ready, Problem),
    *(Delivery, Heard),
    *(ScoringRequest, ScoringAnswer, InferRequest, InferAnswer, ModelMetadata, ServerMetadata),
)

IDENTITY = {
    "X-Gatecast-Model": "Name and version of the model that answered, as NAME@VERSION.",
    "X-Gatecast-Run": "The run that trained it.",
    "X-Gatecast-Warnings": "Codes of what a reader of the forecast should know; absent where there is nothing.",
}

STATUSES = {
    400: "The body is not JSON.",
    401: "An API key is needed, and none that is known was sent.",
    403: "The API key does not have the scope this needs.",
    404: "No model of that name, or no such version of it, is served; or it has no such stream.",
    408: "The body did not arrive in time.",
    409: "What came contradicts what is there: the contract before this version's, or the rows of a stream.",
    413: "The body is too large.",
    415: "The body is not declared as application/json.",
    422: "The request cannot be used; `pointer` says where.",
    429: "There are as many streams as there may be.",
    500: "The service failed, or the model's answer was not finite.",
    503: "Not loaded, or too much to do; see Retry-After.",
}

EXAMPLES = {
    "rows": {"value": {"observations": [[39.0, 26.1], [39.9, 27.0]], "last_timestamp": "2013-12-30T22:00:00Z"}},
    "named columns": {
        "value": {
            "columns": ["dewp", "temp"],
            "data": [[26.1, 39.0], [None, 39.9]],
            "timestamps": ["2013-12-30T21:00:00Z", "2013-12-30T22:00:00Z"],
            "series": "JFK",
            "horizon": 1,
        }
    },
    "covariates": {
        "value": {
            "columns": ["demand", "visitors", "rain", "price", "holiday"],
            "data": [[12.5, 7, 0.0, 29.9, 0], [13.1, 8, 0.2, 29.9, 0]],
            "last_timestamp": "2024-03-01T09:00:00Z",
            "known_future": [[24.9, 0], [24.9, 1]],
            "series": "new-store",
            "static": {"size": 2.7, "region": "coast"},
            "levels": [80, 95],
        }
    },
    "several windows": {
        "value": {"windows": [{"observations": [[39.0, 26.1]], "last_timestamp": "2013-12-30T22:00:00Z"}]}
    },
}


def request_body(
    limits: Limits | str, kind: type[msgspec.Struct] = ForecastRequest, examples: dict[str, Any] = EXAMPLES
) -> dict[str, Any]:
    """Describe the body of a request; of one for forecasts by the limits alone."""
    schema = {"$ref": REF.format(name=kind.__name__)}
    return {
        "requestBody": {
            "required": True,
            "description": limits if isinstance(limits, str) else said_of(limits),
            "content": {"application/json": {"schema": schema, "examples": examples}},
        }
    }


def said_of(limits: Limits) -> str:
    """Say what a request may hold and what it may wait for."""
    return (
        f"At most {limits.max_body_bytes:,} bytes, {limits.max_rows:,} rows a window, {limits.max_windows:,} windows, "
        f"nested {limits.max_depth} deep; here within {limits.receive_seconds:g} s. Of all requests together "
        f"{limits.max_queue:,} windows may wait, none longer than {limits.deadline_seconds:g} s."
    )


def read_cursor(cursor: str) -> str:
    """Return what a page went up to; nothing before the first."""
    return base64.urlsafe_b64decode(cursor).decode(errors="replace")


def written_cursor(last: str) -> str:
    """Return the cursor of the page behind what one went up to."""
    return base64.urlsafe_b64encode(last.encode()).decode()


def answered(*kinds: Any) -> dict[int | str, dict[str, Any]]:
    """Describe a 200 of one of these kinds."""
    schemas, _ = msgspec.json.schema_components(kinds, ref_template=REF)
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": list(schemas)}
    return {200: {"description": "Done.", "content": {"application/json": {"schema": schema}}}}


def identified(described: dict[int | str, dict[str, Any]]) -> dict[int | str, dict[str, Any]]:
    """Describe that the headers of a 200 say who answered."""
    headers = {name: {"description": said, "schema": {"type": "string"}} for name, said in IDENTITY.items()}
    return {status: one | {"headers": headers} for status, one in described.items()}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe these statuses as problems."""
    content = {MEDIA_TYPE: {"schema": {"$ref": REF.format(name=Problem.__name__)}}}
    retry = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
    described: dict[int | str, dict[str, Any]] = {
        status: {"description": STATUSES[status], "content": content} for status in statuses
    }
    if 503 in described:  # noqa: PLR2004 - service unavailable
        described[503]["headers"] = retry
    return described


def publish(app: FastAPI, limits: Limits, more: dict[str, Any], *, keys_asked: bool = False) -> None:
    """Make the app publish the structures beside its routes, `more` of them by name, and who may use these.

    Where keys are asked for by the address a request comes in at, or not at all, they are published as optional.
    """
    routes_only = app.openapi

    def openapi() -> dict[str, Any]:
        schema = routes_only()
        components = schema.setdefault("components", {})
        components.setdefault("schemas", {}).update(more | _components(limits))
        components["securitySchemes"] = {BEARER: {"type": "http", "scheme": "bearer", "description": KEYS}}
        for path, operations in schema["paths"].items():
            for operation in operations.values():
                _secure(operation, scope_for(path), keys_asked)
        return schema

    app.openapi = openapi  # type: ignore[method-assign] # the way FastAPI documents


def _secure(operation: dict[str, Any], scope: str, keys_asked: bool) -> None:
    """Publish what a key must have for an operation, and what its lack is answered with."""
    if scope == ANYONE:
        return
    operation["security"] = [{BEARER: []}] if keys_asked else [{BEARER: []}, {}]
    refused = problems(401, 403) if scope else problems(401)
    operation["responses"] |= {str(status): described for status, described in refused.items()}


def _components(limits: Limits) -> dict[str, Any]:
    _, components = msgspec.json.schema_components(PUBLISHED, ref_template=REF)
    for name in ("WindowRequest", "ForecastRequest"):
        for key in ("observations", "data", "timestamps"):
            array_of(components[name]["properties"][key])["maxItems"] = limits.max_rows
    array_of(components["ForecastRequest"]["properties"]["windows"])["maxItems"] = limits.max_windows
    return components


def array_of(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the array among the alternatives of a property that may be null."""
    return next(one for one in schema["anyOf"] if one.get("type") == "array")

"""What is published of the routes of streams: their bodies, examples, and the limits this service was started with."""

from __future__ import annotations

from typing import Any

import msgspec

from service.openapi import REF, answered, array_of, request_body
from service.schemas import Limits
from service.settings import Settings
from service.streams.asked import ARROW
from service.streams.schemas import (
    CorrectionRequest,
    LedgerPage,
    ObserveAnswer,
    ObserveRequest,
    PushAnswer,
    PushRequest,
    StreamDescription,
    StreamPage,
)

KINDS = (
    *(PushRequest, PushAnswer, ObserveRequest, ObserveAnswer, CorrectionRequest),
    *(StreamPage, StreamDescription, LedgerPage),
)
TABLE = {"schema": {"type": "string", "format": "binary"}}
CSV = {"schema": {"type": "string"}}

PUSHES = {
    "a row": {"value": {"observations": [[39.0, 26.1]], "last_timestamp": "2013-12-30T22:00:00Z"}},
    "history": {
        "value": {
            "columns": ["dewp", "temp"],
            "data": [[26.1, 39.0], [None, 39.9]],
            "timestamps": ["2013-12-30T21:00:00Z", "2013-12-30T22:00:00Z"],
            "history": True,
        }
    },
}
MANY = {
    "two streams": {
        "value": {
            "streams": [
                {"stream": "jfk", "observations": [[39.0, 26.1]], "last_timestamp": "2013-12-30T22:00:00Z"},
                {"stream": "lga", "observations": [[38.1, 25.0]], "last_timestamp": "2013-12-30T22:00:00Z"},
            ]
        }
    }
}
CORRECTIONS = {"a row": {"value": {"observation": [39.9, 26.1]}}}


def pushed_body(limits: Limits) -> dict[str, Any]:
    """Describe the body of a push."""
    return _body(PushRequest, PUSHES, _said(limits, limits.max_body_bytes, f"{limits.max_rows:,} rows"))


def observed_body(limits: Limits, settings: Settings) -> dict[str, Any]:
    """Describe the body of pushes to many streams."""
    rows = f"{settings.max_pushes:,} rows, and {limits.max_rows:,} of a stream"
    table = (
        "A table has the columns `stream`, `timestamp` (with a time zone), those of a row of the model and, where the "
        "model has several series, `series` if wanted; rows of a stream are oldest first, and null is missing. Where "
        "the model has covariates that are known in advance, the last rows of each stream are those of the steps to "
        "come, null in every other column."
    )
    found = _body(ObserveRequest, MANY, f"{_said(limits, settings.max_bulk_bytes, rows)} {table}")
    found["requestBody"]["content"] |= {ARROW: TABLE}
    return found


def corrected_body(limits: Limits) -> dict[str, Any]:
    """Describe the body of a correction."""
    return _body(CorrectionRequest, CORRECTIONS, _said(limits, limits.max_body_bytes, "one row"))


def observed() -> dict[int | str, dict[str, Any]]:
    """Describe the answer to pushes to many streams."""
    found = answered(ObserveAnswer)
    found[200]["content"] |= {ARROW: TABLE}
    return found


def ledger() -> dict[int | str, dict[str, Any]]:
    """Describe a page of a ledger."""
    found = answered(LedgerPage)
    found[200]["content"] |= {"text/csv": CSV}
    said = "Where the next page is, if the page is a table and not the last one."
    found[200]["headers"] = {"Link": {"description": said, "schema": {"type": "string"}}}
    return found


def stream_components(limits: Limits, settings: Settings) -> dict[str, Any]:
    """Return the structures of streams, with their limits."""
    _, components = msgspec.json.schema_components(KINDS, ref_template=REF)
    for name in ("PushRequest", "StreamPush"):
        for key in ("observations", "data", "timestamps"):
            array_of(components[name]["properties"][key])["maxItems"] = limits.max_rows
    components["ObserveRequest"]["properties"]["streams"]["maxItems"] = settings.max_pushes
    return components


def _said(limits: Limits, size: int, rows: str) -> str:
    return (
        f"At most {size:,} bytes, {rows}, nested {limits.max_depth} deep; here within {limits.receive_seconds:g} s. "
        f"At most {limits.max_queue:,} rows may wait for the log, besides those of one request, none longer than "
        f"{limits.deadline_seconds:g} s."
    )


def _body(kind: type[msgspec.Struct], examples: dict[str, Any], said: str) -> dict[str, Any]:
    return request_body(said, kind, examples)

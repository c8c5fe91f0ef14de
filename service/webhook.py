"""The webhook of MLflow's registry: that something has changed there is heard before the next round would find it.

Nothing a delivery says is believed or even read. It wakes the follower, which asks the registry itself; deliveries that
come while it asks are one more round together, however many they are.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Iterable
from typing import Any

import msgspec
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service.body import receive_body
from service.openapi import answered, problems, request_body
from service.problems import NotSigned
from service.schemas import Delivery, Heard, Limits

OLDEST_SECONDS = 300
"""How far the registry's clock may be from ours; and for how long what was overheard may be sent again, which costs a
question to the registry."""

SIGNED = (b"x-mlflow-delivery-id", b"x-mlflow-timestamp", b"x-mlflow-signature")

_ID = re.compile(rb"[A-Za-z0-9_-]{1,128}")  # without dots, which join what is signed: it parts in one way only
_TIMESTAMP = re.compile(rb"\d{1,12}")

EXAMPLES = {
    "an alias was moved": {
        "value": {
            "entity": "model_version_alias",
            "action": "created",
            "timestamp": "2026-01-01T00:00:00+00:00",
            "data": {"name": "tiny", "alias": "production", "version": "2"},
        }
    }
}
SAID = {
    403: "It is not signed with the secret of GATECAST_WEBHOOK_SECRET, or too long ago.",
    404: "GATECAST_WEBHOOK_SECRET is not set.",
}
HEADERS = {
    "X-MLflow-Delivery-Id": "Of this delivery.",
    "X-MLflow-Timestamp": f"When it was signed, in seconds since 1970; at most {OLDEST_SECONDS} seconds away.",
    "X-MLflow-Signature": "v1, a comma, and base64 of the HMAC-SHA256 of id.timestamp.body.",
}


def add_webhook(app: FastAPI) -> None:
    """Give the app the webhook; the app's state holds `follower`, `metrics`, `limits` and `webhook_secret`."""
    heard = {202: answered(Heard)[200] | {"description": "The registry is about to be asked."}}
    refused = problems(403, 404, 408, 413, 415, 500)
    app.add_api_route(
        "/v1/admin/webhook",
        hear_registry,
        methods=["POST"],
        status_code=202,
        tags=["admin"],
        openapi_extra=_signed_body(app.state.limits),
        responses=heard | refused | {status: refused[status] | {"description": said} for status, said in SAID.items()},
        response_class=Response,
    )


async def hear_registry(request: Request) -> Response:
    """Take a delivery of MLflow's registry: ask it now rather than at the next poll.

    The signature is the key: MLflow cannot send another. Nothing else of the delivery is used.
    """
    state = request.app.state
    if state.webhook_secret is None:
        raise HTTPException(404)
    body = await receive_body(request.scope, request.receive, state.limits.max_body_bytes)
    outcome = judge(state.webhook_secret, request.scope["headers"], body, time.time())
    state.metrics.webhooks.labels(outcome).inc()
    if outcome != "accepted":
        raise NotSigned(outcome)
    state.follower.wake()
    return Response(msgspec.json.encode(Heard()), 202, media_type="application/json")


def judge(secret: str, headers: Iterable[tuple[bytes, bytes]], body: bytes, now: float) -> str:
    """Return what is to be counted: `accepted`, `unsigned`, or `old` for what was signed well, at another time.

    A header that stands twice is none, for who stands before us may have read the other.
    """
    found: dict[bytes, list[bytes]] = {name: [] for name in SIGNED}
    for name, value in headers:
        if name in found:
            found[name].append(value)
    delivery, stamp, signature = (values[0] if len(values) == 1 else b"" for values in found.values())
    if not _ID.fullmatch(delivery) or not _TIMESTAMP.fullmatch(stamp):
        return "unsigned"
    signed = hmac.digest(secret.encode(), b".".join((delivery, stamp, body)), hashlib.sha256)
    if not hmac.compare_digest(b"v1," + base64.b64encode(signed), signature):
        return "unsigned"
    return "accepted" if abs(now - int(stamp)) <= OLDEST_SECONDS else "old"


def _signed_body(limits: Limits) -> dict[str, Any]:
    """Describe what is to be sent."""
    parameters = [
        {"name": name, "in": "header", "required": True, "description": said, "schema": {"type": "string"}}
        for name, said in HEADERS.items()
    ]
    return request_body(limits, Delivery, EXAMPLES) | {"parameters": parameters}

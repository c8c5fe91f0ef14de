"""What an operator may ask of a running service; the guard asks for the scope `admin`."""

from __future__ import annotations

import msgspec
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from service.following import Follower
from service.models import Models
from service.openapi import answered, problems
from service.schemas import Ready
from service.streams.hot import Streams


def add_admin(app: FastAPI) -> None:
    """Give the app its administration; the app's state holds `follower`."""
    app.add_api_route(
        "/v1/admin/reload",
        reload_models,
        methods=["POST"],
        tags=["admin"],
        responses=answered(Ready) | problems(500, 503),
        response_class=Response,
    )


async def reload_models(request: Request) -> Response:
    """Ask the registry now, try again what failed before, and tell what is served then.

    Whatever comes of it, what was served before is served on.
    """
    follower: Follower = request.app.state.follower
    return Response(msgspec.json.encode(state_of(request.app, await follower.reload())), media_type="application/json")


def state_of(app: FastAPI, models: Models) -> Ready:
    """Return which models are served, and what is not as it should be; the app's state holds `streams`."""
    streams: Streams = app.state.streams
    identities = [models.served[slot].identity for slot in sorted(models.served)]
    return Ready(
        models=identities, refused=dict(models.refused), degraded={**models.degraded, **streams.store.degraded}
    )

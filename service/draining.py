"""An answer given before the body of its request has come, to clients that read only when they have sent all."""

from __future__ import annotations

import asyncio

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

DRAIN_SECONDS = 1.0
DRAIN_BYTES = 256_000_000


class DrainedResponse(Response):
    """Goes out at once, then reads on and throws away, within bounds, before the connection is closed.

    To close it on bytes that nobody read would reset it, and the client would lose the answer. The last message waits
    for the end of it: a server hands out nothing more once an answer is complete.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as ASGI has it
        """Answer, drain, close."""
        headers = [*self.raw_headers, (b"connection", b"close")]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(self.body), "more_body": True})
        await drain(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def drain(receive: Receive) -> None:
    """Read a body to its end and keep nothing of it, for a second and 256 MB at most."""
    left = DRAIN_BYTES
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body", False):  # the end, or the client is gone
                    return
    except TimeoutError:
        return

"""Uvicorn alone, with the loop and the parser that ours runs on: what any answer over HTTP costs."""

from __future__ import annotations

import sys

import uvicorn
from starlette.types import Receive, Scope, Send


class Constant:
    """An app that reads the body and says the same, whatever came."""

    def __init__(self, size: int) -> None:
        """Make up an answer of that many bytes."""
        self.body = b'"' + b"x" * (size - 2) + b'"'
        self.headers = [(b"content-type", b"application/json"), (b"content-length", str(size).encode())]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        while (await receive()).get("more_body", False):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


def main(port: str, size: str) -> None:
    """Serve until a signal ends it."""
    uvicorn.run(
        Constant(int(size)),
        host="127.0.0.1",
        port=int(port),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        server_header=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main(*sys.argv[2:])

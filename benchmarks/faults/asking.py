"""One request as an ordinary client sends it, to its end before it reads, and what came back."""

from __future__ import annotations

import http.client
import json
import math
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from benchmarks.faults.cases import MARK, Asked, good_window
from benchmarks.serving.running import Server

PATIENCE_SECONDS = 150
OF_OURS = "urn:gatecast:problem:"


SAMPLE, LOOKED_AT = 24, 2400


class Outcome(NamedTuple):
    """What a client was told. `status` is 0, and `body` the name of the error, where no answer came.

    `echo` is whether it repeats a piece of the request.
    """

    status: int
    body: bytes
    seconds: float
    grown_mib: float
    echo: bool

    @property
    def traceback(self) -> bool:
        """Tell whether it shows the code of the server."""
        return b"Traceback (most recent call last)" in self.body

    @property
    def finite(self) -> bool:
        """Tell whether every number in it is one, as far as it is JSON at all."""
        try:
            return _finite(json.loads(self.body))
        except ValueError:
            return True

    @property
    def problem(self) -> tuple[str, str]:
        """The code of one of our problems and the pointer in it; empty where there is none."""
        try:
            tree = msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            return "", ""
        tree = tree if isinstance(tree, dict) else {}
        return str(tree.get("type", "")).removeprefix(OF_OURS), str(tree.get("pointer", ""))

    @property
    def warnings(self) -> list[str]:
        """The codes of what a 200 of ours warns of."""
        try:
            tree = msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            return []
        return [one["code"] for one in tree.get("warnings", [])] if isinstance(tree, dict) else []


def ask(server: Server, asked: Asked) -> Outcome:
    """Send a request and wait for its answer."""
    server.forget_peak()
    held, start = server.held_mib(), time.monotonic()
    status, body = _answer(server, asked)
    seconds = time.monotonic() - start
    return Outcome(status, body, seconds, server.peak_mib() - held, status != 200 and _repeats(body, asked.body))


def _repeats(answer: bytes, request: bytes | Iterator[bytes]) -> bool:
    """Tell whether a piece of a request stands in an answer, as it was or as Python writes it, or a run of spaces."""
    sent = request if isinstance(request, bytes) else good_window().encode()
    said = _squeezed(answer)
    for form in (_squeezed(sent[:LOOKED_AT]), _squeezed(repr(sent[:LOOKED_AT]).encode())):
        pieces = (form[at : at + SAMPLE] for at in range(0, len(form) - SAMPLE + 1, SAMPLE))
        if any(piece in said for piece in pieces):
            return True
    return MARK.encode() in answer or b" " * LOOKED_AT in answer


def _squeezed(text: bytes) -> bytes:
    """Leave out what a printed array has otherwise than JSON has it."""
    return text.replace(b"\\n", b"").translate(None, b" \n,\\\"'")


def _answer(server: Server, asked: Asked) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_SECONDS)
    in_chunks = not isinstance(asked.body, bytes) and asked.length is None
    length = {} if asked.length is None else {"Content-Length": str(asked.length)}
    chunked = {"Transfer-Encoding": "chunked"} if in_chunks else {}
    path = asked.path or server.contender.path
    try:
        connection.request(
            asked.method, path, asked.body, {**asked.headers, **length, **chunked}, encode_chunked=in_chunks
        )
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        return 0, type(error).__name__.encode()
    finally:
        connection.close()


def _finite(tree: Any) -> bool:
    if isinstance(tree, dict):
        return all(_finite(value) for value in tree.values())
    if isinstance(tree, list):
        return all(_finite(value) for value in tree)
    return not isinstance(tree, float) or math.isfinite(tree)

"""Answers as bytes, for requests that the app is not asked about: refused, or never understood, on the wire."""

from __future__ import annotations

import logging
from functools import cache

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from forecasting.errors import GatecastError
from service.headers import HEADERS, request_id
from service.problems import Overloaded, problem_response

SHED_STATUS = 503
NO_ID = "0" * 32

Lines = list[tuple[bytes, bytes]]

log = logging.getLogger(__name__)


def whole_answer(error: GatecastError, default: Lines) -> bytes:
    """Return a whole answer as it goes over the wire; its id is in the log, too."""
    own = request_id(())
    answer = problem_response(error, own)
    log.info("request %s: refused with %d: %s", own, answer.status_code, error)
    return _head(answer.status_code, default) + _rest(answer, own, (b"connection", b"close"))


def _head(status: int, default: Lines) -> bytes:
    return b"".join([STATUS_LINE[status], *(b"%b: %b\r\n" % header for header in default)])


def _rest(answer: Response, own: str, *more: tuple[bytes, bytes]) -> bytes:
    headers = (*answer.raw_headers, *HEADERS, (b"x-request-id", own.encode()), *more)
    return b"".join([*(b"%b: %b\r\n" % header for header in headers), b"\r\n", bytes(answer.body)])


def shed_answer(default: Lines) -> bytes:
    """Return what is sent to whoever is refused in a flood; but for its id it is always the same."""
    return _head(SHED_STATUS, default) + request_id(()).encode().join(_shed_pieces())


@cache
def _shed_pieces() -> list[bytes]:
    error = Overloaded("more windows wait for an answer than can be computed in time: come again")
    return _rest(problem_response(error, NO_ID), NO_ID).split(NO_ID.encode())

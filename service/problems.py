"""Errors as RFC 9457 problems: the one table from error class to status, and the answers made from it.

An error that is not in the table, by itself or by a class it derives from, is our fault: 500, logged, without details.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

import msgspec
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from forecasting import errors
from service.draining import DrainedResponse

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5
NO_SUCH_METHOD = 405
HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": str(RETRY_SECONDS)}}
LONGEST = 480  # bytes of detail, and half as many of pointer: with the rest, a problem stays under 1 kB

log = logging.getLogger(__name__)


class NotJson(errors.GatecastError):
    """The body is not JSON."""


class NotHttp(errors.GatecastError):
    """What came is not a request of HTTP/1.1."""


class HeadTooLarge(errors.GatecastError):
    """The address or the headers of a request have more bytes than the service takes."""


class BodyTooLarge(errors.GatecastError):
    """The body has more bytes than the service takes; `unread` is whether some of them are still to come."""

    def __init__(self, detail: str, *, unread: bool = False) -> None:
        """Keep beside the sentence whether there is more."""
        self.unread = unread
        super().__init__(detail)


class NotOurMedia(errors.GatecastError):
    """The body is not declared as JSON."""


class NotReady(errors.GatecastError):
    """The model asked for, or every model, is not loaded (yet)."""


class NoKey(errors.GatecastError):
    """The request carries no API key, or one that is not known."""


class NotAllowed(errors.GatecastError):
    """The key is known and does not have the scope the route needs."""


class NotSigned(errors.GatecastError):
    """A delivery of the registry is not signed with our secret, or was signed too long ago."""


class ContractChanged(errors.GatecastError):
    """The rows fit the contract of the version that was served before, not that of this one."""


class TooSlow(errors.GatecastError):
    """The body did not arrive in time."""


class Overloaded(errors.GatecastError):
    """The request cannot be answered in time: too many are waiting, or it has waited too long."""


class SchemaChanged(errors.GatecastError):
    """A version has another contract than the one it would replace."""


class OutOfMemory(errors.GatecastError):
    """The device has no memory left for the request, even in halves."""


class UnknownModel(errors.GatecastError):
    """No model of that name, or no such version of it, is served here."""


class Row(NamedTuple):
    """How an error class is answered; `told` is whether its text goes out."""

    status: int
    code: str
    title: str
    told: bool = True


TABLE: dict[type[Exception], Row] = {
    NotHttp: Row(400, "not-http", "This is not a request of HTTP/1.1"),
    NotJson: Row(400, "not-json", "The body is not JSON"),
    NoKey: Row(401, "no-key", "An API key is needed"),
    NotAllowed: Row(403, "not-allowed", "The API key does not have the scope this needs"),
    NotSigned: Row(403, "not-signed", "The delivery is not signed as it must be", told=False),
    UnknownModel: Row(404, "unknown-model", "No model of that name is served here"),
    TooSlow: Row(408, "too-slow", "The body did not arrive in time"),
    ContractChanged: Row(409, "contract-changed", "The model has another contract than the one these rows fit"),
    errors.NoSuchStream: Row(404, "no-such-stream", "There is no such stream"),
    errors.NoSuchObservation: Row(404, "no-such-observation", "The stream has no row of that time"),
    errors.Late: Row(409, "late", "The row is older than the newest one accepted"),
    errors.Changed: Row(409, "changed", "A row of that time was accepted with other values"),
    errors.Begun: Row(409, "begun", "History comes before the first push"),
    errors.NotStreamable: Row(409, "not-streamable", "The model may not be streamed"),
    BodyTooLarge: Row(413, "body-too-large", "The body is too large"),
    NotOurMedia: Row(415, "unsupported-media-type", "The body must be application/json"),
    errors.WindowRejected: Row(422, "window-rejected", "The rows cannot be forecast"),
    errors.TooManyStreams: Row(429, "too-many-streams", "There are as many streams as there may be"),
    HeadTooLarge: Row(431, "head-too-large", "The address or the headers are too large"),
    NotReady: Row(503, "not-ready", "The model is not loaded"),
    Overloaded: Row(503, "overloaded", "The service has more to do than it can answer in time"),
    OutOfMemory: Row(503, "out-of-memory", "The device has no memory left for the request"),
    errors.LogUnavailable: Row(503, "log-unavailable", "The observation log does not answer", told=False),
    errors.Outrun: Row(503, "outrun", "Others write to the same stream; come again"),
    errors.RegistryError: Row(503, "registry", "The model registry refused", told=False),
    errors.RegistryUnavailable: Row(503, "registry-unavailable", "The model registry does not answer", told=False),
    errors.NoSuchModel: Row(503, "not-in-registry", "The registry has no such model, version or alias", told=False),
    errors.LeaseError: Row(503, "lease", "Another run of the project is under way", told=False),
    errors.BundleError: Row(503, "bundle", "The model bundle cannot be opened", told=False),
    errors.CorruptBundle: Row(503, "corrupt-bundle", "The model bundle is not whole", told=False),
    errors.AlteredBundle: Row(503, "digest", "The model bundle is not the one that was registered", told=False),
    errors.IncompatibleBundle: Row(503, "incompatible-bundle", "The model bundle has another format", told=False),
    errors.NotReproduced: Row(503, "not-reproduced", "The model does not give its recorded forecasts", told=False),
    SchemaChanged: Row(503, "schema-changed", "The model has another contract than the one it replaces", told=False),
    errors.NotFinite: Row(500, "non-finite-output", "The model's answer is not finite and is withheld", told=False),
    errors.StreamError: Row(409, "stream", "The stream cannot take what came"),
    errors.LogError: Row(503, "log", "The observation log refused", told=False),
    errors.DataError: Row(500, "data", "Data on the server cannot be used", told=False),
    errors.ProjectError: Row(500, "project", "A project file on the server cannot be used", told=False),
    errors.TrainingError: Row(500, "training", "Training failed", told=False),
    errors.SettingsError: Row(500, "settings", "A setting of the service cannot be used", told=False),
}
INTERNAL = Row(500, "internal", "The service failed; its log has the details under the request id", told=False)


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong. `pointer` is the JSON pointer (RFC 6901) to the fault in the body.

    `last_timestamp` is the newest time a stream has, where a row came too late. `error` says it in one line where
    clients of the Open Inference Protocol look for it.
    """

    type: str
    title: str
    status: int
    detail: str | None = None
    pointer: str | None = None
    last_timestamp: str | None = None
    request_id: str | None = None
    error: str | None = None


def row_for(error: Exception) -> Row:
    """Return the row of the error's class, or of the nearest class it derives from."""
    return next((TABLE[kind] for kind in type(error).__mro__ if kind in TABLE), INTERNAL)


def problem_response(error: Exception, request_id: str, *, again: bool = False) -> Response:
    """Answer an error, `again` in its member `error`; one that is our fault is logged with its traceback."""
    problem = problem_of(error)
    if problem.status == INTERNAL.status:
        log.error("request %s failed: %s", request_id, problem.title, exc_info=error)
    answer = _respond(problem, request_id, again=again)
    if getattr(error, "unread", False):
        return DrainedResponse(answer.body, answer.status_code, answer.headers)
    return answer


def problem_of(error: Exception) -> Problem:
    """Return what may be said of an error to anyone."""
    row = row_for(error)
    if not row.told:
        return _problem(row)
    return msgspec.structs.replace(
        _problem(row, str(error)),
        pointer=_cut(getattr(error, "pointer", None), LONGEST // 2),
        last_timestamp=getattr(error, "last", None),
    )


async def on_error(request: Request, error: Exception) -> Response:
    """Answer an error of our own tree, or one that nobody expected."""
    return problem_response(error, request.state.request_id)


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer what routing refuses: no such path, no such method."""
    if not isinstance(error, HTTPException):
        raise error
    title = {404: "There is nothing at this path", 405: "The path does not take this method"}.get(error.status_code)
    row = Row(error.status_code, f"http-{error.status_code}", title or "The request was refused")
    response = _respond(_problem(row, "see /docs for what there is"), request.state.request_id)
    response.headers.update(error.headers or {})
    if error.status_code == NO_SUCH_METHOD:
        response.headers["Allow"] = ", ".join(sorted(_methods(request)))
    return response


def _methods(request: Request) -> set[str]:
    """Return the methods that a path takes, of all its routes; the router names those of the first one."""
    fitting = (one for one in request.app.routes if one.matches(request.scope)[0] != Match.NONE)
    return {method for route in fitting for method in getattr(route, "methods", None) or ()}


async def on_bad_parameter(request: Request, error: Exception) -> Response:
    """Answer a query parameter of the wrong type or range."""
    if not isinstance(error, RequestValidationError):
        raise error
    fault = error.errors()[0]
    detail = f"{fault['loc'][-1]}: {fault['msg']}"
    row = Row(422, "bad-parameter", "A parameter cannot be used")
    return _respond(_problem(row, detail), request.state.request_id)


def _problem(row: Row, detail: str | None = None) -> Problem:
    code = f"urn:gatecast:problem:{row.code}"
    return Problem(type=code, title=row.title, status=row.status, detail=_cut(detail, LONGEST))


def _respond(problem: Problem, request_id: str, *, again: bool = False) -> Response:
    said = msgspec.structs.replace(problem, request_id=request_id)
    if again:
        half = LONGEST // 2
        said = msgspec.structs.replace(
            said, detail=_cut(problem.detail, half), error=_cut(problem.detail or problem.title, half)
        )
    return Response(msgspec.json.encode(said), problem.status, HEADERS.get(problem.status), MEDIA_TYPE)


def _cut(text: str | None, longest: int) -> str | None:
    return None if text is None else text.encode(errors="replace")[:longest].decode(errors="ignore")

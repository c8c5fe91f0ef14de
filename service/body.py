"""From the bytes of a request to a `ForecastRequest`; every way in which they can be wrong has its own answer."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from forecasting.errors import WindowRejected
from service.problems import BodyTooLarge, NotJson, NotOurMedia, TooSlow
from service.schemas import ForecastRequest, WindowRequest

TRANSPORT = "gatecast.transport"
"""Among the extensions of a request: its connection, which tells whether the client has left."""

TOO_SLOW = "gatecast.too_slow"
"""Among the extensions of a request once the wire has waited long enough for the rest of it."""

JSON = (b"application/json",)

LONGEST_NUMBER = 18  # digits of a length that are read; a longer one is too large whatever it is

T = TypeVar("T")

_DECODER = msgspec.json.Decoder(ForecastRequest)
_NUMBERS = re.compile(rb'\[[^][{}"]*\]')
_PATH = re.compile(r"(.*) - at `\$(.*)`", re.DOTALL)
_UNKNOWN_KEY = re.compile(r"Object contains unknown field `(.{0,64})")


async def receive_body(scope: Scope, receive: Receive, limit: int, media: Collection[bytes] = JSON) -> bytes:
    """Receive the body, at most `limit` bytes of it.

    Raises:
        NotOurMedia: it is not declared as one of these media, as it is.
        BodyTooLarge: it is larger than `limit`, by its header or by what arrives; nothing of it is kept.
        TooSlow: it did not come in time, says the wire.
        ClientDisconnect: the client left.
    """
    if declared_length(scope["headers"], media) > limit:
        raise _too_large(limit, unread=True)
    message = await receive()
    body: bytes | bytearray = message.get("body", b"")
    while message.get("more_body", False) and len(body) <= limit:
        if not message.get("body") and TOO_SLOW in scope.get("extensions", ()):
            said = "the body did not arrive in time; send it at once, right after the headers"
            raise TooSlow(said)
        message = await receive()
        body = bytearray(body) if isinstance(body, bytes) else body
        body += message.get("body", b"")
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    if len(body) > limit:
        raise _too_large(limit, unread=message.get("more_body", False))
    return bytes(body)


def declared_length(headers: Iterable[tuple[bytes, bytes]], media: Collection[bytes]) -> int:
    """Return the length that the headers give, 0 where they give none.

    Raises:
        NotOurMedia: what they declare is none of these media.
    """
    came, coding, length = b"", b"identity", b""
    for name, value in headers:
        if name == b"content-type":
            came = value
        elif name == b"content-length":
            length = value
        elif name == b"content-encoding":
            coding = value
    if came.partition(b";")[0].strip().lower() not in media:
        message = "send the header Content-Type: application/json"
        raise NotOurMedia(message)
    if coding.lower() != b"identity":
        message = "send the body as it is, without Content-Encoding"
        raise NotOurMedia(message)
    return int(length[:LONGEST_NUMBER]) if length.isdigit() else 0


def _too_large(limit: int, *, unread: bool) -> BodyTooLarge:
    return BodyTooLarge(f"the body has more than {limit:,} bytes; send fewer rows or windows", unread=unread)


def decode(body: bytes) -> ForecastRequest:
    """Decode a body strictly: its types, no key that is not known, no key twice.

    Raises:
        NotJson: it is not JSON.
        WindowRejected: it is JSON of another form; the pointer says where.
    """
    request = decode_as(_DECODER, body, _advice)
    if body.count(b'"') != _quotes(request):
        refuse_repeated_keys(body)
    return request


def decode_as(decoder: msgspec.json.Decoder[T], body: bytes, advice: Callable[[str], str]) -> T:
    """Decode a body by its types; `advice` says what to do about a key that is not known.

    Raises:
        NotJson: it is not JSON.
        WindowRejected: it is JSON of another form; the pointer says where.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _misshapen(str(error), advice) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = str(error) if isinstance(error, msgspec.DecodeError) else "the body is not UTF-8"
        raise NotJson(message) from None


def _quotes(request: ForecastRequest) -> int:
    """Count the quotation marks that a body of this request needs, in its shortest form.

    A body can have more (a key twice, a null, an escape) and never fewer; with just as many, no key stands twice.
    """
    windows = [request] if request.windows is None else request.windows
    return sum(map(quotes_of, windows)) + (0 if request.windows is None else 2)


def quotes_of(window: msgspec.Struct) -> int:
    """Count those of one window; what it does not hold needs none."""
    keys = texts = 0
    for key in window.__struct_fields__:
        value = getattr(window, key)
        if value is None:
            continue
        keys += 1
        if key in {"series", "last_timestamp", "stream", "explain"}:
            texts += 1
        elif key in {"columns", "timestamps"}:
            texts += len(value)
        elif key == "static":
            texts += len(value) + sum(isinstance(one, str) for one in value.values())
    return 2 * (keys + texts)


def _misshapen(said: str, advice: Callable[[str], str]) -> WindowRejected:
    where = _PATH.fullmatch(said)
    what, path = where.groups() if where else (said, "")
    pointer = "".join(f"/{part}" for part in re.findall(r"\w+", path))
    if unknown := _UNKNOWN_KEY.match(what):
        return WindowRejected(advice(unknown[1].rstrip("`")), pointer)
    return WindowRejected(what.replace("`", ""), pointer)


def _advice(key: str) -> str:
    valid = [key for key in ForecastRequest.__struct_fields__ if key != "windows"]
    near = difflib.get_close_matches(key, ForecastRequest.__struct_fields__, n=1, cutoff=0.5)
    return f"unknown key; did you mean {near[0]}?" if near else f"unknown key; valid are {', '.join(valid)}, or windows"


def refuse_repeated_keys(body: bytes) -> None:
    """Look at the body once more, as generic JSON, for the typed decoder lets the last of equal keys win.

    Arrays of numbers, nearly all of the bytes, are cut out first: the innermost, so that what is left is JSON still.
    Both brackets of such an array stand outside of texts, or in one and the same.
    """
    json.loads(_NUMBERS.sub(b"0", body), object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        message = "a key stands twice in one object; send each once"
        raise WindowRejected(message)
    return found


def windows_of(request: ForecastRequest) -> tuple[list[tuple[str, WindowRequest]], bool]:
    """Return the windows of a request, each with the pointer to it, and whether they came as several."""
    if request.windows is None:
        return [("", request)], False
    for key in WindowRequest.__struct_fields__:
        if getattr(request, key) is not None:
            message = f"with windows, {key} belongs into each window"
            raise WindowRejected(message, f"/{key}")
    return [(f"/windows/{place}", window) for place, window in enumerate(request.windows)], True

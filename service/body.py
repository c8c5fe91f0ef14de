"""From the bytes of a request to a `ForecastRequest`; every way in which they can be wrong has its own answer."""

from __future__ import annotations

import difflib
import json
import re
from typing import Any

import msgspec
from starlette.requests import Request

from forecasting.errors import WindowRejected
from service.problems import BodyTooLarge, NotJson, NotOurMedia
from service.schemas import ForecastRequest, WindowRequest

LATER = ("explain",)
"""Keys of the contract that this version does not take yet."""

_DECODER = msgspec.json.Decoder(ForecastRequest)
_NUMBERS = re.compile(rb'\[[^"{}]*\]')
_PATH = re.compile(r"(.*) - at `\$(.*)`", re.DOTALL)
_UNKNOWN_KEY = re.compile(r"Object contains unknown field `(.{0,64})")


async def read_body(request: Request, limit: int) -> bytes:
    """Read the body, at most `limit` bytes of it.

    Raises:
        NotOurMedia: it is not declared as plain JSON.
        BodyTooLarge: it is larger than `limit`, by its header or by what arrives.
    """
    _refuse_other_media(request)
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def _refuse_other_media(request: Request) -> None:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        message = "send the header Content-Type: application/json"
        raise NotOurMedia(message)
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        message = "send the body as it is, without Content-Encoding"
        raise NotOurMedia(message)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body has more than {limit:,} bytes; send fewer rows or windows")


def decode(body: bytes) -> ForecastRequest:
    """Decode a body strictly: its types, no key that is not known, no key twice.

    Raises:
        NotJson: it is not JSON.
        WindowRejected: it is JSON of another form; the pointer says where.
    """
    try:
        request = _DECODER.decode(body)
    except msgspec.ValidationError as error:
        raise _misshapen(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = str(error) if isinstance(error, msgspec.DecodeError) else "the body is not UTF-8"
        raise NotJson(message) from None
    _refuse_repeated_keys(body)
    return request


def _misshapen(said: str) -> WindowRejected:
    where = _PATH.fullmatch(said)
    what, path = where.groups() if where else (said, "")
    pointer = "".join(f"/{part}" for part in re.findall(r"\w+", path))
    if unknown := _UNKNOWN_KEY.match(what):
        return WindowRejected(_advice(unknown[1].rstrip("`")), pointer)
    return WindowRejected(what.replace("`", ""), pointer)


def _advice(key: str) -> str:
    if key in LATER:
        return f"{key} is not supported by this version; leave it out"
    valid = [key for key in ForecastRequest.__struct_fields__ if key != "windows"]
    near = difflib.get_close_matches(key, ForecastRequest.__struct_fields__, n=1, cutoff=0.5)
    return f"unknown key; did you mean {near[0]}?" if near else f"unknown key; valid are {', '.join(valid)}, or windows"


def _refuse_repeated_keys(body: bytes) -> None:
    """Look at the body once more, as generic JSON, for the typed decoder lets the last of equal keys win.

    Arrays of numbers, nearly all of the bytes, are cut out first. Only a body that is known to be valid comes here, so
    that a bracket in a string meets a bounded string, and one outside has no string in its reach.
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

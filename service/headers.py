"""What every answer tells a browser: guess no type, keep no copy, run nothing, show it in no frame.

Ready-made as ASGI wants them, for they go out with every answer.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable

Headers = tuple[tuple[bytes, bytes], ...]

PLAIN_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
DOCS = "/docs"
NOTHING = b"default-src 'none'; frame-ancestors 'none'"
PAGE = (
    b"default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    b" connect-src 'self'; frame-ancestors 'none'"
)
"""What the page of documentation needs: its own files, a script and styles inline, pictures in them, and this API."""


def _with(policy: bytes) -> Headers:
    return (
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
        (b"content-security-policy", policy),
        (b"referrer-policy", b"no-referrer"),
        (b"x-frame-options", b"DENY"),
    )


HEADERS = _with(NOTHING)
DOCS_HEADERS = _with(PAGE)


def headers_for(path: str) -> Headers:
    """Return the headers for an answer at a path; only the page of documentation may run anything."""
    return DOCS_HEADERS if path.startswith(DOCS) else HEADERS


def request_id(sent: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the id that a request's headers hold, if it is one that can be logged, else a new one."""
    for name, value in sent:
        if name == b"x-request-id" and PLAIN_ID.fullmatch(value):
            return str(value, "ascii")
    return f"{random.getrandbits(128):032x}"  # it tells requests apart and guards nothing

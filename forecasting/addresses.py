"""Addresses of databases: what is one, and how it is shown without its secrets."""

from __future__ import annotations

import re
from urllib.parse import quote_plus

_SCHEME = re.compile(r"[A-Za-z][\w+.-]*://")
_SECRET = re.compile(r"pass|pwd|secret|token|odbc_connect", re.IGNORECASE)
_HIDDEN = "***"
_LONGEST_CAUSE = 300


def is_address(source: str) -> bool:
    """Tell whether a source is a URL rather than a file."""
    return "://" in source


def without_password(source: str) -> str:
    """Return a source as it may be shown and recorded: a URL without its password, a file as it is.

    What SQLAlchemy cannot take apart is cut behind its scheme, for the password could be anywhere in it.
    """
    if not is_address(source):
        return source
    # SQLAlchemy takes 0.2 s to import, and a project whose data are files has no need of it
    from sqlalchemy.engine import make_url  # noqa: PLC0415
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    try:
        url = make_url(source)
    except (ArgumentError, ValueError):
        return _cut(source)
    if "@" in (url.host or ""):  # a password with an @ that is not written %40 reaches into the host
        return _cut(source)
    secrets = {key: _HIDDEN for key in url.query if _SECRET.search(key)}
    shown = url.update_query_dict(secrets) if secrets else url
    return shown.render_as_string(hide_password=True).replace("=%2A%2A%2A", f"={_HIDDEN}")


def cause_of(error: Exception, password: object) -> str:
    """Return the first line of what a driver of databases said, without the password in any form."""
    said = str(getattr(error, "orig", None) or error).strip() or type(error).__name__
    line = said.splitlines()[0]
    for secret in {str(password or ""), quote_plus(str(password or ""))} - {""}:
        line = line.replace(secret, _HIDDEN)
    return line[:_LONGEST_CAUSE]


def _cut(source: str) -> str:
    scheme = _SCHEME.match(source)
    return f"{scheme.group() if scheme else ''}{_HIDDEN}"

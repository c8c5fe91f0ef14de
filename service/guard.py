"""Who may do what: the one table from path to scope, and the check that every request passes first."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from starlette.types import Scope

from forecasting.keys import ANONYMOUS, asks_for_keys, find_key, is_loopback, refuse_no_keys
from service.keys import KeyRing
from service.problems import NoKey, NotAllowed
from service.settings import Settings

ANYONE, ANY_KEY = "anyone", ""

TABLE: tuple[tuple[str, str], ...] = (
    (r"/livez|/readyz|/ping|/health|/v2/health/(?:live|ready)", ANYONE),
    (r"/docs|/docs/.*|/static-offline-docs/.*|/openapi\.json", ANYONE),
    (r"/v1/admin/webhook", ANYONE),  # MLflow cannot send a key of ours; its signature is one, see service/webhook.py
    (r"/v1/admin|/v1/admin/.*", "admin"),
    (r"/v1/models/[^/]+/streams.*", "stream"),
    (r"/v1|/v1/.*|/v2|/v2/.*|/invocations", "forecast"),
    (r".*", ANY_KEY),  # /metrics; and who has no key does not learn which paths there are
)
"""Paths and the scope their callers need; the first row that fits the whole path counts."""

ADMIN = "/v1/admin"
LOCAL = frozenset({"127.0.0.1", "::1", "testserver"})  # the last is what a client in the same process says

_ORIGIN = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(?::\d+)?")
_ROW = re.compile("|".join(f"({paths})" for paths, _ in TABLE), re.DOTALL)

log = logging.getLogger(__name__)


def keys_path(settings: Settings) -> Path:
    """Return where the keys are."""
    return settings.keys_file or settings.home / "keys.json"


def scope_for(path: str) -> str:
    """Return the scope that a path needs."""
    found = _ROW.fullmatch(path)
    return TABLE[(found.lastindex or 1) - 1][1] if found else ANY_KEY


class Guard:
    """Lets a request pass or refuses it; `asks` None decides by the address a request came in at."""

    def __init__(self, asks: bool | None, ring: KeyRing | None) -> None:
        """Keep the policy and the keys."""
        self.asks = asks
        self._ring = ring

    @classmethod
    def from_settings(cls, settings: Settings) -> Guard:
        """Make the guard of a service.

        Raises:
            SettingsError: keys are asked for, and there is none or they cannot be read.
        """
        asks = asks_for_keys(settings.auth, settings.host)
        if settings.auth == "off":
            log.warning("GATECAST_AUTH is off: whoever reaches this service may do everything, without a key")
        elif not asks:
            log.warning("over loopback everybody may do everything; GATECAST_AUTH=on asks for keys there, too")
        if asks is False:
            return cls(asks, None)
        if asks:
            refuse_no_keys(keys_path(settings), settings.host)
        return cls(asks, KeyRing(keys_path(settings)))

    def check(self, scope: Scope) -> None:
        """Let a request pass, and note in its state who sent it.

        Raises:
            NoKey: it needs a key and has none that is known.
            NotAllowed: its key does not have the scope that the path needs.
        """
        principal, path = ANONYMOUS, _path(scope)
        if self._ring is not None and (self.asks or not _came_in_locally(scope)):
            needed = scope_for(path)
            if needed != ANYONE:
                principal = self._principal(self._ring, scope, needed)
        elif path.startswith(ADMIN):
            _refuse_strange_pages(scope)
        scope.setdefault("state", {})["principal"] = principal

    def _principal(self, ring: KeyRing, scope: Scope, needed: str) -> str:
        key = find_key(ring.current(), _presented(scope))
        if key is None:
            message = "the key that was sent is not known; ask whoever runs this service for one"
            raise NoKey(message)
        if not key.allows(needed):
            message = f"the key has the scopes {', '.join(key.scopes)}; this needs {needed}"
            raise NotAllowed(message)
        return key.principal


def _came_in_locally(scope: Scope) -> bool:
    host = (scope.get("server") or ("",))[0]
    return host in LOCAL or is_loopback(host)


def _refuse_strange_pages(scope: Scope) -> None:
    """Refuse what a page of another site sends through the browser of somebody who may do everything without a key.

    A browser says with everything that changes something where the page is from; other clients say nothing.
    """
    for name, value in scope["headers"]:
        if name == b"origin":
            found = _ORIGIN.fullmatch(value.decode("latin-1"))
            host = found[1].strip("[]") if found else ""
            if not is_loopback(host) and host != (scope.get("server") or ("",))[0]:
                message = "a page of another site may not do this; ask without a browser, or with a key"
                raise NotAllowed(message)


def _path(scope: Scope) -> str:
    """Return the path as the routes see it: without the prefix a proxy left before it."""
    path: str = scope["path"]
    root = scope.get("root_path")
    return path.removeprefix(root) if root else path


def _presented(scope: Scope) -> bytes:
    """Return the key a request carries; two of them are none, for who stands before us may have read the other."""
    sent = [value for name, value in scope["headers"] if name == b"authorization"]
    scheme, _, key = sent[0].partition(b" ") if len(sent) == 1 else (b"", b"", b"")
    if scheme.lower() != b"bearer" or not key:
        message = "send the header Authorization: Bearer <key>, once"
        raise NoKey(message)
    return key.strip()

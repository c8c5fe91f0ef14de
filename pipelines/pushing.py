"""The client of a running service: one connection that stays open, and patience where the service asks for it.

A request that got no answer is sent again. That is safe: a row that was accepted before is answered as it was then.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar
from urllib.parse import SplitResult, quote, urlsplit

import msgspec

from forecasting.columns import Columns
from forecasting.errors import NoSuchModel, SettingsError

PATIENCE = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds before each further attempt, at least; the first one follows at once, for an idle connection may be gone."""

TIMEOUT_SECONDS = 60.0
BUSY, REFUSED = (429, 503), 400
NO_KEY, NOT_ALLOWED, ABSENT = 401, 403, 404
ABSENT_ADVICE = "start one with `gatecast serve`, or say with --url where it is"
BUSY_ADVICE = "try again later: what was accepted by then is answered as it was"

T = TypeVar("T")


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Which model answered."""

    name: str
    version: str


class StaticColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A static column; `kind` is number or category."""

    name: str
    kind: str


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a request may hold."""

    max_body_bytes: int
    max_rows: int


class KnownSeries(msgspec.Struct, frozen=True, kw_only=True):
    """How many series the model was trained on."""

    count: int


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """What a service says of a model; `series` is None where a stream of it is no series among others."""

    model: Identity
    columns: Columns
    static: list[StaticColumn]
    units: dict[str, str]
    freq: str
    timezone: str
    horizon: int
    series: KnownSeries | None
    limits: Limits


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why something was refused."""

    title: str = "no reason was given"
    status: int = 0
    detail: str | None = None

    def __str__(self) -> str:
        """Say it in a line."""
        return f"{self.title}: {self.detail}" if self.detail else self.title


class Reply(NamedTuple):
    """An answer; `wait` is for how many seconds it asks to be left alone, None where it does not ask."""

    status: int
    body: bytes
    wait: float | None


@dataclass
class Client:
    """Asks the service at `url`, as whoever holds `key`.

    `pause` waits for some seconds, or raises what is to end the waiting; `say` is told, in words, why it waits.
    """

    url: str
    key: str | None = field(repr=False)
    say: Callable[[str], None]
    pause: Callable[[float], None] = time.sleep
    _line: http.client.HTTPConnection | None = None
    _heard: bool = False

    def __post_init__(self) -> None:
        """Take the address apart.

        Raises:
            SettingsError: it is none.
        """
        self._address = _address(self.url)

    def describe(self, name: str) -> Described:
        """Return what the service says of a model.

        Raises:
            NoSuchModel: it serves none of that name.
            SettingsError: it asks for another key.
            ConnectionError: nothing answers there, or nothing that is such a service.
        """
        reply = self.ask("GET", f"/v1/models/{quote(name, safe='')}")
        if reply.status >= REFUSED:
            self.refuse(reply)
        return self.read(reply, Described)

    def ask(self, method: str, path: str, body: bytes | None = None) -> Reply:
        """Send a request until it is answered, and not by a request to come later.

        Raises:
            ConnectionError: nothing answers at all, or for more than a minute.
        """
        why = advice = ""
        for pause in (*PATIENCE, None):
            try:
                reply = self._send(method, path, body)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                why, advice, asked = f"does not answer ({_cause(error)})", ABSENT_ADVICE, 0.0
                if not self._heard:
                    break
            else:
                if reply.status not in BUSY or reply.wait is None:
                    return reply
                why, advice, asked = f"is busy ({problem_of(reply)})", BUSY_ADVICE, reply.wait
            if pause is not None:
                self._wait(max(asked, pause), why)
        message = f"the service at {self.url} {why}; {advice}"
        raise ConnectionError(message)

    def refuse(self, reply: Reply) -> None:
        """Raise what a refusal of the whole request, not of rows in it, means.

        Raises:
            NoSuchModel: there is no such model.
            SettingsError: the key is not one, or may not do this.
            ConnectionError: anything else.
        """
        problem = problem_of(reply)
        if reply.status in {NO_KEY, NOT_ALLOWED}:
            message = (
                f"{self.url} answers {reply.status} ({problem.title}); make a key with `gatecast keys add NAME --scope "
                "forecast --scope stream`, and set the variable GATECAST_KEY to it"
            )
            raise SettingsError(message)
        if reply.status == ABSENT:
            message = f"{self.url} answers 404 ({problem}); its /v1/models lists what it serves"
            raise NoSuchModel(message)
        message = f"{self.url} answers {reply.status} ({problem})"
        raise ConnectionError(message)

    def read(self, reply: Reply, kind: type[T]) -> T:
        """Decode an answer.

        Raises:
            ConnectionError: it is of another form.
        """
        try:
            return msgspec.json.decode(reply.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            message = f"what answers at {self.url} is no Gatecast service of this version: {error}"
            raise ConnectionError(message) from None

    def close(self) -> None:
        """Give the connection back."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def _send(self, method: str, path: str, body: bytes | None) -> Reply:
        if self._line is None:
            self._line = _connection(self._address)
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        self._line.request(method, self._address.path.rstrip("/") + path, body, headers)
        answer = self._line.getresponse()
        content = answer.read()
        self._heard = True
        return Reply(answer.status, content, _seconds(answer.getheader("Retry-After")))

    def _wait(self, seconds: float, why: str) -> None:
        if seconds:
            self.say(f"the service {why}; asking again in {seconds:.3g} s")
        self.pause(seconds)


def problem_of(reply: Reply) -> Problem:
    """Return the problem that a refusal carries; one that says nothing if it carries none."""
    try:
        return msgspec.json.decode(reply.body, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Problem(status=reply.status)


def _address(url: str) -> SplitResult:
    address = urlsplit(url)
    if address.scheme not in {"http", "https"} or not address.hostname or "@" in address.netloc:
        message = "the address of the service (--url or GATECAST_URL) is none; expected one as http://127.0.0.1:8000"
        raise SettingsError(message)
    return address


def _connection(address: SplitResult) -> http.client.HTTPConnection:
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    return kind(str(address.hostname), address.port, timeout=TIMEOUT_SECONDS)


def _cause(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _seconds(text: str | None) -> float | None:
    """Read Retry-After; one that is a date is taken as no wish at all."""
    return float(text) if text and text.isdigit() else None

"""What a request about streams asks: whose stream, of which model, in what form; which rows, what to say of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from starlette.types import Scope

from forecasting.errors import WindowRejected
from forecasting.keys import ANONYMOUS
from forecasting.log.records import Key
from forecasting.streams.pushes import Pushes
from service.body import JSON
from service.streams.schemas import ID_PATTERN

TEMPLATE = "/v1/models/{name}/streams/{stream}/observations"
SUFFIX = "/observations"
PLAIN, ARROW = "application/json", "application/vnd.apache.arrow.stream"
MEDIA = (*JSON, ARROW.encode())

_PUSH = re.compile(rf"/v1/models/([^/]{{1,128}})/streams/({ID_PATTERN}){SUFFIX}")


class Target(NamedTuple):
    """The stream of a model that a request is for."""

    name: str
    stream: str


def stream_asked(scope: Scope) -> Target | None:
    """Return the stream where a request pushes to one; what is not quite such a path is left to the router."""
    path: str = scope["path"]
    if scope["method"] != "POST" or not path.endswith(SUFFIX):
        return None
    found = _PUSH.fullmatch(path)
    return None if found is None else Target(found[1], found[2])


class Wish(NamedTuple):
    """What the answer to a push shall hold: intervals of these levels, so many steps, an explanation."""

    levels: tuple[int, ...]
    steps: int
    explain: bool = False


class Spot(NamedTuple):
    """Where a push stands in its request, and its times and rows in the push."""

    pointer: str = ""
    times: str = "/last_timestamp"
    rows: str = "/observations"

    def placed(self, error: WindowRejected) -> WindowRejected:
        """Return an error, whose pointer is that of a push with `timestamps` and `observations`, with one from here."""
        pointer = error.pointer
        if pointer.startswith("/timestamps") and self.times != "/timestamps":
            pointer = self.times
        if pointer.startswith("/observations"):
            pointer = self.rows + pointer.removeprefix("/observations")
        return WindowRejected(str(error), self.pointer + pointer)


class Question(NamedTuple):
    """The rows of a request; of each push, what is to be answered, and where it stands."""

    pushes: Pushes
    wishes: Sequence[Wish]
    spots: Sequence[Spot]


def key_of(target: Target, scope: Scope) -> Key:
    """Return whose stream it is that a request is for."""
    return Key(principal_of(scope), target.name, target.stream)


def principal_of(scope: Scope) -> str:
    """Return who sent a request, as the guard noted it."""
    principal: str = scope["state"].get("principal", ANONYMOUS)
    return principal


def is_arrow(scope: Scope) -> bool:
    """Tell whether the body of a request is declared as an Arrow stream."""
    return any(
        name == b"content-type" and value.partition(b";")[0].strip().lower() == MEDIA[-1]
        for name, value in scope["headers"]
    )

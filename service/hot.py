"""The forecast route as a plain function of an ASGI request: what `door` calls before any router is asked.

`routes` publishes the same function to FastAPI, so that the schema, and an app without the door, have it too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope

from forecasting.errors import NotFinite
from forecasting.memory.explaining import Explanation
from forecasting.prediction import Asked, WindowForecast
from service.answers import Question, read_question, refused_or, usual_question, write_answer
from service.batching import Batcher
from service.body import TRANSPORT, receive_body
from service.explaining import explained
from service.models import Models, ServedModel
from service.quick import QuickReader
from service.schemas import Limits
from service.shadow import Shadow

PREFIX, SUFFIX = "/v1/models/", "/forecast"
TEMPLATE = PREFIX + "{name}" + SUFFIX

QUICK_EXPLAINED = 512
"""Rows of windows whose forecasts are explained on the event loop: about 3 ms of an ordinary model."""

QUICK_BYTES = 65_536
"""Bodies up to this are read on the event loop, in a millisecond at most; larger ones in a thread."""


def model_asked(scope: Scope) -> str | None:
    """Return the name of the model where a request is one for a forecast."""
    path: str = scope["path"]
    if scope["method"] == "POST" and path.startswith(PREFIX) and path.endswith(SUFFIX):
        name = path[len(PREFIX) : -len(SUFFIX)]
        return name if name and "/" not in name else None
    return None


@dataclass
class Forecasts:
    """All that answers forecast requests: the models as they are now, the limits, the queue."""

    models: Callable[[], Models]
    limits: Limits
    batcher: Batcher
    shadow: Shadow
    reader: QuickReader
    strict: bool
    on_sick: Callable[[ServedModel], None]

    async def answer(self, name: str, scope: Scope, receive: Receive) -> bytes:
        """Return the JSON of the answer.

        Raises:
            GatecastError: the request cannot be answered; `problems` has the status.
        """
        if self.batcher.full:
            raise self.batcher.refusal()
        model = self.models().find(name, _ref(scope))
        body = await receive_body(scope, receive, self.limits.max_body_bytes)
        question = await self._read(model, body)
        found = await self.compute(model, question.asked, scope, question.pointers)
        if not question.explained:
            return write_answer(model, question, found)
        return write_answer(model, question, found, await self._explained(model, question))

    async def compute(
        self, model: ServedModel, asked: Sequence[Asked], scope: Scope, pointers: Iterable[str] = repeat("")
    ) -> list[WindowForecast]:
        """Return the forecasts of windows; `pointers` say where each of them stands in the request.

        Raises:
            GatecastError: of the first window that has no forecast; then none is answered.
        """
        found = await self.batcher.submit(model, asked, left(scope))
        try:
            answers = [refused_or(one, at, strict=self.strict) for one, at in zip(found, pointers, strict=False)]
        except NotFinite:
            self.on_sick(model)
            raise
        self.shadow.beside(model, asked, answers)
        return answers

    async def _explained(self, model: ServedModel, question: Question) -> dict[int, Explanation]:
        """Explain what is asked for: a little on the event loop, for a thread costs as much; more in a thread."""
        windows = {place: question.asked[place].window for place in question.explained}
        if model.quick and sum(len(window.values) for window in windows.values()) <= QUICK_EXPLAINED:
            return explained(model, windows)
        return await self.batcher.beside(explained, model, windows)

    def close(self) -> None:
        """Let go of the threads."""
        self.batcher.close()
        self.shadow.close()

    async def _read(self, model: ServedModel, body: bytes) -> Question:
        if len(body) <= QUICK_BYTES:
            usual = self.reader.read(body)
            if usual is not None and len(usual[1]) <= self.limits.max_rows:
                return usual_question(model, *usual)
            return read_question(model, body, self.limits)
        return await run_in_threadpool(read_question, model, body, self.limits)


def _ref(scope: Scope) -> str | None:
    """Return the alias or version asked for by `?ref=`."""
    query: bytes = scope["query_string"]
    return parse_qs(query.decode("latin-1")).get("ref", [None])[-1] if query else None


def left(scope: Scope) -> Callable[[], bool]:
    """Return what tells whether the client is gone; in process, where there is no wire, it never is."""
    transport = (scope.get("extensions") or {}).get(TRANSPORT)
    return _never if transport is None else transport.is_closing


def _never() -> bool:
    return False

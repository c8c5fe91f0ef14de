"""Pushes as plain functions of an ASGI request: to one stream, which `door` calls before any router, and to many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, TypeVar

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from forecasting.errors import GatecastError, LogUnavailable, NotFinite, WindowRejected
from forecasting.log.records import Key
from forecasting.streams.keeper import Keeper
from forecasting.streams.pushes import Outcomes
from service.body import receive_body
from service.hot import QUICK_BYTES, left
from service.models import Models, ServedModel
from service.problems import row_for
from service.schemas import Limits, StreamsState
from service.settings import Settings
from service.streams.answers import Writer
from service.streams.arrow import read_table
from service.streams.asked import ARROW, MEDIA, PLAIN, Question, Spot, Target, is_arrow, key_of, principal_of
from service.streams.looking import explained
from service.streams.queue import Queue, Share
from service.streams.requests import Reader
from service.streams.store import Store
from service.streams.tabular import write_table
from service.telemetry import DRIFTS, Metrics

IN_TABLE = Spot(times="/timestamp")
T = TypeVar("T")


class Desk(NamedTuple):
    """A model as it is served, and what reads and writes for its streams."""

    model: ServedModel
    reader: Reader
    writer: Writer


class Options(NamedTuple):
    """What an address asks of pushes in a table, where there is no other place for it; and the media of the answer."""

    levels: Sequence[int] | None = None
    horizon: int | None = None
    history: bool = False
    accept: str = ""


@dataclass
class Streams:
    """All that answers requests about streams: the models as they are now, the limits, the log, the queue."""

    models: Callable[[], Models]
    limits: Limits
    settings: Settings
    store: Store
    queue: Queue
    metrics: Metrics
    on_sick: Callable[[ServedModel], None]
    _desks: dict[str, Desk] = field(default_factory=dict)

    async def push(self, target: Target, scope: Scope, receive: Receive) -> bytes:
        """Return the JSON of the answer to a push.

        Raises:
            GatecastError: nothing of it was accepted; `problems` has the status.
        """
        desk = self._admitted(target.name)
        body = await receive_body(scope, receive, self.limits.max_body_bytes)
        principal = principal_of(scope)
        if len(body) <= QUICK_BYTES:
            question = desk.reader.push(principal, target.stream, body)
        else:
            question = await run_in_threadpool(desk.reader.push, principal, target.stream, body)
        taken = await self._taken(desk, question, scope)
        content = self.told(desk, question, target, taken)
        if not question.wishes[0].explain or isinstance(taken, Exception):
            return content
        return await self._explained(content, desk.model, taken, key_of(target, scope))

    async def _explained(self, content: bytes, model: ServedModel, taken: Share, key: Key) -> bytes:
        """Add an explanation to an answer, if the version that is served made it.

        Where there can be none the answer goes out without: the rows were taken, and that has to be told.
        """
        version = model.streamed.version
        if taken.outcomes.answered.get(taken.first, version) != version:
            return content
        try:
            found = await self.asked(lambda keeper: explained(model, keeper, keeper.look(key, model.streamed).stream))
        except GatecastError:  # it is noted
            return content
        return content.removesuffix(b"}") + b',"memory":' + msgspec.json.encode(found) + b"}"

    def read(self, target: Target, principal: str, body: bytes) -> tuple[Desk, Question]:
        """Return what a small push asks, of whom.

        Raises:
            GatecastError: it cannot be used, or nothing can be taken now.
        """
        desk = self._admitted(target.name)
        return desk, desk.reader.push(principal, target.stream, body)

    def told(self, desk: Desk, question: Question, target: Target, found: Share | Exception) -> bytes:
        """Return the JSON of the answer to a push, from what the queue says came of it.

        Raises:
            GatecastError: nothing of it was accepted.
        """
        outcomes, first, texts = self._came(desk, question, found)
        error = outcomes.errors.get(first)
        if error is not None:
            raise self._refused(desk, error, question.spots[0])
        self.metrics.streams.pushed("replayed" if outcomes.replayed[first] else "accepted")
        wish = None if question.pushes.history else question.wishes[0]
        return desk.writer.push(outcomes, first, target.stream, wish, texts)

    async def observe(self, name: str, scope: Scope, receive: Receive, options: Options) -> tuple[bytes, str]:
        """Return the answer to pushes to many streams, and its media type.

        Raises:
            GatecastError: nothing of any of them was accepted; `problems` has the status.
        """
        desk = self._admitted(name)
        body = await receive_body(scope, receive, self.settings.max_bulk_bytes, MEDIA)
        in_table = is_arrow(scope)
        read = self._read_table if in_table else self._read_many
        question = await run_in_threadpool(read, desk, principal_of(scope), body, options)
        outcomes, first, _ = self._came(desk, question, await self._taken(desk, question, scope))
        stop = first + len(question.wishes)
        errors = {
            place - first: self._refused(desk, error, question.spots[place - first])
            for place, error in outcomes.errors.items()
            if first <= place < stop
        }
        self._count(outcomes, slice(first, stop), len(errors))
        if ARROW in options.accept or (in_table and PLAIN not in options.accept):
            return await run_in_threadpool(write_table, desk.model.streamed, outcomes, first, question, errors), ARROW
        return await run_in_threadpool(desk.writer.observe, outcomes, first, question, errors), PLAIN

    async def correct(self, target: Target, moment: int, scope: Scope, receive: Receive) -> bytes:
        """Replace a row that was accepted, and return the JSON of the forecast at the newest row.

        Raises:
            GatecastError: nothing was changed; `problems` has the status.
        """
        desk = self._admitted(target.name)
        body = await receive_body(scope, receive, self.limits.max_body_bytes)
        values = desk.reader.correction(target.stream, body, moment)
        work = partial(self.store.keeper.correct, desk.model.streamed, key_of(target, scope), moment, values)
        outcomes = await self._alone(work, desk.model)
        return desk.writer.push(outcomes, 0, target.stream, desk.reader.usual if outcomes.answered else None)

    async def erase(self, target: Target, scope: Scope) -> None:
        """Delete everything of a stream.

        Raises:
            GatecastError: there is none, or the log does not answer.
        """
        await self._alone(partial(self.store.keeper.erase, key_of(target, scope)))

    async def asked(self, question: Callable[[Keeper], T]) -> T:
        """Ask the log something, in a thread.

        Raises:
            GatecastError: what is asked about is not there, or the log does not answer.
        """
        keeper = self.store.keeper
        try:
            found = await run_in_threadpool(question, keeper)
        except GatecastError as error:
            self._note(error, None)
            raise
        self.store.found()
        return found

    async def state(self, name: str) -> StreamsState:
        """Return what is to be said of the streams of a model."""
        drift = None
        with suppress(GatecastError):
            drift = await self.asked(lambda keeper: keeper.log.drifting(name))
        counted = None if drift is None else {said: drift.get(code, 0) for code, said in enumerate(DRIFTS)}
        return StreamsState(enabled=self.store.enabled, limits=self.store.limits, drift=counted)

    def _admitted(self, name: str) -> Desk:
        """Return the desk of a model, if there may be streams of it now."""
        self.store.keeper  # noqa: B018 - raises where there is none
        if self.queue.full:
            raise self.queue.refusal()
        model = self.models().find(name)
        desk = self._desks.get(name)
        if desk is None or desk.model is not model:
            strict = self.settings.implausible == "refuse"
            desk = self._desks[name] = Desk(model, Reader(model.streamed, self.limits, strict=strict), Writer(model))
        return desk

    def _read_many(self, desk: Desk, principal: str, body: bytes, options: Options) -> Question:
        del options  # each of the pushes has its own
        return desk.reader.observe(principal, body, self.settings.max_pushes)

    def _read_table(self, desk: Desk, principal: str, body: bytes, options: Options) -> Question:
        settings, wish = self.settings, desk.reader.wish(options.levels, options.horizon)
        pushes = read_table(
            desk.model.bundle.spec,
            body,
            principal,
            history=options.history,
            bounds=(settings.max_pushes, settings.max_bulk_bytes),
        )
        return Question(pushes, [wish] * len(pushes.names), [IN_TABLE] * len(pushes.names))

    async def _taken(self, desk: Desk, question: Question, scope: Scope) -> Share | Exception:
        """Queue pushes and wait for what comes of them."""
        try:
            return await self.queue.submit(self.store.keeper, desk.model.streamed, question.pushes, left(scope))
        except (GatecastError, ClientDisconnect) as error:
            return error

    def _came(self, desk: Desk, question: Question, found: Share | Exception) -> Share:
        """Return what came of pushes, or raise what went wrong with all of them."""
        if isinstance(found, Exception):
            if isinstance(found, GatecastError):
                self.metrics.streams.pushed(row_for(found).code, len(question.wishes))
                self._note(found, desk.model)
            raise found
        self.store.found()
        return found

    async def _alone(self, work: Callable[[], T], model: ServedModel | None = None) -> T:
        try:
            found = await self.queue.alone(work)
        except GatecastError as error:
            self._note(error, model)
            raise
        self.store.found()
        return found

    def _note(self, error: GatecastError, model: ServedModel | None) -> None:
        if isinstance(error, LogUnavailable):
            self.store.lost(error)
        elif isinstance(error, NotFinite) and model is not None:
            self.on_sick(model)

    def _refused(self, desk: Desk, error: GatecastError, spot: Spot) -> GatecastError:
        """Count a push that was refused, and return why, with the pointer into the request."""
        self.metrics.streams.pushed(row_for(error).code)
        self._note(error, desk.model)
        return spot.placed(error) if isinstance(error, WindowRejected) else error

    def _count(self, outcomes: Outcomes, share: slice, refused: int) -> None:
        replayed = int(outcomes.replayed[share].sum())
        self.metrics.streams.pushed("replayed", replayed)
        self.metrics.streams.pushed("accepted", share.stop - share.start - replayed - refused)

"""The keeper of streams: takes pushes, and answers them once the log has them.

A push is judged (`accepting`), played (`playing`), written (`recording`, `log`) and only then kept in memory (`pool`),
all on copies: whatever fails before the log has it leaves nothing behind. Other processes may keep the same streams:
who was outrun by one of them forgets what it held, reads again, and tries again.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from forecasting.errors import NoSuchStream, NotStreamable, Outrun
from forecasting.log.interface import Log
from forecasting.log.records import Entry, Key, Stream, Version
from forecasting.streams.correcting import Change, changed_row, correct, unchanged
from forecasting.streams.importing import import_history
from forecasting.streams.migrating import Migration
from forecasting.streams.pool import Pool
from forecasting.streams.pushes import Outcomes, Part, Pushes, join, left_of, refused, select
from forecasting.streams.streamed import Streamed
from forecasting.streams.tracking import Score
from forecasting.streams.turn import Turn

ATTEMPTS = 8

ENDLESS = (
    "the state of this model's cell, {}, has no bounds and grows with every row; ask its forecast route with a window"
)
UNSAFE = "this model is worse with a carried state than from fresh windows; such are not streamed here: send a window"


@dataclass(frozen=True)
class Policy:
    """What streams may take.

    `replay_rows` is how far back a version begins that meets an older stream, `cache_bytes` what the states held in
    memory under one version may take. `unsafe` is `resync` or `refuse`: what becomes of a model that is worse streamed.
    """

    replay_rows: int = 1024
    snapshot_rows: int = 256
    max_gap_rows: int = 1000
    max_streams: int = 1_000_000
    cache_bytes: int = 1_000_000_000
    unsafe: str = "resync"


class Look(NamedTuple):
    """A stream as it stands: what is known of it, how its forecasts fared, and the origin under the version asked."""

    stream: Stream
    score: Score
    origin: int | None
    held: bool


class Keeper:
    """Keeps the streams of all models over one log; many threads may call it."""

    def __init__(self, log: Log, policy: Policy) -> None:
        """Hold nothing yet."""
        self.log = log
        self._policy = policy
        self._pools: dict[Version, Pool] = {}
        self._turns: dict[Version, Turn] = {}
        self._migration = Migration(log, policy.replay_rows)
        self._lock = threading.RLock()

    @property
    def cached(self) -> int:
        """Streams that are held in memory."""
        return sum(map(len, list(self._pools.values())))

    @property
    def versions(self) -> list[Version]:
        """The versions that streams were pushed to lately, and that are open therefore."""
        return list(self._pools)

    def push(self, model: Streamed, pushes: Pushes, now: int) -> Outcomes:
        """Take rows of streams at a time in UTC nanoseconds; what is returned is in the log.

        Raises:
            NotStreamable: the model may not be streamed.
            LogUnavailable: nothing was written, or of streams that an older version holds.
            Outrun: others were quicker, again and again; nothing was written.
        """
        self._refuse_unsafe(model)
        taken: list[Part] = []
        for attempt in range(ATTEMPTS):
            with self._lock:
                try:
                    if pushes.history:
                        return import_history(model, self.log, pushes, self._policy.max_gap_rows, self._room, now)
                    return self._push(model, pushes, taken, now)
                except Outrun as error:
                    self._forget(model, pushes.principal, pushes.names)
                    if attempt + 1 == ATTEMPTS and taken:
                        return join([*taken, refused(left_of(taken, len(pushes.names)), taken[0][1], error)])
                    if attempt + 1 == ATTEMPTS:
                        raise
        raise AssertionError  # the loop returns or raises

    def correct(self, model: Streamed, key: Key, time: int, values: np.ndarray) -> Outcomes:
        """Replace the values of a row that was accepted, and all that followed from them.

        Returned is the forecast at the newest row, which may have changed.

        Raises:
            NoSuchStream, NoSuchObservation: there is no such row.
            NotFinite: with these values the model's forecast is not finite; nothing was changed.
            LogUnavailable, Outrun: nothing was changed.
        """
        self._refuse_unsafe(model)
        for attempt in range(ATTEMPTS):
            with self._lock:
                self._forget(model, key.principal, [key.stream])
                try:
                    return self._correct(model, self._found(key), time, values)
                except Outrun:
                    if attempt + 1 == ATTEMPTS:
                        raise
        raise AssertionError  # the loop returns or raises

    def look(self, key: Key, model: Streamed) -> Look:
        """Return a stream as it stands.

        Raises:
            NoSuchStream: there is none.
        """
        stream = self._found(key)
        tracking = model.tracking
        tracker = tracking.start(1)
        if stream.shape == tracking.shape:
            tracker[0] = np.frombuffer(stream.tracker, np.float64)
        pool = self._pools.get(model.version)
        held = pool is not None and bool((pool.find(key.principal, [key.stream]) >= 0).all())
        return Look(stream, tracking.current(tracker[0]), self.log.origins([stream.id], model.version)[0], held)

    def ledger(self, key: Key, start: int, limit: int) -> list[Entry]:
        """Return lines of the ledger of a stream, from row `start` on.

        Raises:
            NoSuchStream: there is none.
        """
        return self.log.ledger(self._found(key).id, start, limit)

    def erase(self, key: Key) -> None:
        """Delete everything of a stream.

        Raises:
            NoSuchStream: there is none.
        """
        with self._lock:
            stream = self._found(key)
            for pool in self._pools.values():
                pool.drop(key.principal, [key.stream])
            self.log.erase(stream.id)

    def prune(self, before: int, keep: int) -> int:
        """Delete rows that arrived before a time, but for the newest `keep` of each stream; return how many."""
        return self.log.prune(before, max(keep, self._policy.replay_rows))

    def migrate(self, seconds: float) -> bool:
        """Bring streams that an older version answers to the newest one for so long; tell whether more are left."""
        left = self._migration.go_on(self._pools, self._lock, seconds)
        with self._lock:
            self._let_go()
        return left

    def _correct(self, model: Streamed, stream: Stream, time: int, values: np.ndarray) -> Outcomes:
        row = changed_row(model, self.log, stream, time, values)
        if row is None:
            return unchanged(model, self.log, stream)
        opened = {version: pool.model for version, pool in self._pools.items() if version.model == model.version.model}
        change = Change(opened | {model.version: model}, model, self.log, stream, row)
        return correct(change, self._policy.replay_rows)

    def _found(self, key: Key) -> Stream:
        stream = self.log.find([key])[0]
        if stream is None:
            message = f"{key.model} has no stream of that name; the first push to it makes one"
            raise NoSuchStream(message)
        return stream

    def _refuse_unsafe(self, model: Streamed) -> None:
        if model.endless:
            raise NotStreamable(ENDLESS.format(model.spec.architecture.cell))
        if model.resync is not None and self._policy.unsafe == "refuse":
            raise NotStreamable(UNSAFE)

    def _push(self, model: Streamed, pushes: Pushes, taken: list[Part], now: int) -> Outcomes:
        """Let each stream be answered by the version that holds it, which is an older one right after a swap.

        Each version writes for itself: `taken` are the parts that are written, so that who is outrun with another one
        does not push them again.
        """
        pool = self._pool(model)
        left = left_of(taken, len(pushes.names)) if taken else np.arange(len(pushes.names))
        some = select(pushes, left) if taken else pushes
        older = self._migration.older(self._pools, pool, some)
        if not older and not taken:
            return self._turn(pool, pushes, now)
        rest = np.ones(len(left), bool)
        for one, places in older.items():
            outcomes = self._turn(self._pools[one], select(some, places), now)
            answered = dict.fromkeys(range(len(places)), one) | outcomes.answered
            taken.append((left[places], outcomes._replace(answered=answered)))
            rest[places] = False
        if rest.any():
            taken.append((left[rest], self._turn(pool, select(some, np.flatnonzero(rest)), now)))
        return join(taken)

    def _turn(self, pool: Pool, pushes: Pushes, now: int) -> Outcomes:
        turn = self._turns.get(pool.model.version)
        if turn is None or turn.pool is not pool:
            policy = self._policy
            turn = Turn(pool, self.log, policy.replay_rows, policy.snapshot_rows, policy.max_gap_rows, self._room)
            self._turns[pool.model.version] = turn
        return turn.take(pushes, now)

    def _room(self, principal: str) -> int:
        """Return how many streams a principal may add."""
        return self._policy.max_streams - self.log.count(principal)

    def _pool(self, model: Streamed) -> Pool:
        """Return the pool of a version; beside it only that of the version before is kept."""
        pool = self._pools.get(model.version)
        if pool is None:
            for version in [one for one in self._pools if one.model == model.version.model][:-1]:
                del self._pools[version]
            self._let_go()
            pool = self._pools[model.version] = Pool(model, self._policy.cache_bytes)
        pool.model = model  # the same version, perhaps opened anew
        return pool

    def _let_go(self) -> None:
        """Let go of turns whose pools are gone."""
        for version in self._turns.keys() - self._pools.keys():
            del self._turns[version]

    def _forget(self, model: Streamed, principal: str, names: Sequence[str]) -> None:
        for version, pool in self._pools.items():
            if version.model == model.version.model:
                pool.drop(principal, names)

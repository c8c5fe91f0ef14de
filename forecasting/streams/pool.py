"""Streams held in memory under one version of a model: arrays with a row a stream, the least recently used make way.

It is a cache: what is not in it is rebuilt from the log. The arrays grow as streams come.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from forecasting.log.records import Stream
from forecasting.statics import Coded
from forecasting.streams.advancing import Held, Profile
from forecasting.streams.streamed import Streamed

ENTRY_BYTES = 400
"""About what a stream takes beside its arrays: its name, and where it is."""

LEAST = 16
"""Streams that there is room for at first, and at least."""


Slots = slice | Int[np.ndarray, " stream"]
"""Where streams are held: a slice for a single one, which costs a tenth of what an array does."""


class Facts(NamedTuple):
    """Where each of some streams stands, see `log.records.Stream`: a row of id, epoch, seq and time each."""

    table: Int[np.ndarray, "stream four"]

    @property
    def id(self) -> Int[np.ndarray, " stream"]:
        """Their ids."""
        return self.table[:, 0]

    @property
    def epoch(self) -> Int[np.ndarray, " stream"]:
        """Their epochs."""
        return self.table[:, 1]

    @property
    def seq(self) -> Int[np.ndarray, " stream"]:
        """Their newest rows, -1 where there is none."""
        return self.table[:, 2]

    @property
    def time(self) -> Int[np.ndarray, " stream"]:
        """The times of these."""
        return self.table[:, 3]

    @classmethod
    def about(cls, streams: Sequence[Stream]) -> Facts:
        """Return those of streams as the log has them."""
        return cls(np.array([(one.id, one.epoch, one.seq, one.time) for one in streams], np.int64).reshape(-1, 4))

    def of(self, streams: slice | Int[np.ndarray, " some"]) -> Facts:
        """Return some of them."""
        return Facts(self.table[streams])

    def moved(
        self, streams: Int[np.ndarray, " some"], seq: Int[np.ndarray, " some"], time: Int[np.ndarray, " some"]
    ) -> Facts:
        """Return them with new rows of some streams; of one stream that stands there twice the last counts."""
        table = self.table.copy()
        table[streams, 2], table[streams, 3] = seq, time
        return Facts(table)


class Some(NamedTuple):
    """All about some streams, as copies."""

    facts: Facts
    held: Held
    profile: Profile

    def of(self, streams: slice | Int[np.ndarray, " some"]) -> Some:
        """Return some of them."""
        return Some(self.facts.of(streams), self.held.of(streams), self.profile.of(streams))


def concatenated(parts: Sequence[tuple[Int[np.ndarray, " some"], Some]]) -> Some:
    """Return what is known of all streams from what is known of some, each with the places where they belong."""
    order = np.argsort(np.concatenate([places for places, _ in parts]))
    if len(parts) == 1:
        return parts[0][1].of(order)
    static = [some.profile.static for _, some in parts]
    joined = Some(
        Facts(np.concatenate([some.facts.table for _, some in parts])),
        Held(*map(np.concatenate, zip(*(some.held for _, some in parts), strict=True))),
        Profile(
            np.concatenate([some.profile.places for _, some in parts]),
            None if static[0] is None else Coded(*map(np.concatenate, zip(*static, strict=True))),
        ),
    )
    return joined.of(order)


class Pool:
    """Not for several threads at once."""

    def __init__(self, model: Streamed, most_bytes: int) -> None:
        """Make room for as many streams as fit into so many bytes."""
        self.model = model
        tracking, statics = model.tracking, model.bundle.statics
        one = tracking.nothing(1)[0]
        bytes_each = 4 * (model.engine.width + one.size) + 8 * tracking.width + ENTRY_BYTES
        self.capacity = max(most_bytes // bytes_each, LEAST)
        coded = Coded(np.zeros((LEAST, statics.numbers), np.float32), np.zeros((LEAST, len(statics.categories)), int))
        self._all = Some(
            Facts(np.zeros((LEAST, 4), np.int64)),
            Held(model.engine.initial(LEAST), tracking.start(LEAST), tracking.nothing(LEAST)),
            Profile(np.zeros(LEAST, np.int64), coded if statics.columns else None),
        )
        self._used, self._now = np.zeros(LEAST, np.int64), 0
        self._slots: dict[tuple[str, str], int] = {}
        self._keys: list[tuple[str, str] | None] = []
        self._free: list[int] = []

    def __len__(self) -> int:
        """Return how many streams are held."""
        return len(self._slots)

    def find(self, principal: str, names: Sequence[str]) -> Int[np.ndarray, " stream"]:
        """Return the slots of streams, -1 for those that are not held."""
        slots = self._slots
        return np.array([slots.get((principal, name), -1) for name in names], dtype=np.int64)

    def slots_of(self, principal: str, names: Sequence[str]) -> Slots | None:
        """Return the slots of streams; None where one of them is not held."""
        if len(names) == 1:
            slot = self._slots.get((principal, names[0]))
            return None if slot is None else slice(slot, slot + 1)
        found = [self._slots.get((principal, name)) for name in names]
        return None if None in found else np.array(found, dtype=np.int64)

    def put(self, slots: Slots, facts: Facts, held: Held) -> None:
        """Hold streams that have slots as they are now."""
        self._now += 1
        self._used[slots] = self._now
        self._all.held.put(slots, held)
        self._all.facts.table[slots] = facts.table

    def take(self, slots: Slots) -> Some:
        """Return what is held in some slots, as copies.

        Of a slice it is what is held itself: not to be changed, and other after `put`.
        """
        return self._all.of(slots)

    def keep(self, principal: str, names: Sequence[str], slots: Int[np.ndarray, " stream"], some: Some) -> None:
        """Hold streams as they are now; those in slot -1 get a place, from the newest ones backwards if all do not fit.

        `profile` is that of the streams without a place before; those with one have theirs.
        """
        self._now += 1
        if np.count_nonzero(slots < 0):
            new = np.flatnonzero(slots < 0)
            new = new[max(len(slots) - self.capacity, 0) :]  # a batch of more streams than fit: not all are kept
            slots = slots.copy()
            self._used[slots[slots >= 0]] = self._now
            slots[new] = self._places([(principal, names[place]) for place in new.tolist()])
            there = np.flatnonzero(slots >= 0)
            self._put_profile(slots[new], some.profile.of(new))
            slots, some = (slots, some) if len(there) == len(slots) else (slots[there], some.of(there))
        self.put(slots, some.facts, some.held)

    def drop(self, principal: str, names: Sequence[str]) -> None:
        """Forget streams; those that are not held stay what they are."""
        for name in names:
            slot = self._slots.pop((principal, name), None)
            if slot is not None:
                self._keys[slot] = None
                self._free.append(slot)

    def newest(self, most: int) -> list[tuple[str, str]]:
        """Return principal and name of some streams, the most recently used first."""
        held = np.array(list(self._slots.values()), dtype=np.int64)
        order = held[np.argsort(-self._used[held], kind="stable")[:most]]
        return [key for slot in order.tolist() if (key := self._keys[slot]) is not None]

    def _put_profile(self, slots: Int[np.ndarray, " new"], profile: Profile) -> None:
        own = self._all.profile
        own.places[slots] = profile.places
        if own.static is not None and profile.static is not None:
            for part, value in zip(own.static, profile.static, strict=True):
                part[slots] = value

    def _places(self, keys: list[tuple[str, str]]) -> list[int]:
        """Give slots to streams, those of the least recently used where there is no other."""
        lacking = len(keys) - len(self._free) - (self.capacity - len(self._keys))
        if lacking > 0:
            self._evict(lacking)
        slots = []
        for key in keys:
            if self._free:
                slot = self._free.pop()
                self._keys[slot] = key
            else:
                slot = len(self._keys)
                self._keys.append(key)
            self._slots[key] = slot
            slots.append(slot)
        while len(self._used) < len(self._keys):
            self._grow(min(2 * len(self._used), self.capacity))
        return slots

    def _grow(self, size: int) -> None:
        """Make the arrays longer; copying them costs a stream twice its bytes, once."""
        facts, held, profile = self._all
        static = profile.static
        self._all = Some(
            Facts(_longer(facts.table, size)),
            Held(*(_longer(part, size) for part in held)),
            Profile(
                _longer(profile.places, size),
                None if static is None else Coded(*(_longer(part, size) for part in static)),
            ),
        )
        self._used = _longer(self._used, size)

    def _evict(self, least: int) -> None:
        held = np.array(list(self._slots.values()), dtype=np.int64)
        idle = int((self._used[held] < self._now).sum())
        many = min(max(least, self.capacity // 16), idle)
        for slot in held[np.argpartition(self._used[held], many - 1)[:many]].tolist():
            key = self._keys[slot]
            if key is not None:
                self.drop(key[0], [key[1]])


def _longer(rows: np.ndarray, size: int) -> np.ndarray:
    longer = np.zeros((size, *rows.shape[1:]), rows.dtype)
    longer[: len(rows)] = rows
    return longer

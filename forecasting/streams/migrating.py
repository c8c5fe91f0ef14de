"""After a swap of models: streams that an older version holds are answered by it until the new one has their states.

The states of the new version are unrolled from the log beside what goes on, some streams at a time, those that were
pushed to since the swap first. A stream is held under one version only, at any time.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from jaxtyping import Int

from forecasting.log.interface import Log
from forecasting.log.records import Key, Version
from forecasting.streams.pool import Pool, Some
from forecasting.streams.pushes import Pushes
from forecasting.streams.rebuilding import Begin, rebuild, states_behind

TOGETHER = 64

Pools = Mapping[Version, Pool]
Name = tuple[str, str]
Lock = AbstractContextManager[Any]


class Migration:
    """Which streams are to be brought from which version to which."""

    def __init__(self, log: Log, replay_rows: int) -> None:
        """Nothing is to be brought yet."""
        self._log, self._replay_rows = log, replay_rows
        self._newest: dict[str, Version] = {}
        self._wanted: dict[Version, dict[Name, None]] = {}

    def older(self, pools: Pools, pool: Pool, pushes: Pushes) -> dict[Version, Int[np.ndarray, " some"]]:
        """Return, by an older version that answers them, the places of pushes that the pool does not hold."""
        version = pool.model.version
        self._newest[version.model] = version
        others = [one for one in pools if one.model == version.model and one != version and len(pools[one])]
        if not others:
            return {}
        absent = np.flatnonzero(pool.find(pushes.principal, pushes.names) < 0)
        found = {}
        for one in others:
            names = [pushes.names[place] for place in absent.tolist()]
            held = absent[pools[one].find(pushes.principal, names) >= 0]
            if not _can_follow(pool, pools[one]):
                pools[one].drop(pushes.principal, names)
            elif len(held):
                found[one] = held
                wanted = self._wanted.setdefault(one, {})
                wanted.update(dict.fromkeys((pushes.principal, pushes.names[place]) for place in held.tolist()))
        return found

    def go_on(self, pools: dict[Version, Pool], lock: Lock, seconds: float) -> bool:
        """Bring streams for so long; tell whether more are left. Versions that hold none any longer are let go."""
        end = time.monotonic() + seconds
        while True:
            with lock:
                left = [one for one in pools if self._newest.get(one.model, one) != one]
                for one in [one for one in left if not len(pools[one])]:
                    self._wanted.pop(one, None)
                    del pools[one]
                    left.remove(one)
            if not left:
                return False
            self._bring(pools, left[0], lock)
            if time.monotonic() >= end:
                return True

    def _bring(self, pools: dict[Version, Pool], old: Version, lock: Lock) -> None:
        with lock:
            source, target = pools[old], pools[self._newest[old.model]]
            wanted = self._wanted.setdefault(old, {})
            names = [*list(wanted)[:TOGETHER]] or source.newest(TOGETHER)
            for name in names:
                wanted.pop(name, None)
        for principal in dict.fromkeys(principal for principal, _ in names):
            mine = [name for owner, name in names if owner == principal]
            self._bring_of(source, target, principal, mine, lock)

    def _bring_of(self, source: Pool, target: Pool, principal: str, names: list[str], lock: Lock) -> None:
        """Unroll the new states without the lock, then catch up under it with what was pushed meanwhile."""
        keys = [Key(principal, target.model.version.model, name) for name in names]
        streams = [one for one in self._log.find(keys) if one is not None]
        some = rebuild(target.model, self._log, streams, self._replay_rows) if streams else None
        with lock:
            slots = source.find(principal, names)
            there = {name for name, slot in zip(names, slots.tolist(), strict=True) if slot >= 0}
            kept = [place for place, one in enumerate(streams) if one.key.stream in there]
            if some is not None and kept:
                moved = [streams[place].key.stream for place in kept]
                self._move(source, target, principal, moved, some.of(np.array(kept)))
            source.drop(principal, names)

    def _move(self, source: Pool, target: Pool, principal: str, names: list[str], new: Some) -> None:
        """Put the streams into the new pool as they are now, with the states of the new version.

        A state that is unrolled anew every so many rows may have passed such a row meanwhile: it is left to the next
        push.
        """
        now = source.take(source.find(principal, names))
        fits = (now.facts.id == new.facts.id) & (now.facts.epoch == new.facts.epoch)
        same = np.flatnonzero(fits & ((now.facts.seq == new.facts.seq) | (target.model.resync is None)))
        now, new, names = now.of(same), new.of(same), [names[place] for place in same.tolist()]
        if not names:
            return
        wanted = list(zip(now.facts.id.tolist(), now.facts.seq.tolist(), strict=True))
        begins = [Begin(seq + 1, state) for seq, state in zip(new.facts.seq.tolist(), new.held.state, strict=True)]
        states = states_behind(target.model, self._log, wanted, begins, new.profile)
        held = now.held._replace(state=states)
        absent = target.find(principal, names)
        target.keep(principal, names, absent, Some(now.facts, held, new.profile))


def _can_follow(pool: Pool, older: Pool) -> bool:
    """Tell whether what is tracked under the older version goes on under the new one."""
    return (
        pool.model.tracking.shape == older.model.tracking.shape
        and pool.model.contract == older.model.contract
        and pool.model.spec.horizon == older.model.spec.horizon
    )

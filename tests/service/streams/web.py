"""The world of streams over HTTP: what the machine does is sent in every form that there is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, cycle
from typing import Any

import numpy as np

from forecasting.keys import ANONYMOUS
from forecasting.log.records import Key, Version
from forecasting.streams.keeper import Keeper
from tests.forecasting.streams.machine import NAMES, Answer
from tests.service.streams.pushing import stream
from tests.service.streams.replicas import Replicas, reload, served, state
from tests.service.streams.sending import (
    Push,
    answer_of,
    cells,
    code_of,
    ends_of,
    numbers,
    tabled,
    timed,
    together,
    turned,
    usual,
    utc,
)

_runs = count()


class Web:
    """Streams of one run, with names of its own, behind two services; one of them is asked."""

    def __init__(self, replicas: Replicas) -> None:
        """Begin with version 1 in production."""
        self._replicas = replicas
        self.client, self.other = replicas.two()
        self._run = next(_runs)
        self._met: set[str] = set()
        self._forms = cycle((usual, turned, timed, together, tabled))
        self._forms_of_many = cycle((together, tabled))

    def push(self, name: str, times: list[int], rows: list[np.ndarray]) -> Answer:
        return next(self._forms)(self.client, [self._push(name, times, rows)])[0]

    def push_all(self, pushes: list[tuple[str, int, np.ndarray]]) -> list[Answer]:
        return next(self._forms_of_many)(self.client, [self._push(name, [time], [row]) for name, time, row in pushes])

    def add_history(self, name: str, times: list[int], rows: list[np.ndarray]) -> Answer:
        push = self._push(name, times, rows)._replace(history=True)
        return next(self._forms)(self.client, [push])[0]

    def correct(self, name: str, time: int, row: np.ndarray) -> Answer:
        path = f"{self._path(name)}/observations/{utc(time)}"
        return answer_of(self.client.put(path, json={"observation": cells([row])[0]}).json())

    def erase(self, name: str) -> str:
        answer = self.client.delete(self._path(name))
        self._met.discard(name)
        return "ok" if answer.status_code == 204 else code_of(answer.json())

    def ledger(self, name: str) -> list[tuple[int, Answer]]:
        """Return the rows that forecasts were issued at, and these."""
        answer = self.client.get(f"{self._path(name)}/ledger?steps=all&limit=1000")
        lines = answer.json()["forecasts"]
        return [(one[0]["sequence"], _issued(one)) for one in zip(lines[::2], lines[1::2], strict=True)]

    def crash(self) -> None:
        """Begin another service, which knows nothing of the one before; that one is left as it stands."""
        self.client = self._replicas.start()

    def switch(self) -> None:
        self.client, self.other = self.other, self.client

    def evict(self) -> None:
        for pool in self._keeper._pools.values():  # noqa: SLF001 - nobody but the cache decides what is held
            pool.drop(ANONYMOUS, [self._own(name) for name in NAMES])

    def swap(self, version: str) -> None:
        """Turn the registry; the other service has not noticed yet."""
        self._replicas.source.turn(version)
        reload(self.client)
        assert served(self.client) == version

    def migrate(self) -> None:
        while self._keeper.migrate(1.0):
            pass

    def origin(self, name: str, version: str) -> int | None:
        log = self._replicas.log
        found = log.find([Key(ANONYMOUS, "tiny", self._own(name))])[0]
        return None if found is None else log.origins([found.id], Version("tiny", version, f"run-{version}"))[0]

    def open_versions(self) -> set[str]:
        return {one.version for one in self._keeper.versions} | {self.asked()}

    def asked(self) -> str:
        return served(self.client)

    def close(self) -> None:
        self._replicas.keep(2)

    @property
    def _keeper(self) -> Keeper:
        keeper: Keeper = state(self.client).streams.store.keeper
        return keeper

    def _own(self, name: str) -> str:
        return f"{name}-{self._run}"

    def _path(self, name: str) -> str:
        return stream(self._own(name))

    def _push(self, name: str, times: list[int], rows: list[np.ndarray]) -> Push:
        """Say which series a stream is as long as the service cannot know."""
        new = name not in self._met
        self._met.add(name)
        return Push(self._own(name), times, rows, "north" if name == "north" and new else None)


def _issued(lines: Sequence[dict[str, Any]]) -> Answer:
    point, median = (numbers(lines, part) for part in ("point", "median"))
    ends = ends_of([line["intervals"] for line in lines])
    return Answer("ok", lines[0]["sequence"], False, lines[0]["version"], point, median, ends)

"""The world of streams over HTTP: what the machine does is sent in every form that there is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count, cycle
from typing import Any

import numpy as np
import pyarrow as pa

from forecasting.log.records import Key, Version
from forecasting.streams.keeper import Keeper
from service.guard import ANONYMOUS
from tests.bundles import LEVELS
from tests.forecasting.streams.machine import NAMES, Answer
from tests.service.streams.pushing import MODEL
from tests.service.streams.replicas import TARGETS, Replicas, answer_of, code_of, ends_of, reload, served, state
from tests.service.streams.tables import observe, read, written

Pushed = tuple[str, list[int], list[np.ndarray]]

_runs = count()


class Web:
    """Streams of one run, with names of its own, behind two services; one of them is asked."""

    def __init__(self, replicas: Replicas) -> None:
        """Begin with version 1 in production."""
        self._replicas = replicas
        self.client, self.other = replicas.two()
        self._run = next(_runs)
        self._met: set[str] = set()
        self._forms = cycle((self._usual, self._columns, self._times, self._many, self._table))
        self._forms_of_many = cycle((self._many, self._table))

    def push(self, name: str, times: list[int], rows: list[np.ndarray]) -> Answer:
        return next(self._forms)([(name, times, rows)])[0]

    def push_all(self, pushes: list[tuple[str, int, np.ndarray]]) -> list[Answer]:
        return next(self._forms_of_many)([(name, [time], [row]) for name, time, row in pushes])

    def add_history(self, name: str, times: list[int], rows: list[np.ndarray]) -> Answer:
        form = next(self._forms)
        return form([(name, times, rows)], history=True)[0]

    def correct(self, name: str, time: int, row: np.ndarray) -> Answer:
        path = f"{self._path(name)}/observations/{utc(time)}"
        return self._answer(self.client.put(path, json={"observation": cells([row])[0]}))

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
        stream = log.find([Key(ANONYMOUS, "tiny", self._own(name))])[0]
        return None if stream is None else log.origins([stream.id], Version("tiny", version, f"run-{version}"))[0]

    def open_versions(self) -> set[str]:
        return {one.version for one in self._keeper.versions} | {served(self.client)}

    def close(self) -> None:
        self._replicas.keep(2)

    @property
    def _keeper(self) -> Keeper:
        keeper: Keeper = state(self.client).streams.store.keeper
        return keeper

    def _own(self, name: str) -> str:
        return f"{name}-{self._run}"

    def _path(self, name: str) -> str:
        return f"{MODEL}/streams/{self._own(name)}"

    def _series(self, name: str) -> str | None:
        """Say which series a stream is as long as the service cannot know."""
        new = name not in self._met
        self._met.add(name)
        return "north" if name == "north" and new else None

    def _usual(self, pushes: Sequence[Pushed], *, history: bool = False) -> list[Answer]:
        name, times, rows = pushes[0]
        return self._push(name, {"observations": cells(rows), "last_timestamp": utc(times[-1])}, history=history)

    def _times(self, pushes: Sequence[Pushed], *, history: bool = False) -> list[Answer]:
        name, times, rows = pushes[0]
        body = {"observations": cells(rows), "timestamps": [utc(time) for time in times], "levels": LEVELS}
        return self._push(name, body, history=history)

    def _columns(self, pushes: Sequence[Pushed], *, history: bool = False) -> list[Answer]:
        name, times, rows = pushes[0]
        data = [row[::-1] for row in cells(rows)]
        body = {"columns": TARGETS[::-1], "data": data, "last_timestamp": utc(times[-1]), "levels": LEVELS[::-1]}
        return self._push(name, body, history=history)

    def _push(self, name: str, body: dict[str, Any], *, history: bool) -> list[Answer]:
        body |= {"history": True} if history else {}
        if series := self._series(name):
            body["series"] = series
        return [self._answer(self.client.post(f"{self._path(name)}/observations", json=body))]

    def _many(self, pushes: Sequence[Pushed], *, history: bool = False) -> list[Answer]:
        streams = [
            {
                "stream": self._own(name),
                "observations": cells(rows),
                "timestamps": [utc(time) for time in times],
                "series": self._series(name),
                "levels": LEVELS,
                "history": history,
            }
            for name, times, rows in pushes
        ]
        body = {"streams": [{key: one for key, one in told.items() if one is not None} for told in streams]}
        answer = self.client.post(f"{MODEL}/streams:observe", json=body)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        return [answer_of(one, found["model"]["version"]) for one in found["outcomes"]]

    def _table(self, pushes: Sequence[Pushed], *, history: bool = False) -> list[Answer]:
        flat = [(name, time, row) for name, times, rows in pushes for time, row in zip(times, rows, strict=True)]
        series = {name: self._series(name) for name, _, _ in pushes}
        columns = {
            "stream": pa.array([self._own(name) for name, _, _ in flat]),
            "timestamp": pa.array([time for _, time, _ in flat], pa.timestamp("ns", tz="UTC")),
            "series": pa.array([series[name] for name, _, _ in flat], pa.string()),
        }
        for place, target in enumerate(TARGETS):
            columns[target] = pa.array([row[place] for _, _, row in flat], pa.float32(), from_pandas=True)
        query = "?" + "&".join([*(f"levels={level}" for level in LEVELS), *(["history=true"] if history else [])])
        answer = observe(self.client, written(pa.table(columns)), query=query)
        assert answer.status_code == 200, answer.text
        found = read(answer.content)
        return [_of_table(found.filter(pa.compute.equal(found["stream"], self._own(name)))) for name, _, _ in pushes]

    def _answer(self, answer: Any) -> Answer:
        return answer_of(answer.json(), served(self.client))


def utc(time: int) -> str:
    return datetime.fromtimestamp(time // 10**9, UTC).isoformat().replace("+00:00", "Z")


def cells(rows: Sequence[np.ndarray]) -> list[list[float | None]]:
    return [[None if np.isnan(cell) else float(cell) for cell in row] for row in rows]


def _of_table(steps: pa.Table) -> Answer:
    first = steps.slice(0, 1).to_pylist()[0]
    if first["status"] != 200:
        return Answer(_code(first["status"], first["detail"]))
    answer = Answer("ok", first["sequence"], first["replayed"], first["version"])
    if first["step"] is not None:
        each = [(name, *(f"{name}-{end}-{level}" for level in LEVELS for end in ("lo", "hi"))) for name in TARGETS]
        ends = [[steps[name].to_numpy() for name in names] for names in zip(*each, strict=True)]
        answer.point, *parts = (np.stack(part, axis=1) for part in ends)
        answer.ends = np.stack(parts)
        answer.median = np.stack([steps[f"{name}-median"].to_numpy() for name in TARGETS], axis=1)
    return answer


def _code(status: int, detail: str) -> str:
    """Tell from its words what a table has no column for."""
    words = {
        "other values": "changed",
        "comes behind": "late",
        "accepted as history": "stream",
        "before the first": "begun",
    }
    return {422: "window-rejected"}.get(status) or next(code for words, code in words.items() if words in detail)


def _issued(lines: Sequence[dict[str, Any]]) -> Answer:
    parts = (np.array([[line[part][name] for name in TARGETS] for line in lines]) for part in ("point", "median"))
    ends = ends_of([line["intervals"] for line in lines])
    return Answer("ok", lines[0]["sequence"], False, lines[0]["version"], *parts, ends)

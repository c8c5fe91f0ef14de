"""Services over one database and one registry, in this process, and what their answers say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from starlette.testclient import TestClient

from forecasting.log.interface import Log
from service.app import create_app
from service.settings import Settings
from tests.bundles import LEVELS
from tests.forecasting.streams.machine import Answer
from tests.service.live import Turned

TARGETS = ("a", "b")


@dataclass
class Replicas:
    """Starts services, all before the same registry and the same database, which `log` reads; and ends them."""

    settings: Settings
    source: Turned
    log: Log
    _running: list[TestClient] = field(default_factory=list)

    def start(self) -> TestClient:
        client = TestClient(create_app(self.settings, self.source), raise_server_exceptions=False)
        self._running.append(client.__enter__())
        return client

    def two(self) -> list[TestClient]:
        """Return two services that know nothing yet, before a registry whose version 1 is in production."""
        self.source.turn("1")
        found = self._running[-2:]
        for client in found:
            if served(client) != "1":
                reload(client)
            store = state(client).streams.store
            store.close()
            store.open()
        return [*found, *(self.start() for _ in range(2 - len(found)))]

    def keep(self, most: int) -> None:
        """End all services but the newest."""
        while len(self._running) > most:
            self._running.pop(0).__exit__(None)


def state(client: TestClient) -> Any:
    """Return what the app behind a client holds."""
    return client.app.app.state  # type: ignore[attr-defined]


def served(client: TestClient) -> str:
    """Return which version a service serves."""
    return str(state(client).models.find("tiny").ref.version)


def reload(client: TestClient) -> None:
    """Let a service ask the registry."""
    assert client.post("/v1/admin/reload").status_code == 200


def code_of(problem: dict[str, Any]) -> str:
    return str(problem["type"]).rpartition(":")[2]


def answer_of(found: dict[str, Any], served: str) -> Answer:
    """Read the answer to a push, alone or among others; `served` is the version that answers where none is named."""
    if found.get("status") not in {"ready", "cold", 200}:
        return Answer(code_of(found.get("problem", found)))
    version = found["model"]["version"] if "model" in found else served
    answer = Answer("ok", found["sequence"], found["replayed"], version)
    steps = found["forecast"]
    if steps:
        levels = [LEVELS.index(int(level)) for level in steps[0]["intervals"]]
        answer.point, answer.median = (_numbers(steps, part) for part in ("point", "median"))
        answer.ends = ends_of([step["intervals"] for step in steps])
        answer.asked = tuple(end for level in levels for end in (2 * level, 2 * level + 1))
    return answer


def ends_of(steps: Sequence[dict[str, dict[str, list[float]]]]) -> np.ndarray:
    """Return low and high of each level, by step and target."""
    pairs = [[[step[level][name] for name in TARGETS] for step in steps] for level in steps[0]]
    ends = np.array(pairs, np.float32)  # level, step, target, low and high
    return np.moveaxis(ends, -1, 1).reshape(-1, *ends.shape[1:3])


def _numbers(steps: Sequence[dict[str, Any]], part: str) -> np.ndarray:
    return np.array([[step[part][name] for name in TARGETS] for step in steps], np.float32)

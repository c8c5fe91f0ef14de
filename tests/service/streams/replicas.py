"""Services over one database and one registry, in this process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from starlette.testclient import TestClient

from forecasting.log.interface import Log
from service.app import create_app
from service.settings import Settings
from tests.service.live import Turned


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

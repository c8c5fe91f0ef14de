"""The service on a real socket: in a thread of this process, or in a process of its own."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from service.app import create_app
from service.models import PRODUCTION, ServedRef
from service.settings import Settings

HOST = "127.0.0.1"
FORECAST = "/v1/models/tiny/forecast"


@dataclass(frozen=True)
class Reply:
    """An answer that has come."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class OneFolder:
    """A bundle in a folder, as model `tiny`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def production(self) -> list[ServedRef]:
        return [self.version("tiny", PRODUCTION)]

    def version(self, name: str, ref: str) -> ServedRef:
        return ServedRef(name, "1", ref, "r1")

    def fetch(self, ref: ServedRef, folder: Path) -> Path:
        assert folder.is_dir()
        assert ref.name == "tiny"
        return self.folder


class Turned(OneFolder):
    """Versions of model `tiny` in folders 1, 2, ... of one, where the file `production` says which is in production."""

    def version(self, name: str, ref: str) -> ServedRef:
        number = self.current.read_text() if ref == PRODUCTION else ref
        return ServedRef(name, number, ref, f"run-{number}")

    def fetch(self, ref: ServedRef, folder: Path) -> Path:
        return super().fetch(ref, folder) / ref.version

    def turn(self, version: str) -> None:
        """Put a version into production."""
        coming = self.current.with_suffix(".new")
        coming.write_text(version)
        coming.replace(self.current)

    @property
    def current(self) -> Path:
        return self.folder / PRODUCTION


@dataclass(frozen=True)
class Live:
    """A service that listens."""

    port: int
    pid: int = 0

    def connect(self, seconds: float = 10.0) -> socket.socket:
        return socket.create_connection((HOST, self.port), seconds)

    def post(self, body: bytes, path: str = FORECAST) -> Reply:
        """Send JSON on a connection of its own."""
        return self._ask("POST", path, body, {"Content-Type": "application/json"})

    def get(self, path: str) -> Reply:
        return self._ask("GET", path, None, {})

    def _ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        line = http.client.HTTPConnection(HOST, self.port, timeout=60)
        try:
            line.request(method, path, body, {**headers, "Connection": "close"})
            answer = line.getresponse()
            return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            line.close()

    def say(self, raw: bytes, seconds: float = 10.0) -> bytes:
        """Send bytes, and return all that comes until the other side closes."""
        with self.connect(seconds) as line:
            line.sendall(raw)
            return read_all(line)


def read_all(line: socket.socket) -> bytes:
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := line.recv(65_536):
            found += piece
    return found


def config(app: ASGIApp, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=HOST,
        port=port,
        http="service.wire:Wire",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )


def in_a_thread(settings: Settings, folder: Path) -> contextlib.AbstractContextManager[Live]:
    return listening(create_app(settings, OneFolder(folder)))


@contextlib.contextmanager
def listening(app: ASGIApp) -> Iterator[Live]:
    server = uvicorn.Server(config(app, 0))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield Live(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join()


@contextlib.contextmanager
def in_a_process(folder: Path, **variables: str) -> Iterator[Live]:
    """Run this file; `variables` are settings of the service."""
    command = [sys.executable, "-m", "tests.service.live", str(folder)]
    environ = {**os.environ, "GATECAST_DEVICE": "cpu", "GATECAST_LOG_URL": "memory", **variables}
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root, env=environ) as process:
        assert process.stdout
        try:
            yield Live(int(process.stdout.readline()), process.pid)
        finally:
            process.terminate()


def main() -> None:
    source = Turned(Path(sys.argv[1]))
    served = source if source.current.exists() else OneFolder(source.folder)
    with listening(create_app(Settings.from_env(), served)) as live:
        print(live.port, flush=True)  # noqa: T201 - who started this reads it
        threading.Event().wait()


if __name__ == "__main__":
    main()

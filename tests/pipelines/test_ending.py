"""How a service ends: told to, it finishes what it has begun; killed, it leaves nothing that keeps it from starting."""

from __future__ import annotations

import json
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from pipelines.processes import free_port, running, wait_for
from pipelines.settings import Settings
from tests.pipelines.command import gatecast

if TYPE_CHECKING:
    from tests.pipelines.conftest import Shop


@dataclass(frozen=True)
class Service:
    process: Popen[bytes]
    port: int
    log: Path

    def status(self, path: str, key: str = "") -> int:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own address
                return int(answer.status)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code


@contextmanager
def serving(shop: Shop, folder: Path, port: int, **environ: str) -> Iterator[Service]:
    log = folder / "log"
    command = [sys.executable, "-m", "pipelines", "serve", "--port", str(port)]
    with running(command, log, {**Settings(home=shop.home).environment(), **environ}) as process:
        wait_for(f"http://127.0.0.1:{port}/readyz", process, log)
        yield Service(process, port, log)


def half(shop: Shop, port: int, stack: ExitStack) -> tuple[socket.socket, bytes]:
    """Send half a request, and return the line with the other half."""
    rows = pd.read_csv(shop.data)
    body = {"observations": rows[["x", "y"]].to_numpy().tolist(), "last_timestamp": rows["time"].iloc[-1]}
    content = json.dumps(body).encode()
    head = f"POST /v1/models/tiny/forecast HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n"
    line = stack.enter_context(socket.create_connection(("127.0.0.1", port), 10))
    line.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + content[:100])
    return line, content[100:]


def test_told_to_end_it_gives_notice_and_answers_what_it_has_begun(shop: Shop, tmp_path: Path) -> None:
    with serving(shop, tmp_path, free_port()) as service, ExitStack() as stack:
        begun = [half(shop, service.port, stack) for _ in range(5)]
        assert service.status("/readyz") == 200
        service.process.terminate()
        time.sleep(0.3)
        assert [service.status(path) for path in ("/readyz", "/livez", "/v1/models/tiny")] == [503, 200, 200]
        time.sleep(1.2)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", service.port), 5)
        for line, rest in begun:
            line.sendall(rest)
        for line, _ in begun:
            answer = line.makefile("rb").read()
            assert answer.startswith(b"HTTP/1.1 200")
            assert b"\r\nconnection: close\r\n" in answer
        assert service.process.wait(10) == 0
    assert "Traceback" not in service.log.read_text()


def test_one_that_never_sends_the_rest_does_not_keep_it(shop: Shop, tmp_path: Path) -> None:
    with serving(shop, tmp_path, free_port(), GATECAST_RECEIVE_SECONDS="2") as service, ExitStack() as stack:
        line, _ = half(shop, service.port, stack)
        service.process.terminate()
        assert line.makefile("rb").read().startswith(b"HTTP/1.1 408")
        assert service.process.wait(10) == 0


def test_killed_it_starts_again_on_the_same_store_and_port(shop: Shop, tmp_path: Path) -> None:
    port = free_port()
    for _ in range(2):
        with serving(shop, tmp_path, port) as service, ExitStack() as stack:
            half(shop, port, stack)
            service.process.kill()
            service.process.wait(10)
    with serving(shop, tmp_path, port) as service:
        assert service.status("/v1/models/tiny") == 200
        service.process.terminate()
        assert service.process.wait(10) == 0


def test_keys_count_without_a_restart_and_lines_of_logs_are_json(shop: Shop, tmp_path: Path) -> None:
    keys = {"GATECAST_KEYS_FILE": str(tmp_path / "keys.json")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GATECAST_KEYS_FILE", keys["GATECAST_KEYS_FILE"])
        first = gatecast(shop.home, "keys", "add", "shop", "--json").json
        more = {**keys, "GATECAST_AUTH": "on", "GATECAST_LOG_FORMAT": "json", "GATECAST_ACCESS_LOG": "true"}
        with serving(shop, tmp_path, free_port(), **more) as service:
            assert [service.status("/v1/models", key) for key in ("", first["key"])] == [401, 200]
            gatecast(shop.home, "keys", "remove", first["id"])
            second = gatecast(shop.home, "keys", "add", "ops", "--json").json
            time.sleep(1.1)
            assert [service.status("/v1/models", one["key"]) for one in (first, second)] == [401, 200]
    text = service.log.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    asked = [(line["status"], line["principal"]) for line in lines if line.get("route") == "/v1/models"]
    assert (200, "shop") in asked
    assert (200, "ops") in asked
    assert first["key"] not in text
    assert second["key"] not in text

"""Drift as the scheduler hears of it."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from forecasting.keys import ANONYMOUS
from forecasting.log.opening import FILE, open_log
from forecasting.log.records import Advance, Commit, Key, Stream
from pipelines.calendar.drift import Drift
from pipelines.processes import free_port, running, wait_for
from pipelines.settings import Settings
from tests.pipelines.command import gatecast, others, write_rows_behind

if TYPE_CHECKING:
    from tests.pipelines.conftest import Shop


def begin(settings: Settings, number: int, drift: int) -> None:
    stream = Stream(number, Key(ANONYMOUS, "plant", str(number)), None, "{}", "", 1)
    with closing(open_log(settings.log_url, settings.home / FILE)) as log:
        log.commit(Commit([stream], [Advance(number, -1, 0, 0, 1, b"", "", drift)], [], [], [], []))


def test_streams_that_drift_are_counted_in_the_ledger(address: tuple[str | None, Path]) -> None:
    settings = Settings(log_url=address[0], home=address[1])
    with closing(Drift(replace(settings, url="http://127.0.0.1:9"))) as drift:
        assert drift.streams("plant") == 0  # also where there is no ledger yet
        for number, code in enumerate((0, 1, 2, 3), start=1):
            begin(settings, number, code)
        assert drift.streams("plant") == 3
        assert drift.streams("other") == 0


class Service(BaseHTTPRequestHandler):
    """Answers what a service would, and what none should."""

    body = b""

    def do_GET(self) -> None:
        wanted = (self.path, self.headers["Authorization"]) == ("/v1/models/plant", "Bearer secret")
        self.send_response(200 if wanted else 404)
        self.end_headers()
        self.wfile.write(self.body if wanted else b"{}")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def answering(body: bytes) -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), type("Told", (Service,), {"body": body})) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("streams", "found"),
    [({"drift": {"none": 5, "inputs": 1, "errors": 2, "both": 0}}, 3), ({"drift": None}, 0), ({}, 0), (None, 0)],
)
def test_where_the_ledger_cannot_be_read_the_service_is_asked(tmp_path: Path, streams: object, found: int) -> None:
    settings = Settings(home=tmp_path, log_url="memory", key="secret")
    with (
        answering(json.dumps({"streams": streams}).encode()) as url,
        closing(Drift(replace(settings, url=url))) as drift,
    ):
        assert drift.streams("plant") == found
        assert drift.streams("nobody") == 0


def test_a_service_that_is_away_or_strange_tells_of_no_drift(tmp_path: Path) -> None:
    with closing(Drift(Settings(home=tmp_path, url="http://127.0.0.1:9"))) as drift:
        assert drift.streams("plant") == 0
    with answering(b"<html>") as url, closing(Drift(Settings(home=tmp_path, url=url, key="secret"))) as drift:
        assert drift.streams("plant") == 0


def test_a_service_whose_ledger_is_in_its_memory_tells_which_streams_drift(shop: Shop, tmp_path: Path) -> None:
    write_rows_behind(tmp_path / "new.csv", shop.data, others())
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = Settings(home=shop.home, log_url="memory", url=url)
    environ = settings.environment() | {"GATECAST_LOG_URL": "memory"}
    command = [sys.executable, "-m", "pipelines", "serve", "--port", str(port)]
    with running(command, tmp_path / "log", environ) as process, closing(Drift(settings)) as drift:
        wait_for(f"{url}/readyz", process, tmp_path / "log")
        assert drift.streams("tiny") == 0
        for part in (["--data", shop.data, "--import"], ["--data", tmp_path / "new.csv"]):
            assert gatecast(shop.home, "stream", "tiny", *part, "--url", url).code == 0
        assert drift.streams("tiny") == 1

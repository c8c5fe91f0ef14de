"""What becomes of wrong requests, sent to a service on a real socket: never its fault, never the client's data back."""

from __future__ import annotations

import contextlib
import json
import math
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from forecasting.bundle import save_bundle
from service.app import create_app
from service.settings import Settings
from tests.bundles import make_rich_bundle
from tests.service.live import Live, listening, read_all
from tests.service.wrong_requests import BYTES, GOOD, MARK, REJECTED, RICH, ROWS, WINDOWS, Case, cases

LIMITS = Settings(device="cpu", max_body_bytes=BYTES, max_rows=ROWS, max_windows=WINDOWS)
SECURE = {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}
CASES = cases()


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes
    raw: bytes


@pytest.fixture(scope="module")
def live(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory, folder_source: Any) -> Iterator[Live]:
    """Serve two models, and take little."""
    folder = tmp_path_factory.mktemp("rich") / "bundle"
    save_bundle(make_rich_bundle(), folder)
    with listening(create_app(LIMITS, folder_source({"tiny": tiny_folder, "rich": folder}))) as one:
        yield one


@pytest.fixture(scope="module")
def said(live: Live) -> bytes:
    """Return the answer to the good request, before anything else was asked."""
    return ask(live, Case("good", GOOD, 200)).body


def ask(live: Live, case: Case) -> Answer:
    """Send a request, and read until the service closes the connection, as it is asked to."""
    with live.connect(30) as line:
        send(line, case)
        raw = read_all(line).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    head, _, body = raw.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return Answer(int(status.split()[1]), {name.lower(): value for name, value in headers.items()}, body, raw)


def send(line: socket.socket, case: Case) -> None:
    length = ("Transfer-Encoding", "chunked") if case.chunked else ("Content-Length", str(len(case.body) * case.times))
    own = {name.lower() for name, _ in case.headers}
    headers = [("Host", "x"), ("Connection", "close"), *case.headers]
    headers += [] if "transfer-encoding" in own else [length]
    lines = [f"{case.method} {case.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
    with contextlib.suppress(ConnectionError):  # it need not take what it has refused already
        line.sendall("\r\n".join(lines).encode("latin-1"))
        piece = b"%x\r\n%b\r\n" % (len(case.body), case.body) if case.chunked else case.body
        for _ in range(case.times):
            line.sendall(piece)
        if case.chunked:
            line.sendall(b"0\r\n\r\n")


def numbers(tree: Any) -> Iterator[float]:
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, list):
        for one in tree:
            yield from numbers(one)
    elif isinstance(tree, int | float):
        yield tree


def check_forecast(answer: Answer, case: Case) -> None:
    """Finite numbers, who says so, and what its reader should know."""
    found = json.loads(answer.body)
    assert all(map(math.isfinite, numbers(found)))
    assert found["model"]["version"] == "1"
    assert found["model"]["run_id"] == "r1"
    assert found["model"]["name"] == ("rich" if case.path == RICH else "tiny")
    assert case.code in {"", *(warning["code"] for warning in found.get("warnings", ()))}


def check_problem(answer: Answer, case: Case) -> None:
    """Small, typed, pointing at the fault where the fault is in JSON."""
    problem = json.loads(answer.body)
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.body) <= 1000
    assert problem["type"] == f"urn:gatecast:problem:{case.code}"
    assert problem["status"] == answer.status
    assert problem["title"]
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert b"Traceback" not in answer.body
    assert b".py" not in answer.body
    if case.pointer is not None and case.code == REJECTED:
        assert problem.get("pointer") == case.pointer


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_wrong_request_is_answered_and_the_next_good_one_as_before(live: Live, said: bytes, case: Case) -> None:
    answer = ask(live, case)
    assert answer.status == case.status, answer.raw[:2000]
    assert SECURE.items() <= answer.headers.items()
    assert MARK.encode() not in answer.raw
    assert 1 <= len(answer.headers["x-request-id"]) <= 64
    if case.status == 200:
        check_forecast(answer, case)
    elif case.method == "HEAD":
        assert answer.body == b""
    else:
        check_problem(answer, case)
    assert ask(live, Case("good", GOOD, 200)).body == said


def test_the_table_is_long_and_names_each_request_once() -> None:
    names = [case.name for case in CASES]
    assert len(names) >= 65
    assert len(set(names)) == len(names)

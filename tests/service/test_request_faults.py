"""What becomes of wrong requests, sent to a service on a real socket: never its fault, never the client's data back."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forecasting.bundle import save_bundle
from service.app import create_app
from service.settings import Settings
from tests.bundles import make_rich_bundle
from tests.service.asking import Answer, ask
from tests.service.live import Live, listening
from tests.service.wrong_requests import BYTES, GOOD, MARK, REJECTED, RICH, ROWS, WINDOWS, Case, cases

LIMITS = Settings(device="cpu", log_url="memory", max_body_bytes=BYTES, max_rows=ROWS, max_windows=WINDOWS)
SECURE = {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}
CASES = cases()


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

"""Whatever is wrong for a window is wrong for a stream: the same answer, and nothing of it is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.app import create_app
from service.settings import Settings
from tests.service.asking import ask
from tests.service.live import Live, listening
from tests.service.streams.pushing import body, hour
from tests.service.wrong_requests import BYTES, FAR, FORECAST, MARK, RICH, ROWS, WINDOWS, Case, cases

KEPT = "kept"
LIMITS = Settings(
    device="cpu", log_url="memory", max_body_bytes=BYTES, max_bulk_bytes=BYTES, max_rows=ROWS, max_windows=WINDOWS
)
OF_ROWS = [case for case in cases() if case.path in {FORECAST, RICH} and case.method == "POST"]

OTHERWISE = {
    "window: of nulls alone": 200,  # a row that is missing is a fact, too
    "keys: as many windows as may be": 422,  # there are none
    "last time: with an offset of half an hour": 422,  # a stream has a grid
    "last time: off the grid": 422,
    "last time: a microsecond off the grid": 422,
    "times: centuries apart": 409,  # the first of them is late
}
"""What is answered in another way than for a window."""

OF_THE_STREAM = {
    *(name for name in OTHERWISE if name.startswith(("last time", "times"))),
    *("times: off the grid", "window: all 1e38"),
    *(f"cell: {text}" for text in FAR),
}
"""What nobody but the stream knows to be wrong, so that it is the outcome of this one of many."""

WRAPPED = ("keys: none", "keys: an array around them", "body: as large as it may be", "keys: one twice in")
"""What is another case once it is one of many."""


@pytest.fixture(scope="module")
def live(folders: dict[str, Path], folder_source: Any) -> Iterator[Live]:
    """Serve both models, each with a stream that has a row."""
    with listening(create_app(LIMITS, folder_source(folders))) as one:
        for model, first in ((FORECAST, good(-60)), (RICH, rich(-60))):
            assert one.post(first, path_of(model, KEPT)).status == 200
        yield one


def good(number: int) -> bytes:
    return json.dumps(body(number, series="north")).encode()


def rich(number: int) -> bytes:
    row = {"observations": [[3.5, 4, 0.0, 30.0, 0]], "known_future": [[32, 1], [33, 0]], "series": "north"}
    return json.dumps({**row, "last_timestamp": hour(number)}).encode()


def path_of(forecast: str, name: str) -> str:
    return forecast.replace("/forecast", f"/streams/{name}/observations")


def check(live: Live, case: Case, forecast: str, status: int) -> None:
    """Ask; what is refused is a small problem that says nothing back, and has changed nothing."""
    kept = path_of(forecast, KEPT).removesuffix("/observations")
    before = live.get(kept).body
    answer = ask(live, case)
    assert answer.status == status, answer.raw[:1000]
    assert MARK.encode() not in answer.body.replace(b'"stream":"' + MARK.encode(), b"")
    if status != 200:
        problem = json.loads(answer.body)
        assert answer.headers["content-type"] == "application/problem+json"
        assert len(answer.body) <= 1000
        assert problem["status"] == status
        assert problem["type"].startswith("urn:gatecast:problem:")
        assert live.get(kept).body == before


@pytest.mark.parametrize(("number", "case"), list(enumerate(OF_ROWS)), ids=[case.name for case in OF_ROWS])
def test_what_is_wrong_for_a_window_is_wrong_for_a_stream(live: Live, number: int, case: Case) -> None:
    status = OTHERWISE.get(case.name, case.status)
    name = f"new-{number}" if status == 200 else KEPT
    check(live, case._replace(path=path_of(case.path, name)), case.path, status)


@pytest.mark.parametrize(("number", "case"), list(enumerate(OF_ROWS)), ids=[case.name for case in OF_ROWS])
def test_what_is_wrong_for_a_stream_is_wrong_for_one_of_many(live: Live, number: int, case: Case) -> None:
    if case.name.startswith(WRAPPED):
        pytest.skip("it is another case there")
    status = OTHERWISE.get(case.name, case.status)
    name = f"one-{number}" if status == 200 else KEPT
    own = b'{"streams": [{"stream": "%b", ' % name.encode()
    wrapped = case.body.replace(b"{", own, 1) + b"]}" if case.body[:1] == b"{" else case.body
    many = case.path.replace("/forecast", "/streams:observe")
    if case.name in OF_THE_STREAM:
        answer = ask(live, case._replace(path=many, body=wrapped))
        (outcome,) = json.loads(answer.body)["outcomes"]
        assert (answer.status, outcome["status"]) == (200, status)
    else:
        check(live, case._replace(path=many, body=wrapped), case.path, status)

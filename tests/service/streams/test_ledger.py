"""The ledger, corrections, erasure, and what is told of a stream."""

from __future__ import annotations

import csv
import io
from typing import Any

import msgspec
import pytest
from starlette.testclient import TestClient

from service.streams.schemas import LedgerPage, StreamDescription, StreamPage
from tests.service.streams.pushing import MODEL, body, hour, push, rows, stream


def ledger(client: TestClient, name: str, **query: Any) -> list[dict[str, Any]]:
    answer = client.get(f"{stream(name)}/ledger", params=query)
    msgspec.json.decode(answer.content, type=LedgerPage)
    found: list[dict[str, Any]] = answer.json()["forecasts"]
    return found


def test_the_ledger_holds_every_forecast_beside_what_came(kept: TestClient) -> None:
    said = [push(kept, "l", number) for number in range(4)]
    lines = ledger(kept, "l")
    assert [(line["sequence"], line["issued"], line["timestamp"]) for line in lines] == [
        (number, hour(number), hour(number + 1)) for number in range(4)
    ]
    for line, answer in zip(lines, said, strict=True):
        step = answer["forecast"][0]
        assert (line["point"], line["median"]) == (step["point"], step["median"])
        assert line["intervals"]["90"] == step["intervals"]["90"]
        assert (line["version"], line["revised"]) == ("1", False)
    for number, line in enumerate(lines[:-1], 1):
        assert list(line["actual"].values()) == rows(1, number)[0]
        for column in ("a", "b"):
            low, high = line["intervals"]["90"][column]
            assert line["covered"]["90"][column] == (low <= line["actual"][column] <= high)
            assert line["error"][column] == pytest.approx(line["actual"][column] - line["point"][column], rel=1e-5)
    assert (lines[-1]["actual"], lines[-1]["error"]) == (None, None)


def test_all_steps_are_there_where_they_are_asked_for(streams: TestClient) -> None:
    for number in range(3):
        push(streams, "steps", number)
    lines = ledger(streams, "steps", steps="all")
    assert [(line["sequence"], line["step"], line["timestamp"]) for line in lines] == [
        (number, step, hour(number + step)) for number in range(3) for step in (1, 2)
    ]
    assert lines[1]["actual"] == lines[2]["actual"]


def test_pages_follow_each_other_and_leave_nothing_out(kept: TestClient) -> None:
    for number in range(5):
        push(kept, "pages", number)
    push(kept, "pages", 8)  # steps without a row have no line
    whole, seen, cursor = ledger(kept, "pages"), [], ""
    while cursor is not None:
        page = kept.get(f"{stream('pages')}/ledger", params={"limit": 2, "cursor": cursor}).json()
        seen += page["forecasts"]
        cursor = page["next"]
    assert seen == whole
    assert [line["sequence"] for line in whole] == [0, 1, 2, 3, 4, 8]


def test_the_ledger_is_a_table_where_that_is_asked_for(streams: TestClient) -> None:
    for number in range(3):
        push(streams, "table", number)
    path = f"{stream('table')}/ledger"
    answer = streams.get(path, params={"format": "csv", "limit": 2})
    assert answer.headers["content-type"].startswith("text/csv")
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    for line, told in zip(lines, ledger(streams, "table"), strict=False):
        assert (line["timestamp"], line["a"], line["b-hi-90"]) == (
            told["timestamp"], str(told["point"]["a"]), str(told["intervals"]["90"]["b"][1])
        )  # fmt: skip
        assert line["a-covered-90"] == str(told["covered"]["90"]["a"]).lower()
    rest = streams.get(answer.links["next"]["url"], headers={"accept": "text/csv"}).text
    assert [line["sequence"] for line in csv.DictReader(io.StringIO(rest))] == ["2"]
    assert streams.get(path, headers={"accept": "text/csv"}).text.splitlines()[0] == answer.text.splitlines()[0]


def test_a_cursor_that_is_none_is_refused(streams: TestClient) -> None:
    push(streams, "cursors", 0)
    for cursor in ("bm8=", "LTE=", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk=", "!", "AA=="):
        answer = streams.get(f"{stream('cursors')}/ledger", params={"cursor": cursor})
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:gatecast:problem:bad-parameter")
    assert streams.get(f"{MODEL}/streams", params={"cursor": "AA=="}).status_code == 422


def test_a_correction_changes_what_followed_and_says_so(kept: TestClient) -> None:
    for number in range(4):
        push(kept, "fixed", number)
        push(kept, "right", number, **({"observations": [[12.0, 990.0]]} if number == 1 else {}))
    answer = kept.put(f"{stream('fixed')}/observations/{hour(1)}", json={"observation": [12.0, 990.0]})
    assert (answer.status_code, answer.json()["sequence"]) == (200, 3)
    fixed, right = ledger(kept, "fixed"), ledger(kept, "right")
    assert [line["revised"] for line in fixed] == [False, True, True, True]
    for one, other in zip(fixed, right, strict=True):
        assert one["point"] == pytest.approx(other["point"], rel=1e-5)
        assert one["actual"] == other["actual"]
    assert answer.json()["forecast"][0]["point"] == fixed[-1]["point"]
    assert push(kept, "fixed", 4)["forecast"] == push(kept, "right", 4)["forecast"]
    assert kept.get(stream("fixed")).json()["corrections"] == 1


def test_a_correction_of_what_is_not_there_or_not_a_row_is_refused(streams: TestClient) -> None:
    push(streams, "wrong", 0)
    path = f"{stream('wrong')}/observations"
    before = streams.get(stream("wrong")).json()
    for time, told, status, code in (
        (hour(5), {"observation": [1.0, 2.0]}, 404, "no-such-observation"),
        (hour(0), {"observation": [1.0]}, 422, "window-rejected"),
        (hour(0), {"observation": [1.0, "x"]}, 422, "window-rejected"),
        (hour(0), {"observation": [1.0, 1e39]}, 422, "window-rejected"),
        (hour(0), {"observation": [1.0, 1e38]}, 422, "window-rejected"),
        (hour(0), {}, 422, "window-rejected"),
        (hour(0), {"observations": [[1.0, 2.0]]}, 422, "window-rejected"),
        ("0001-01-01T00:00:00Z", {"observation": [1.0, 2.0]}, 422, "window-rejected"),
        ("yesterday", {"observation": [1.0, 2.0]}, 422, "bad-parameter"),
        ("2024-03-01T00:00:00", {"observation": [1.0, 2.0]}, 422, "bad-parameter"),
    ):
        answer = streams.put(f"{path}/{time}", json=told)
        assert (answer.status_code, answer.json()["type"]) == (status, f"urn:gatecast:problem:{code}"), (time, told)
    assert streams.put(f"{stream('absent')}/observations/{hour(0)}", json={"observation": [1, 2]}).status_code == 404
    assert streams.get(stream("wrong")).json() == before


def test_a_stream_that_was_erased_is_no_more_and_can_begin_anew(kept: TestClient) -> None:
    first = push(kept, "gone", 0)
    push(kept, "gone", 1)
    assert kept.delete(stream("gone")).status_code == 204
    for answer in (kept.get(stream("gone")), kept.get(f"{stream('gone')}/ledger"), kept.delete(stream("gone"))):
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:gatecast:problem:no-such-stream")
    assert push(kept, "gone", 0) == first


def test_streams_are_listed_by_name_in_pages(kept: TestClient) -> None:
    for name in ("c", "a", "b"):
        push(kept, name, 0)
    page = kept.get(f"{MODEL}/streams", params={"limit": 2})
    msgspec.json.decode(page.content, type=StreamPage)
    assert [one["stream"] for one in page.json()["streams"]] == ["a", "b"]
    last = kept.get(f"{MODEL}/streams", params={"limit": 2, "cursor": page.json()["next"]}).json()
    assert ([one["stream"] for one in last["streams"]], last["next"]) == (["c"], None)


def test_a_stream_tells_how_its_forecasts_fared(streams: TestClient) -> None:
    answers = [push(streams, "south", number) for number in range(6)]
    answer = streams.get(stream("south"))
    found = msgspec.json.decode(answer.content, type=StreamDescription)
    assert (found.series, found.sequence, found.timestamp, found.scored) == ("south", 5, hour(5), 5)
    assert found.skill == pytest.approx(answers[-1]["skill"], rel=1e-5)
    assert found.coverage
    assert found.coverage["90"] == answers[-1]["coverage"]["90"]


def test_names_that_no_stream_can_have_are_refused(streams: TestClient) -> None:
    for name in ("a b", "x" * 129, "ä", "a%00"):
        assert streams.post(f"{stream(name)}/observations", json=body()).status_code == 422
        assert streams.get(stream(name)).status_code == 422
    assert streams.post(f"{stream('.~_-')}/observations", json=body()).status_code == 200

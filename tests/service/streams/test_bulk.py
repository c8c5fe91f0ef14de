"""Many streams in one request."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.testclient import TestClient

from service.streams.schemas import ObserveAnswer
from tests.service.streams.pushing import MODEL, body, hour, push, rows, stream

MANY = f"{MODEL}/streams:observe"


def test_each_of_many_is_answered_as_if_it_had_come_alone(kept: TestClient) -> None:
    alone = [[push(kept, f"alone-{place}", number) for number in (0, 1)] for place in range(3)]
    for number in (0, 1):
        asked = [{"stream": f"many-{place}", **body(number)} for place in range(3)]
        answer = kept.post(MANY, json={"streams": asked})
        msgspec.json.decode(answer.content, type=ObserveAnswer)
        for place, outcome in enumerate(answer.json()["outcomes"]):
            one = alone[place][number]
            assert (outcome["stream"], outcome["status"], outcome["cold"]) == (f"many-{place}", 200, True)
            for key in (
                "forecast",
                "score",
                "skill",
                "coverage",
                "scored",
                "drift",
                "sequence",
                "timestamp",
                "accepted",
            ):
                assert outcome[key] == one[key]


def test_one_that_is_refused_does_not_keep_the_others_from_being_taken(streams: TestClient) -> None:
    push(streams, "ahead", 5)
    asked: list[dict[str, Any]] = [
        {"stream": "ahead", **body(2)},
        {"stream": "behind", **body(2)},
        {"stream": "off", "observations": rows(2), "timestamps": [hour(0), "2024-03-01T00:30:00Z"]},
    ]
    late, taken, off = streams.post(MANY, json={"streams": asked}).json()["outcomes"]
    assert (late["status"], late["problem"]["last_timestamp"]) == (409, hour(5))
    assert (taken["status"], taken["sequence"]) == (200, 0)
    assert (off["status"], off["problem"]["pointer"]) == (422, "/streams/2/timestamps/1")
    assert streams.get(stream("off")).status_code == 404


def test_a_request_of_wrong_form_is_refused_as_a_whole(streams: TestClient) -> None:
    asked = [{"stream": "whole", **body()}, {"stream": "half", **body(observations=[[1.0]])}]
    answer = streams.post(MANY, json={"streams": asked})
    assert (answer.status_code, answer.json()["pointer"]) == (422, "/streams/1/observations/0")
    assert streams.get(stream("whole")).status_code == 404


def test_names_are_checked_and_history_is_all_or_none(streams: TestClient) -> None:
    for wrong, pointer in (
        ([{"stream": "a b", **body()}], "/streams/0/stream"),
        ([{**body()}], "/streams/0"),
        ([], "/streams"),
        ([{"stream": "a", **body()}, {"stream": "b", **body(history=True)}], "/streams/1/history"),
    ):
        answer = streams.post(MANY, json={"streams": wrong})
        assert (answer.status_code, answer.json().get("pointer")) == (422, pointer)


def test_a_stream_may_stand_in_it_more_than_once(streams: TestClient) -> None:
    asked = [{"stream": "twice", **body(number)} for number in (0, 1, 1)]
    outcomes = streams.post(MANY, json={"streams": asked}).json()["outcomes"]
    assert [(one["sequence"], one["replayed"]) for one in outcomes] == [(0, False), (1, False), (1, True)]


def test_levels_and_horizon_are_those_of_each(streams: TestClient) -> None:
    asked = [{"stream": "l1", **body(levels=[80])}, {"stream": "l2", **body(levels=[95], horizon=1)}]
    one, other = streams.post(MANY, json={"streams": asked}).json()["outcomes"]
    assert [list(step["intervals"]) for step in one["forecast"]] == [["80"], ["80"]]
    assert [list(step["intervals"]) for step in other["forecast"]] == [["95"]]


def test_no_more_rows_are_taken_than_the_service_says(start: Any) -> None:
    with start(max_pushes=3) as client:
        asked = [{"stream": "x", **body(3, observations=rows(4))}]
        answer = client.post(MANY, json={"streams": asked})
        assert (answer.status_code, answer.json()["pointer"]) == (422, "/streams")
        assert client.get(f"{MODEL}").json()["streams"]["limits"]["max_pushes"] == 3

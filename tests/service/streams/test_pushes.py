"""A push and its answer."""

from __future__ import annotations

import re

import msgspec
import pytest
from starlette.testclient import TestClient

from service.streams.schemas import PushAnswer
from tests.service.streams.conftest import Start
from tests.service.streams.pushing import body, hour, push, rows, stream


def test_a_push_is_answered_by_a_forecast_of_what_comes_next(kept: TestClient) -> None:
    answer = kept.post(f"{stream('north')}/observations", json=body())
    found = msgspec.json.decode(answer.content, type=PushAnswer)
    assert (found.model.name, found.model.version, found.model.run_id) == ("tiny", "1", "r1")
    assert (found.stream, found.sequence, found.timestamp, found.accepted) == ("north", 0, hour(0), 1)
    assert [(step.step, step.timestamp) for step in found.forecast] == [(1, hour(1)), (2, hour(2))]
    for step in found.forecast:
        for column in ("a", "b"):
            low, high = step.intervals["90"][column]
            assert low <= step.median[column] <= high
    assert (found.score, found.skill, found.coverage, found.scored) == (None, None, None, 0)
    assert (found.drift, found.status, found.units) == ("none", "ready", {"a": "degF"})


def test_the_next_push_scores_the_forecast_before(streams: TestClient) -> None:
    before, after = push(streams, "scored", 0), push(streams, "scored", 1)
    (said, _), score = before["forecast"], after["score"]
    assert score["step"] == 1
    for place, column in enumerate(("a", "b")):
        actual, one = rows(1, 1)[0][place], score["columns"][column]
        low, high = said["intervals"]["90"][column]
        assert one["actual"] == actual
        assert one["point"] == pytest.approx(said["point"][column], rel=1e-6)
        assert one["median"] == pytest.approx(said["median"][column], rel=1e-6)
        assert one["error"] == pytest.approx(actual - said["point"][column], rel=1e-5)
        assert one["covered"]["90"] == (low <= actual <= high)
    assert (after["scored"], after["sequence"]) == (1, 1)
    assert set(after["coverage"]) == {"90"}


def test_what_was_missing_is_not_scored(streams: TestClient) -> None:
    push(streams, "holes", 0)
    assert push(streams, "holes", 1, observations=[[None, 1000.0]])["score"]["columns"]["a"] is None
    assert push(streams, "holes", 2, observations=[[None, None]])["score"] is None


def test_rows_pushed_at_once_are_answered_as_those_pushed_one_by_one(streams: TestClient) -> None:
    one_by_one = [push(streams, "single", number) for number in range(4)][-1]
    at_once = push(streams, "several", 3, observations=rows(4))
    differing = {"stream", "accepted", "warnings"}
    assert {key: at_once[key] for key in at_once.keys() - differing} == {
        key: one_by_one[key] for key in one_by_one.keys() - differing
    }
    assert (at_once["accepted"], one_by_one["accepted"]) == (4, 1)


def test_the_same_rows_again_are_answered_by_the_same_bytes(kept: TestClient) -> None:
    for number in range(3):
        push(kept, "again", number)
    body_of_it = body(3, levels=[80, 95])
    first = kept.post(f"{stream('again')}/observations", json=body_of_it).text
    push(kept, "again", 4)
    again = kept.post(f"{stream('again')}/observations", json=body_of_it).text
    assert '"accepted":1,"replayed":false' in first
    assert again == first.replace('"accepted":1,"replayed":false', '"accepted":0,"replayed":true')


def test_other_values_for_a_row_that_was_accepted_are_refused(kept: TestClient) -> None:
    push(kept, "changed", 0)
    answer = kept.post(f"{stream('changed')}/observations", json=body(0, observations=[[1.0, 2.0]]))
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:gatecast:problem:changed")


def test_a_row_that_comes_too_late_learns_how_far_the_stream_is(kept: TestClient) -> None:
    push(kept, "late", 5)
    answer = kept.post(f"{stream('late')}/observations", json=body(3))
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:gatecast:problem:late")
    assert answer.json()["last_timestamp"] == hour(5)


def test_steps_without_a_row_are_taken_as_missing_and_told(streams: TestClient) -> None:
    push(streams, "gaps", 0)
    answer = push(streams, "gaps", 4)
    assert answer["sequence"] == 4
    assert re.match("3 steps", next(one["detail"] for one in answer["warnings"] if one["code"] == "gap"))


def test_a_gap_may_not_be_absurd(streams: TestClient) -> None:
    push(streams, "absurd", 0)
    answer = streams.post(f"{stream('absurd')}/observations", json=body(1002))
    assert (answer.status_code, answer.json()["pointer"]) == (422, "/last_timestamp")


def test_a_time_off_the_grid_is_refused_where_it_stands(streams: TestClient) -> None:
    push(streams, "grid", 0)
    odd = "2024-03-01T01:30:00Z"
    last = streams.post(f"{stream('grid')}/observations", json=body(1, last_timestamp=odd))
    dated = {"observations": rows(1, 1), "timestamps": [odd]}
    assert (last.status_code, last.json()["pointer"]) == (422, "/last_timestamp")
    answer = streams.post(f"{stream('grid')}/observations", json=dated)
    assert (answer.status_code, answer.json()["pointer"]) == (422, "/timestamps/0")


def test_levels_and_horizon_are_those_asked_for(streams: TestClient) -> None:
    answer = push(streams, "asked", 0, levels=[95, 80], horizon=1)
    assert [list(step["intervals"]) for step in answer["forecast"]] == [["95", "80"]]
    assert push(streams, "asked", 1, levels=[])["forecast"][0]["intervals"] == {}
    assert push(streams, "asked", 2, levels=[])["coverage"] is None


def test_columns_may_come_by_name_in_any_order(streams: TestClient) -> None:
    by_order = push(streams, "ordered", 0)
    named = {"columns": ["b", "a"], "data": [rows(1)[0][::-1]], "last_timestamp": hour(0)}
    by_name = streams.post(f"{stream('named')}/observations", json=named).json()
    assert by_name["forecast"] == by_order["forecast"]


def test_a_stream_is_the_series_that_has_its_name_or_the_one_told(streams: TestClient) -> None:
    named, told = push(streams, "south", 0), push(streams, "elsewhere", 0, series="south")
    assert told["forecast"] == named["forecast"]
    unknown = push(streams, "nowhere", 0)
    assert unknown["status"] == "cold"
    assert {one["code"] for one in unknown["warnings"]} == {"short-history", "unknown-series"}


def test_history_comes_before_the_first_push_and_is_not_forecast_from(kept: TestClient) -> None:
    imported = push(kept, "old", 7, observations=rows(8), history=True)
    assert (imported["sequence"], imported["accepted"], imported["forecast"]) == (7, 8, [])
    assert (imported["score"], imported["scored"], imported["coverage"]) == (None, 0, None)
    first = push(kept, "old", 8)
    assert (first["sequence"], len(first["forecast"])) == (8, 2)
    assert [one["code"] for one in first["warnings"]] == ["unknown-series"]
    late = kept.post(f"{stream('old')}/observations", json=body(9, history=True))
    assert (late.status_code, late.json()["type"]) == (409, "urn:gatecast:problem:begun")


RICH = "/v1/models/rich"
WEATHER = {"observations": [[3.5, 4, 0.0, 30.0, 0]], "last_timestamp": hour(0), "known_future": [[32.0, 1], [33.0, 0]]}


def test_known_covariates_of_the_steps_to_come_are_needed_and_used(streams: TestClient) -> None:
    path = f"{stream('one', RICH)}/observations"
    lacking = streams.post(path, json={key: WEATHER[key] for key in ("observations", "last_timestamp")})
    assert (lacking.status_code, lacking.json()["pointer"]) == (422, "/known_future")
    assert streams.get(stream("one", RICH)).status_code == 404
    one = streams.post(path, json=WEATHER).json()
    other = streams.post(f"{stream('two', RICH)}/observations", json=WEATHER | {"known_future": [[60.0, 1], [33.0, 0]]})
    assert one["forecast"] != other.json()["forecast"]


def test_static_values_come_with_the_first_push(streams: TestClient) -> None:
    path = f"{stream('site', RICH)}/observations"
    assert streams.post(path, json=WEATHER | {"static": {"size": 2.0, "region": "hill"}}).status_code == 200
    assert streams.get(stream("site", RICH)).json()["static"] == {"size": 2.0, "region": "hill"}


def test_implausible_values_are_taken_as_missing_or_refused(start: Start, streams: TestClient) -> None:
    wild = body(0, observations=[[150.0, 1000.0]])
    warned = streams.post(f"{stream('wild')}/observations", json=wild).json()
    assert "implausible" in [one["code"] for one in warned["warnings"]]
    with start(implausible="refuse") as strict:
        refused = strict.post(f"{stream('wild')}/observations", json=wild)
        assert refused.status_code == 422
        assert strict.get(stream("wild")).status_code == 404
        assert strict.post(f"{stream('wild')}/observations", json=body(0)).status_code == 200

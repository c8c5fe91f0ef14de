"""`explain: "memory"`, of a window and of a stream."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.testclient import TestClient

from forecasting.bundle import Bundle
from forecasting.errors import LogUnavailable
from forecasting.memory.explaining import Explanation
from service.explaining import explained_one
from service.models import ServedModel, ServedRef
from service.schemas import ForecastAnswer
from service.settings import Settings
from service.streams import looking
from service.streams.schemas import PushAnswer
from tests import bundles
from tests.service.live import Live, in_a_thread
from tests.service.streams.pushing import BEGIN, body, push, rows


@pytest.fixture(scope="module")
def live(tiny_folder: Path) -> Iterator[Live]:
    """Serve on a real port, where pushes take the quick lane."""
    with in_a_thread(Settings(device="cpu", log_url="memory"), tiny_folder) as one:
        yield one


ROUTE, STREAMS = "/v1/models/tiny/forecast", "/v1/models/tiny/streams"


def window(count: int, **changes: Any) -> dict[str, Any]:
    last = BEGIN.replace(hour=count - 1).isoformat().replace("+00:00", "Z")
    return {"observations": rows(count), "last_timestamp": last, "series": "north"} | changes


def test_a_forecast_is_explained_beside_itself(client: TestClient) -> None:
    plain = client.post(ROUTE, json=window(9))
    asked = client.post(ROUTE, json=window(9, explain="memory"))
    found = msgspec.json.decode(asked.content, type=ForecastAnswer)
    assert asked.json()["forecast"] == plain.json()["forecast"]
    assert "memory" not in plain.json()
    assert isinstance(found.memory, Explanation)
    assert found.memory.rows == 9
    assert set(found.memory.columns) == {"a", "b"}
    for row in found.memory.most:
        assert row.timestamp == f"2024-03-01T{8 - row.back:02}:00:00Z"


def test_without_times_the_rows_that_mattered_have_none(tiny_bundle: Bundle) -> None:
    model = ServedModel(ServedRef("tiny", "1", None, "r1"), tiny_bundle)
    timed = bundles.window()
    found = explained_one(model, dataclasses.replace(timed, times=None))
    assert found.most
    assert all(row.timestamp is None for row in found.most)
    assert all(row.timestamp is not None for row in explained_one(model, timed).most)


def test_of_several_windows_those_are_explained_that_ask(client: TestClient) -> None:
    said = client.post(ROUTE, json={"windows": [window(4), window(6, explain="memory"), window(5)]}).json()
    assert ["memory" in one for one in said["forecasts"]] == [False, True, False]
    assert said["forecasts"][1]["memory"]["rows"] == 6


def test_covariates_are_explained_too(rich_client: TestClient, rich: dict[str, Any]) -> None:
    answer = rich_client.post(ROUTE, json=rich | {"explain": "memory"})
    assert answer.status_code == 200, answer.text
    assert set(answer.json()["memory"]["columns"]) == {"a", "b", "rain"}
    assert set(answer.json()["memory"]["rest"]) == {"a", "b"}


@pytest.mark.parametrize("value", [True, "all", ["memory"], ""])
def test_another_explanation_is_refused(client: TestClient, value: Any) -> None:
    answer = client.post(ROUTE, json=window(4, explain=value))
    assert (answer.status_code, answer.json()["pointer"]) == (422, "/explain")


def test_with_windows_it_belongs_into_each(client: TestClient) -> None:
    answer = client.post(ROUTE, json={"windows": [window(4)], "explain": "memory"})
    assert (answer.status_code, answer.json()["pointer"]) == (422, "/explain")


def test_a_request_may_ask_for_so_many(rich_client: TestClient, rich: dict[str, Any]) -> None:
    answer = rich_client.post(ROUTE, json={"windows": [rich | {"explain": "memory"}] * 17})
    assert (answer.status_code, answer.json()["pointer"]) == (422, "/windows/16/explain")
    assert "at most 16" in answer.json()["detail"]


def test_a_window_that_is_refused_is_not_explained(client: TestClient) -> None:
    answer = client.post(ROUTE, json=window(4, observations=[[None, None]] * 4, explain="memory"))
    assert answer.status_code == 422
    assert "no observed value" in answer.json()["detail"]


def test_a_stream_is_explained_as_the_window_of_its_rows(client: TestClient) -> None:
    for hour in range(9):
        push(client, "told", hour, series="north")
    plain, asked = (client.get(f"{STREAMS}/told{query}") for query in ("", "?explain=memory"))
    assert "memory" not in plain.json()
    whole = client.post(ROUTE, json=window(9, explain="memory")).json()["memory"]
    assert asked.json()["memory"] == whole


def test_another_explanation_of_a_stream_is_refused(client: TestClient) -> None:
    push(client, "wrong", 0)
    assert client.get(f"{STREAMS}/wrong?explain=all").status_code == 422
    assert client.get(f"{STREAMS}/nobody?explain=memory").status_code == 404


def test_a_push_is_explained_by_the_rows_that_it_ends(client: TestClient) -> None:
    for hour in range(8):
        push(client, "pushed", hour, series="north")
    answer = client.post(f"{STREAMS}/pushed/observations", json=body(8, explain="memory"))
    found = msgspec.json.decode(answer.content, type=PushAnswer)
    assert (found.sequence, found.accepted) == (8, 1)
    assert isinstance(found.memory, Explanation)
    assert answer.json()["memory"] == client.get(f"{STREAMS}/pushed?explain=memory").json()["memory"]
    again = client.post(f"{STREAMS}/pushed/observations", json=body(8, explain="memory")).json()
    assert (again["replayed"], again["memory"]) == (True, answer.json()["memory"])
    assert "memory" not in push(client, "pushed", 9)


def test_a_push_on_the_wire_is_explained_as_well(live: Live) -> None:
    for hour in range(3):
        said = live.post(json.dumps(body(hour, explain="memory")).encode(), f"{STREAMS}/wired/observations")
        assert said.status == 200
        assert json.loads(said.body)["memory"]["rows"] == hour + 1


def test_what_is_history_has_nothing_to_explain(client: TestClient) -> None:
    answer = client.post(f"{STREAMS}/past/observations", json=body(0, history=True, explain="memory"))
    assert (answer.status_code, answer.json()["pointer"]) == (422, "/explain")


def test_a_push_that_was_taken_is_answered_where_it_cannot_be_explained(
    serve: Callable[..., TestClient], tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise LogUnavailable("gone")  # noqa: EM101 - between the commit and the reading of its rows

    monkeypatch.setattr(looking, "newest_window", away)
    with serve(tiny=tiny_bundle) as client:
        answer = client.post(f"{STREAMS}/cut/observations", json=body(0, explain="memory"))
        assert (answer.status_code, answer.json()["accepted"]) == (200, 1)
        assert "memory" not in answer.json()


def test_of_many_streams_none_is_explained(client: TestClient) -> None:
    one = body(0) | {"stream": "many", "explain": "memory"}
    answer = client.post(f"{STREAMS}:observe", json={"streams": [body(0) | {"stream": "more"}, one]})
    assert (answer.status_code, answer.json()["pointer"]) == (422, "/streams/1/explain")
    assert "?explain=memory" in answer.json()["detail"]

"""Whose stream is whose, and in what order what comes at once is taken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from forecasting.keys import add_key, make_key
from service.app import create_app
from service.settings import Settings
from tests.service.live import listening
from tests.service.streams.conftest import Start
from tests.service.streams.pushing import MODEL, body, hour, stream

THREADS = 32


@pytest.fixture
def keys(start: Start, tmp_path: Path) -> Iterator[tuple[TestClient, dict[str, dict[str, str]]]]:
    """Return a service that asks for keys, and the headers of ann, bob, and eve, who may not stream."""
    held = {}
    for name, scopes in (("ann", ["stream"]), ("bob", ["stream"]), ("eve", ["forecast"])):
        key, secret = make_key(name, scopes, "2026-01-01T00:00:00Z")
        add_key(tmp_path / "keys.json", key)
        held[name] = {"Authorization": f"Bearer {secret}"}
    with start(auth="on", keys_file=tmp_path / "keys.json") as client:
        yield client, held


def without_id(answer: Any) -> dict[str, Any]:
    return {key: value for key, value in answer.json().items() if key != "request_id"}


def test_the_stream_of_another_is_not_there(keys: tuple[TestClient, dict[str, dict[str, str]]]) -> None:
    client, held = keys
    assert client.post(f"{stream('mine')}/observations", json=body(), headers=held["ann"]).status_code == 200
    for method, path, told in (
        ("GET", "", None),
        ("GET", "/ledger", None),
        ("DELETE", "", None),
        ("PUT", f"/observations/{hour(0)}", {"observation": [1.0, 2.0]}),
    ):
        others = client.request(method, stream("mine") + path, json=told, headers=held["bob"])
        nobodys = client.request(method, stream("none") + path, json=told, headers=held["bob"])
        assert others.status_code == 404
        assert without_id(others) == without_id(nobodys)
    assert client.get(f"{MODEL}/streams", headers=held["bob"]).json()["streams"] == []
    answer = client.post(f"{stream('mine')}/observations", json=body(3), headers=held["bob"])
    assert (answer.status_code, answer.json()["sequence"]) == (200, 0)
    assert client.get(stream("mine"), headers=held["ann"]).json()["sequence"] == 0


def test_a_key_of_the_same_principal_finds_its_streams(start: Start, tmp_path: Path) -> None:
    (one, first), (two, second) = (make_key("ann", ["stream"], "2026-01-01T00:00:00Z") for _ in range(2))
    for key in (one, two):
        add_key(tmp_path / "keys.json", key)
    with start(auth="on", keys_file=tmp_path / "keys.json") as client:
        client.post(f"{stream('s')}/observations", json=body(), headers={"Authorization": f"Bearer {first}"})
        assert client.get(stream("s"), headers={"Authorization": f"Bearer {second}"}).status_code == 200


def test_who_may_only_forecast_may_not_stream(keys: tuple[TestClient, dict[str, dict[str, str]]]) -> None:
    client, held = keys
    for path in (f"{stream('x')}/observations", f"{MODEL}/streams:observe"):
        assert client.post(path, json=body(), headers=held["eve"]).status_code == 403
        assert client.post(path, json=body()).status_code == 401
    assert client.get(f"{MODEL}/streams", headers=held["eve"]).status_code == 403


def test_nobody_has_more_streams_than_may_be(start: Start) -> None:
    with start(max_streams=2) as client:
        statuses = [client.post(f"{stream(name)}/observations", json=body()).status_code for name in "abac"]
        refused = client.post(f"{stream('c')}/observations", json=body())
        assert statuses == [200, 200, 200, 429]
        assert refused.json()["type"] == "urn:gatecast:problem:too-many-streams"


@pytest.mark.parametrize("log_url", ["memory", None])
def test_what_many_push_at_once_to_one_stream_has_an_order(
    folders: dict[str, Path], folder_source: Any, tmp_path: Path, log_url: str | None
) -> None:
    """Every thread pushes the same hours, each time the next one that it believes to be next, with values of its own.

    For each hour one of them is accepted and the others are told so; the ledger holds the rows that were accepted.
    """
    settings = Settings(device="cpu", log_url=log_url, home=tmp_path)
    with listening(create_app(settings, folder_source(folders))) as live:

        def run(thread: int) -> list[tuple[int, int, dict[str, Any]]]:
            found = []
            for number in range(6):
                told = json.dumps(body(number, observations=[[float(thread), 1000.0]])).encode()
                answer = live.post(told, f"{stream('one')}/observations")
                found.append((number, answer.status, json.loads(answer.body)))
            return found

        with ThreadPoolExecutor(THREADS) as pool:
            answers = [one for found in pool.map(run, range(THREADS)) for one in found]
        ledger = json.loads(live.get(f"{stream('one')}/ledger").body)["forecasts"]
    accepted = {number: told for number, status, told in answers if status == 200}
    assert sorted(told["sequence"] for told in accepted.values()) == list(range(len(accepted)))
    assert sum(status == 200 for _, status, _ in answers) == len(accepted) == 6
    assert {status for _, status, _ in answers} == {200, 409}
    assert [line["point"] for line in ledger] == [accepted[number]["forecast"][0]["point"] for number in range(6)]

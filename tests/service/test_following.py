"""While requests come: models are swapped, refused, taken back; and what is served is never interrupted."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from forecasting.bundle import Bundle
from forecasting.columns import Columns
from service.app import create_app
from service.cache import Cache
from service.following import Follower
from service.models import Models, Slot
from service.problems import NotReady
from service.settings import Settings
from service.telemetry import Metrics
from tests.bundles import make_bundle, recorded, window
from tests.forecasting.spoiling import rewritten
from tests.service.shelf import Shelf

FORECAST = "/v1/models/tiny/forecast"
PATIENT = Settings(device="cpu", log_url="memory", poll_seconds=60)


def another(seed: int, **changes: Any) -> Bundle:
    """Make another model, which says something else."""
    bundle = make_bundle(**changes)
    bundle.forecaster.state_dict()["linear.bias"].add_(seed / 10)
    return recorded(bundle, window())


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    shelf = Shelf(tmp_path / "shelf")
    shelf.put(another(1))
    return shelf


@pytest.fixture
def start(shelf: Shelf, tmp_path: Path) -> Iterator[Callable[..., TestClient]]:
    """Start services before the shelf; what they keep lies in one folder."""
    open_ones: list[TestClient] = []

    def start(settings: Settings = PATIENT, *, cached: bool = True) -> TestClient:
        cache = Cache(tmp_path / "served", "a registry") if cached else None
        client = TestClient(create_app(settings, shelf, cache), raise_server_exceptions=False)
        open_ones.append(client.__enter__())
        return client

    yield start
    for client in open_ones:
        client.__exit__()


def reload(client: TestClient) -> Any:
    answer = client.post("/v1/admin/reload")
    assert answer.status_code == 200
    return answer.json()


def serves(client: TestClient, ref: str | None = None) -> str:
    described = client.get("/v1/models/tiny" if ref is None else f"/v1/models/tiny?ref={ref}")
    assert described.status_code == 200
    return str(described.json()["model"]["version"])


def metric(client: TestClient, name: str, **labels: str) -> float:
    found = text_string_to_metric_families(client.get("/metrics").text)
    samples = [sample for family in found for sample in family.samples]
    return next((one.value for one in samples if one.name == name and one.labels == labels), 0.0)


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for what comes by itself."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_version_that_is_promoted_is_served_within_a_poll(
    start: Callable[..., TestClient], shelf: Shelf, good: dict[str, Any]
) -> None:
    client = start(replace(PATIENT, poll_seconds=0.05))
    before = client.post(FORECAST, json=good).json()
    shelf.put(another(2))
    until(lambda: serves(client) == "2")
    after = client.post(FORECAST, json=good).json()
    assert (before["model"]["version"], after["model"]["version"]) == ("1", "2")
    assert before["forecast"] != after["forecast"]
    assert metric(client, "gatecast_model_swaps_total", model="tiny") == 1
    assert metric(client, "gatecast_model_load_seconds_count") == 2
    assert metric(client, "gatecast_registry_up") == 1


def test_a_reload_is_answered_with_what_is_served_then(start: Callable[..., TestClient], shelf: Shelf) -> None:
    client = start()
    shelf.put(another(2))
    state = reload(client)
    assert [(model["version"], model["alias"], model["run_id"]) for model in state["models"]] == [
        ("2", "production", "run-2")
    ]
    assert (state["refused"], state["degraded"]) == ({}, {})
    assert client.get("/readyz").json() == state


def test_no_request_fails_and_none_is_answered_by_two_models_while_the_alias_moves(
    start: Callable[..., TestClient], shelf: Shelf, good: dict[str, Any]
) -> None:
    for seed in range(2, 6):
        shelf.put(another(seed))
    shelf.point("1")
    client = start(replace(PATIENT, poll_seconds=0.02))
    several = {"windows": [good] * 3}
    expected: dict[str, Any] = {}
    statuses: list[int] = []
    mixed: list[Any] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            answer = client.post(FORECAST, json=several)
            statuses.append(answer.status_code)
            if answer.status_code == 200:
                found = answer.json()
                forecasts = [one["forecast"] for one in found["forecasts"]]
                known = expected.setdefault(found["model"]["version"], forecasts[0])
                mixed.extend(one for one in forecasts if one != known)

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for one in askers:
        one.start()
    for version in ("2", "3", "4", "5", "1"):
        shelf.point(version)
        until(lambda wanted=version: serves(client) == wanted)  # type: ignore[misc]
    over.set()
    for one in askers:
        one.join()
    assert set(statuses) == {200}
    assert mixed == []
    assert set(expected) == {"1", "2", "3", "4", "5"}
    assert len({str(forecast) for forecast in expected.values()}) == 5


def test_an_alias_that_flaps_is_followed_by_one_load_at_a_time_and_to_its_last_value(
    start: Callable[..., TestClient], shelf: Shelf, good: dict[str, Any]
) -> None:
    shelf.put(another(2))
    client = start(replace(PATIENT, poll_seconds=0.02))
    statuses = []
    for turn in range(41):
        shelf.point(str(1 + turn % 2))
        statuses.append(client.post(FORECAST, json=good).status_code)
    until(lambda: serves(client) == "1")
    reload(client)
    assert serves(client) == "1"
    assert set(statuses) == {200}
    assert shelf.most_at_once == 1


def test_calls_that_come_together_share_a_round_that_began_after_them(
    start: Callable[..., TestClient], shelf: Shelf
) -> None:
    client, entered, go_on = start(), threading.Event(), threading.Event()

    def hold(_: object) -> None:
        entered.set()
        assert go_on.wait(20)

    shelf.before_fetch = hold
    shelf.put(another(2))
    answers: list[Any] = []
    callers = [threading.Thread(target=lambda: answers.append(reload(client))) for _ in range(6)]
    callers[0].start()
    assert entered.wait(20)
    for one in callers[1:]:
        one.start()
    shelf.put(another(3))  # seen by those that came after the first round began
    go_on.set()
    for one in callers:
        one.join()
    assert sorted(answer["models"][0]["version"] for answer in answers) == ["2", *["3"] * 5]
    assert shelf.fetched == ["1", "2", "3"]


def test_the_model_that_was_served_is_let_go_of(start: Callable[..., TestClient], shelf: Shelf) -> None:
    client = start()
    old = weakref.ref(client.app.app.state.models.find("tiny").bundle)  # type: ignore[attr-defined]
    shelf.put(another(2))
    reload(client)
    until(lambda: gc.collect() >= 0 and old() is None)  # a thread may be about to end


FAULTS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a byte that is flipped": (
        lambda folder: flip(folder / "weights.safetensors"),
        "digest",
        "The model bundle is not the one that was registered",
    ),
    "half a file": (
        lambda folder: (folder / "scaler.json").write_bytes((folder / "scaler.json").read_bytes()[:99]),
        "digest",
        "The model bundle is not the one that was registered",
    ),
    "a file that lacks": (
        lambda folder: (folder / "spec.json").unlink(),
        "corrupt-bundle",
        "The model bundle is not whole",
    ),
    "a pickle beside": (
        lambda folder: (folder / "model.pkl").write_bytes(b"\x80\x04K\x01."),
        "corrupt-bundle",
        "The model bundle is not whole",
    ),
    "another format": (
        lambda folder: rewritten(folder, "spec.json", b'{"format": 99}'),
        "incompatible-bundle",
        "The model bundle has another format",
    ),
}


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_version_that_is_spoilt_changes_nothing_that_is_served(
    fault: str, start: Callable[..., TestClient], shelf: Shelf, good: dict[str, Any]
) -> None:
    spoil, code, title = FAULTS[fault]
    client = start()
    before = client.post(FORECAST, json=good).content
    spoil(shelf.put(another(2)))
    assert reload(client)["refused"] == {"tiny": title}
    assert client.get("/readyz").status_code == 200
    assert client.post(FORECAST, json=good).content == before
    assert metric(client, "gatecast_model_reload_failures_total", reason=code) == 1
    shelf.put(another(3))
    state = reload(client)
    assert (state["models"][0]["version"], state["refused"]) == ("3", {})


def test_a_version_that_failed_waits_longer_each_time_and_is_tried_at_once_when_asked_for(
    start: Callable[..., TestClient], shelf: Shelf
) -> None:
    client = start(replace(PATIENT, poll_seconds=0.01))
    began = time.monotonic()
    flip(shelf.put(another(2)) / "scaler.json")
    until(lambda: shelf.fetched.count("2") == 6)  # at once, and after 1, 2, 4, 8 and 16 hundredths
    assert time.monotonic() - began > 0.3
    tried = shelf.fetched.count("2")
    reload(client)
    assert shelf.fetched.count("2") > tried


def test_a_version_that_failed_is_forgotten_once_the_alias_is_back(
    start: Callable[..., TestClient], shelf: Shelf
) -> None:
    client = start()
    flip(shelf.put(another(2)) / "scaler.json")
    assert list(reload(client)["refused"]) == ["tiny"]
    shelf.point("1")
    assert reload(client)["refused"] == {}
    assert shelf.fetched == ["1", "2"]


@pytest.mark.parametrize("cached", [True, False])
def test_a_silent_registry_takes_nothing_from_what_is_served(
    cached: bool, start: Callable[..., TestClient], shelf: Shelf, good: dict[str, Any]
) -> None:
    client = start(cached=cached)
    before = client.post(FORECAST, json=good).content
    shelf.silent = True
    state = reload(client)
    assert state["degraded"] == {"registry": "The model registry does not answer"}
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, state)
    assert "secret" not in ready.text
    assert client.post(FORECAST, json=good).content == before
    assert metric(client, "gatecast_registry_up") == 0
    shelf.silent = False
    assert reload(client)["degraded"] == {}
    assert metric(client, "gatecast_registry_up") == 1


def test_without_registry_and_without_anything_kept_it_lives_is_not_ready_and_serves_once_it_can(
    start: Callable[..., TestClient], shelf: Shelf, good: dict[str, Any]
) -> None:
    shelf.silent = True
    client = start(replace(PATIENT, poll_seconds=0.05))
    assert client.get("/livez").status_code == 200
    for answer in (client.get("/readyz"), client.post(FORECAST, json=good)):
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.json()["detail"] == "registry: The model registry does not answer"
    shelf.silent = False
    until(lambda: client.get("/readyz").status_code == 200)
    assert client.post(FORECAST, json=good).status_code == 200


def test_without_registry_it_starts_from_what_was_kept_and_says_the_same(
    start: Callable[..., TestClient], shelf: Shelf, good: dict[str, Any]
) -> None:
    before = start().post(FORECAST, json=good).content
    shelf.silent = True
    client = start(replace(PATIENT, poll_seconds=0.05))
    assert client.post(FORECAST, json=good).content == before
    until(lambda: client.get("/readyz").json()["degraded"] == {"registry": "The model registry does not answer"})
    assert client.get("/readyz").status_code == 200
    shelf.silent = False
    until(lambda: client.get("/readyz").json()["degraded"] == {})
    assert shelf.fetched == ["1"]


def test_what_was_kept_passes_the_same_gate(start: Callable[..., TestClient], shelf: Shelf, tmp_path: Path) -> None:
    start()
    (weights,) = tmp_path.glob("served/*/weights.safetensors")
    flip(weights)
    shelf.silent = True
    client = start()
    detail = client.get("/readyz").json()["detail"]
    assert "tiny: The model bundle is not the one that was registered" in detail
    shelf.silent = False
    state = reload(client)
    assert ([one["version"] for one in state["models"]], state["refused"]) == (["1"], {})


def test_where_the_newest_one_kept_is_spoilt_the_one_before_it_serves(
    start: Callable[..., TestClient], shelf: Shelf, tmp_path: Path
) -> None:
    client = start()
    shelf.put(another(2))
    reload(client)
    (weights,) = tmp_path.glob("served/*-2-*/weights.safetensors")
    flip(weights)
    shelf.silent = True
    assert serves(start()) == "1"


def test_a_deleted_alias_or_version_is_served_on_and_told(start: Callable[..., TestClient], shelf: Shelf) -> None:
    client = start()
    del shelf.aliases["tiny"]["production"]
    said = {"tiny": "the registry has it no longer; version 1 is served on"}
    assert reload(client)["degraded"] == said
    assert client.get("/readyz").status_code == 200
    shelf.point("9")
    pinned = start(replace(PATIENT, models=("tiny",)))
    assert reload(pinned)["degraded"] == said
    shelf.point("1")
    assert reload(pinned)["degraded"] == reload(client)["degraded"] == {}


def test_models_that_appear_in_production_are_served_too(start: Callable[..., TestClient], shelf: Shelf) -> None:
    client = start()
    shelf.put(another(2), name="other")
    assert [one["name"] for one in reload(client)["models"]] == ["other", "tiny"]


def test_a_version_or_another_alias_is_served_where_it_is_configured_and_asked_for(
    start: Callable[..., TestClient], shelf: Shelf, good: dict[str, Any]
) -> None:
    shelf.put(another(2), alias="candidate")
    client = start(replace(PATIENT, models=("tiny@candidate", "tiny@1")))
    assert serves(client) == "2"
    for ref, version in {"candidate": "2", "2": "2", "1": "1"}.items():
        answer = client.post(f"{FORECAST}?ref={ref}", json=good)
        assert answer.json()["model"]["version"] == version
    unknown = client.post(f"{FORECAST}?ref=zzz", json=good)
    assert unknown.status_code == 404
    assert unknown.json()["detail"] == (
        "that is no version or alias of the model that is loaded; loaded are candidate (version 2), 1 (version 1)"
    )


def test_what_is_meant_and_could_not_be_loaded_is_not_answered_by_another(
    start: Callable[..., TestClient], shelf: Shelf, good: dict[str, Any]
) -> None:
    shelf.put(another(2), alias="candidate")
    flip(shelf.root / "tiny" / "1" / "scaler.json")
    client = start(replace(PATIENT, models=("tiny", "tiny@candidate")))
    assert client.post(FORECAST, json=good).status_code == 503
    assert client.post(f"{FORECAST}?ref=candidate", json=good).status_code == 200


def test_a_shadow_is_loaded_beside_production_and_goes_with_its_alias(
    start: Callable[..., TestClient], shelf: Shelf
) -> None:
    client = start(replace(PATIENT, shadow="candidate"))
    state = client.app.app.state  # type: ignore[attr-defined]
    assert state.models.shadow("tiny") is None
    shelf.put(another(2), alias="candidate")
    reload(client)
    assert (serves(client), state.models.shadow("tiny").ref.version) == ("1", "2")
    assert list(state.models.served) == [Slot("tiny"), Slot("tiny", "candidate")]
    assert [one["alias"] for one in client.get("/v1/models").json()["models"]] == ["production", "candidate"]
    del shelf.aliases["tiny"]["candidate"]
    assert reload(client)["degraded"] == {}
    assert state.models.shadow("tiny") is None


def test_a_version_with_another_contract_is_refused(start: Callable[..., TestClient], shelf: Shelf) -> None:
    client = start()
    shelf.put(another(2, columns=Columns(("b", "a"))))
    title = "The model has another contract than the one it replaces"
    assert reload(client)["refused"] == {"tiny": title}
    assert serves(client) == "1"
    assert metric(client, "gatecast_model_reload_failures_total", reason="schema-changed") == 1


def test_a_version_with_another_contract_that_is_allowed_tells_clients_of_the_one_before(
    start: Callable[..., TestClient], shelf: Shelf, good: dict[str, Any]
) -> None:
    client = start(replace(PATIENT, allow_schema_change=True))
    old = dict(good, columns=["a", "b"], data=good["observations"])
    del old["observations"]
    assert client.post(FORECAST, json=old).status_code == 200
    shelf.put(another(2, columns=Columns(("x", "y"))))
    reload(client)
    assert client.post(FORECAST, json=good).status_code == 200
    assert client.post(FORECAST, json=old).status_code == 409
    shelf.put(another(3, columns=Columns(("x", "y"))))
    reload(client)
    assert client.post(FORECAST, json=old).status_code == 409


@pytest.fixture
def sick_client(start: Callable[..., TestClient], shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """Serve version 2, whose answers are not finite, after version 1, whose answers are."""
    client = start()
    shelf.put(another(2))
    reload(client)
    make_sick(client, monkeypatch)
    return client


def make_sick(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = client.app.app.state.models.find("tiny").engine  # type: ignore[attr-defined]
    whole = engine.forecast_last

    def broken(inputs: Any) -> Any:
        said = whole(inputs)
        return said._replace(point=said.point * float("nan"))

    monkeypatch.setattr(engine, "forecast_last", broken, raising=False)


def test_after_three_answers_that_are_not_finite_the_version_before_is_back(
    sick_client: TestClient, shelf: Shelf, good: dict[str, Any]
) -> None:
    client = sick_client
    assert [client.post(FORECAST, json=good).status_code for _ in range(2)] == [500, 500]
    assert serves(client) == "2"
    assert client.post(FORECAST, json=good).status_code == 500
    until(lambda: serves(client) == "1")
    assert client.post(FORECAST, json=good).status_code == 200
    assert client.get("/readyz").json()["refused"] == {"tiny": "non-finite output"}
    shelf.put(another(3))
    state = reload(client)
    assert (serves(client), state["refused"]) == ("3", {})


def test_a_version_that_was_taken_back_stays_so_until_somebody_asks_for_it(
    start: Callable[..., TestClient], shelf: Shelf, good: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = start(replace(PATIENT, poll_seconds=0.02))
    shelf.put(another(2))
    until(lambda: serves(client) == "2")
    make_sick(client, monkeypatch)
    for _ in range(3):
        client.post(FORECAST, json=good)
    until(lambda: serves(client) == "1")
    shelf.put(another(3), name="other")  # rounds go on
    until(lambda: len(client.get("/readyz").json()["models"]) == 2)
    assert serves(client) == "1"
    reload(client)
    assert serves(client) == "2"
    assert client.get("/readyz").json()["refused"] == {}


def test_where_there_is_no_version_before_the_sick_one_stays(
    start: Callable[..., TestClient], good: dict[str, Any], monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    client = start()
    make_sick(client, monkeypatch)
    for _ in range(3):
        assert client.post(FORECAST, json=good).status_code == 500
    until(lambda: "there is no version before" in caplog.text)
    assert serves(client) == "1"


def test_whatever_goes_wrong_in_a_round_the_next_one_comes(
    start: Callable[..., TestClient], shelf: Shelf, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = start(replace(PATIENT, poll_seconds=0.02))
    follower = client.app.app.state.follower  # type: ignore[attr-defined]
    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
        patch.setattr(follower, "_tidy", lambda _: 1 / 0)
        until(lambda: "a round of following the registry failed" in caplog.text)
    shelf.put(another(2))
    until(lambda: serves(client) == "2")


def test_a_service_that_ends_waits_for_no_fetch_and_tells_who_waits_for_one(shelf: Shelf) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        entered.set()
        go_on.wait(60)

    async def end_in_the_middle() -> BaseException | Models:
        follower = Follower(shelf, PATIENT, Metrics(), lambda _: None)
        async with follower.running("cpu"):
            shelf.before_fetch = hold
            shelf.put(another(2))
            waiting = asyncio.create_task(follower.reload())
            assert await asyncio.to_thread(entered.wait, 20)
        (found,) = await asyncio.gather(waiting, return_exceptions=True)
        return found

    began = time.monotonic()
    found = asyncio.run(end_in_the_middle())
    go_on.set()
    assert time.monotonic() - began < 20
    assert isinstance(found, NotReady)


def test_before_the_start_nothing_is_reloaded(shelf: Shelf) -> None:
    with pytest.raises(NotReady):
        asyncio.run(Follower(shelf, PATIENT, Metrics(), lambda _: None).reload())

"""The registry's webhook: what is signed wakes the follower, what is not changes nothing; and a real MLflow."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from mlflow import MlflowClient
from mlflow.webhooks.delivery import _generate_hmac_signature  # what MLflow itself signs with
from starlette.testclient import TestClient

from forecasting.keys import add_key, make_key
from forecasting.registry import Registry
from pipelines.processes import free_port
from service.app import create_app
from service.guard import keys_path
from service.settings import Settings
from service.webhook import judge
from tests.bundles import make_bundle, recorded, window
from tests.service.live import listening
from tests.service.shelf import Shelf
from tests.service.test_registry import create_app_of, mlflow_server, register, until

WEBHOOK = "/v1/admin/webhook"
SECRET = "correct-horse-battery-staple"  # noqa: S105 - of no service
ALIASES = ["model_version_alias.created", "model_version_alias.deleted"]
SAID = json.dumps({
    "entity": "model_version_alias",
    "action": "created",
    "timestamp": "2026-01-01T00:00:00+00:00",
    "data": {"name": "tiny", "alias": "production", "version": "2"},
})  # fmt: skip
ID = "0b7a4a3c-6d6e-4f0e-9f57-1f3c4a1b2c3d"
Start = Callable[..., TestClient]


class Counting(Shelf):
    """A shelf that counts how often it is asked."""

    asked = 0

    def production(self) -> Any:
        self.asked += 1
        return super().production()


@pytest.fixture
def shelf(tmp_path: Path) -> Counting:
    shelf = Counting(tmp_path / "shelf")
    shelf.put(recorded(make_bundle(), window()))
    return shelf


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        home=tmp_path, device="cpu", log_url="memory", poll_seconds=600, max_body_bytes=2_000, webhook_secret=SECRET
    )


@pytest.fixture
def start(shelf: Counting, settings: Settings) -> Iterator[Start]:
    with ExitStack() as stack:

        def start(settings: Settings = settings) -> TestClient:
            return stack.enter_context(TestClient(create_app(settings, shelf), raise_server_exceptions=False))

        yield start


def signed(body: str = SAID, *, secret: str = SECRET, seconds_ago: float = 0, delivery: str = ID) -> dict[str, str]:
    """Return the headers MLflow sends with a body."""
    stamp = str(int(time.time() - seconds_ago))
    return {
        "Content-Type": "application/json",
        "X-MLflow-Delivery-Id": delivery,
        "X-MLflow-Timestamp": stamp,
        "X-MLflow-Signature": _generate_hmac_signature(secret, delivery, stamp, body),
    }


def without(name: str) -> dict[str, str]:
    return {key: value for key, value in signed().items() if key != name}


def serves(client: TestClient) -> str:
    return version_in(client.get("/readyz").content)


def version_in(readyz: bytes) -> str:
    return "".join(model["version"] for model in json.loads(readyz).get("models", []))


def test_a_delivery_wakes_the_follower_and_is_answered_before_it_has_asked(start: Start, shelf: Counting) -> None:
    client = start()
    shelf.put(recorded(make_bundle(), window()))
    answer = client.post(WEBHOOK, content=SAID, headers=signed())
    assert (answer.status_code, answer.json()) == (202, {"status": "accepted"})
    until(lambda: serves(client) == "2")
    assert 'gatecast_webhooks_total{outcome="accepted"} 1.0' in client.get("/metrics").text


@pytest.mark.parametrize("body", ["", "nonsense", '{"data": {"name": "tiny", "alias": "production", "version": "99"}}'])
def test_what_a_delivery_says_is_not_believed(body: str, start: Start, shelf: Counting) -> None:
    client, asked = start(), shelf.asked
    assert client.post(WEBHOOK, content=body, headers=signed(body)).status_code == 202
    until(lambda: shelf.asked == asked + 1)
    assert (serves(client), client.get("/readyz").json()["refused"]) == ("1", {})


REFUSED = {
    "no signature": (without("X-MLflow-Signature"), "unsigned"),
    "no id": (without("X-MLflow-Delivery-Id"), "unsigned"),
    "no time": (without("X-MLflow-Timestamp"), "unsigned"),
    "another secret": (signed(secret="another-horse-battery"), "unsigned"),  # noqa: S106 - of no service
    "another body": (signed("{}"), "unsigned"),
    "another id": (signed() | {"X-MLflow-Delivery-Id": "1"}, "unsigned"),
    "another time": (signed() | {"X-MLflow-Timestamp": str(int(time.time()) - 1)}, "unsigned"),
    "an id that could end elsewhere": (signed(delivery="a.1"), "unsigned"),
    "a time that is none": (signed() | {"X-MLflow-Timestamp": "now"}, "unsigned"),
    "a signature of another kind": (signed() | {"X-MLflow-Signature": "v2,AAAA"}, "unsigned"),
    "a signature that is no text": (signed() | {"X-MLflow-Signature": "v1,\xff"}, "unsigned"),
    "an API key instead": (without("X-MLflow-Signature") | {"Authorization": "Bearer gc_0"}, "unsigned"),
    "sent again after five minutes": (signed(seconds_ago=3600), "old"),
    "signed in the future": (signed(seconds_ago=-3600), "old"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_signed_well_is_refused_without_details_and_wakes_nobody(
    case: str, start: Start, shelf: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    headers, outcome = REFUSED[case]
    client, asked = start(), shelf.asked
    sent = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    answer = client.post(WEBHOOK, content=SAID, headers=sent)
    assert answer.headers["content-type"] == "application/problem+json"
    assert {key: value for key, value in answer.json().items() if key != "request_id"} == {
        "type": "urn:gatecast:problem:not-signed",
        "title": "The delivery is not signed as it must be",
        "status": 403,
    }
    assert f'gatecast_webhooks_total{{outcome="{outcome}"}} 1.0' in client.get("/metrics").text
    assert shelf.asked == asked
    assert SECRET not in caplog.text + answer.text


def test_a_delivery_is_good_for_five_minutes_and_a_header_counts_once() -> None:
    sent = [(name.lower().encode(), value.encode()) for name, value in signed().items()]
    stamp = int(dict(sent)[b"x-mlflow-timestamp"])
    outcomes = [judge(SECRET, sent, SAID.encode(), stamp + off) for off in (-301, -300, 0, 300, 301)]
    assert outcomes == ["old", "accepted", "accepted", "accepted", "old"]
    for header in sent[1:]:
        assert judge(SECRET, [*sent, header], SAID.encode(), stamp) == "unsigned"


def test_a_body_that_is_too_large_or_of_another_kind_is_refused(start: Start) -> None:
    client, large = start(), "x" * 2_001
    assert client.post(WEBHOOK, content=large, headers=signed(large)).status_code == 413
    assert client.post(WEBHOOK, content=SAID, headers=signed() | {"Content-Type": "text/plain"}).status_code == 415


def test_without_a_secret_there_is_nothing_at_this_path(start: Start, settings: Settings) -> None:
    answer = start(replace(settings, webhook_secret=None)).post(WEBHOOK, content=SAID, headers=signed(secret=""))
    assert (answer.status_code, answer.json()["title"]) == (404, "There is nothing at this path")


def test_it_needs_no_key_where_everything_else_does(start: Start, settings: Settings) -> None:
    key, _ = make_key("ops", ["admin"], "2026-01-01T00:00:00Z")
    add_key(keys_path(settings), key)
    client = start(replace(settings, auth="on"))
    assert client.post("/v1/admin/reload").status_code == 401
    assert client.post(WEBHOOK, content=SAID, headers=signed()).status_code == 202


def test_a_flood_is_one_more_round(start: Start, shelf: Counting) -> None:
    client, entered, go_on = start(), threading.Event(), threading.Event()

    def hold(_: object) -> None:
        entered.set()
        assert go_on.wait(20)

    asked, shelf.before_fetch = shelf.asked, hold
    shelf.put(recorded(make_bundle(), window()))
    assert client.post(WEBHOOK, content=SAID, headers=signed()).status_code == 202
    assert entered.wait(20)
    flood = [client.post(WEBHOOK, content=SAID, headers=signed()).status_code for _ in range(100)]
    assert (set(flood), shelf.asked) == ({202}, asked + 1)
    go_on.set()
    until(lambda: shelf.asked == asked + 2)
    client.post("/v1/admin/reload")
    assert (shelf.asked, serves(client), shelf.most_at_once) == (asked + 3, "2", 1)


@pytest.mark.slow
def test_an_alias_that_is_moved_in_a_real_registry_is_served_long_before_the_poll(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY", Fernet.generate_key().decode())
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "http,https")
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
    uri = f"http://127.0.0.1:{free_port()}"
    ours = replace(settings, tracking_uri=uri, home=tmp_path / "service")
    with mlflow_server(tmp_path, int(uri.rpartition(":")[2])), listening(create_app_of(ours)) as live:
        registry, address = Registry(uri), f"http://127.0.0.1:{live.port}{WEBHOOK}"
        mlflow = MlflowClient(uri, uri)
        mlflow.create_webhook("gatecast", address, ALIASES, secret=SECRET)
        stranger = mlflow.create_webhook("stranger", address, ["prompt.created"], secret="another-horse-battery")  # noqa: S106
        assert mlflow.test_webhook(stranger.webhook_id).response_status == 403
        register(registry, 1)
        until(lambda: version_in(live.get("/readyz").body) == "1", 10)
        second = register(registry, 2, promoted=False)
        assert version_in(live.get("/readyz").body) == "1"
        registry.promote(second, {"reason": "a test"})
        until(lambda: version_in(live.get("/readyz").body) == "2", 10)
        metrics = live.get("/metrics").body.decode()
    assert 'gatecast_webhooks_total{outcome="accepted"} 2.0' in metrics
    assert 'gatecast_webhooks_total{outcome="unsigned"} 1.0' in metrics

"""Who may do what: policies, scopes, and what a refusal says."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from forecasting.bundle import Bundle
from forecasting.errors import SettingsError
from forecasting.keys import Scope, add_key, make_key, remove_key
from service.guard import Guard, keys_path, scope_for
from service.keys import KeyRing
from service.problems import NoKey, NotAllowed
from service.settings import Settings

EVERYWHERE = "0.0.0.0"  # noqa: S104 - nothing is bound here


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, device="cpu", log_url="memory", auth="on")


def give(settings: Settings, *scopes: Scope, principal: str = "shop") -> str:
    key, secret = make_key(principal, scopes, "2026-01-01T00:00:00Z")
    add_key(keys_path(settings), key)
    return secret


def asking(path: str, key: str | None = None, *, server: str = "10.0.0.1") -> dict[str, Any]:
    headers = [] if key is None else [(b"authorization", f"Bearer {key}".encode())]
    return {"type": "http", "path": path, "headers": headers, "server": (server, 8000)}


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("/livez", "anyone"),
        ("/readyz", "anyone"),
        ("/ping", "anyone"),
        ("/health", "anyone"),
        ("/v2/health/ready", "anyone"),
        ("/v2/health/other", "forecast"),
        ("/docs", "anyone"),
        ("/docs/oauth2-redirect", "anyone"),
        ("/static-offline-docs/swagger-ui.css", "anyone"),
        ("/openapi.json", "anyone"),
        ("/metrics", ""),
        ("/v1/models", "forecast"),
        ("/v1/models/a/forecast", "forecast"),
        ("/invocations", "forecast"),
        ("/v2/models/a/infer", "forecast"),
        ("/v1/models/a/streams", "stream"),
        ("/v1/models/a/streams/b/rows", "stream"),
        ("/v1/models/a\n/streams", "stream"),
        ("/v1/models/streams", "forecast"),
        ("/v1/admin", "admin"),
        ("/v1/admin/models/a/promote", "admin"),
        ("/v1/admin/\nx", "admin"),
        ("/v1/admin/webhook", "anyone"),
        ("/v1/admin/webhook/", "admin"),
        ("/v1/admin/webhooks", "admin"),
        ("/v1/administration", "forecast"),
        ("/docsx", ""),
        ("/livez/", ""),
        ("//v1/admin", ""),
        ("/", ""),
        ("", ""),
    ],
)
def test_a_path_needs_a_scope(path: str, scope: str) -> None:
    assert scope_for(path) == scope


def test_a_key_with_the_scope_passes_and_is_named(settings: Settings) -> None:
    narrow, admin = give(settings, "forecast", principal="shop"), give(settings, "admin", principal="ops")
    guard = Guard.from_settings(settings)
    for path, key, who in [("/v1/models", narrow, "shop"), ("/metrics", narrow, "shop"), ("/v1/admin/x", admin, "ops")]:
        scope = asking(path, key)
        guard.check(scope)
        assert scope["state"]["principal"] == who


def test_a_key_without_the_scope_is_refused_and_told_which(settings: Settings) -> None:
    guard = Guard.from_settings(settings) if give(settings, "stream") else None
    assert guard
    key = give(settings, "forecast", "stream")
    guard = Guard.from_settings(settings)
    with pytest.raises(NotAllowed, match="the key has the scopes forecast, stream; this needs admin"):
        guard.check(asking("/v1/admin/x", key))


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [b""],
        [b"Bearer"],
        [b"Bearer "],
        [b"Basic {key}"],
        [b"{key}"],
        [b"Bearer {key}x"],
        [b"Bearer x{key}"],
        [b"Bearer {key}", b"Bearer {key}"],
        [b"Bearer gc_00000000_" + b"0" * 43],
        [b"Bearer " + b"\xff" * 60_000],
    ],
)
def test_what_is_no_key_is_refused_and_not_repeated(settings: Settings, headers: list[bytes]) -> None:
    key = give(settings, "forecast").encode()
    guard = Guard.from_settings(settings)
    sent = [(b"authorization", value.replace(b"{key}", key)) for value in headers]
    with pytest.raises(NoKey) as refused:
        guard.check({"type": "http", "path": "/v1/models", "headers": sent})
    assert key.decode() not in str(refused.value)


def test_the_scheme_is_read_in_any_case(settings: Settings) -> None:
    key = give(settings, "forecast").encode()
    guard = Guard.from_settings(settings)
    guard.check({"type": "http", "path": "/v1/models", "headers": [(b"authorization", b"bearer  " + key)]})


def test_open_paths_need_no_key(settings: Settings) -> None:
    give(settings, "forecast")
    scope = asking("/livez")
    Guard.from_settings(settings).check(scope)
    assert scope["state"]["principal"] == "anonymous"


def test_a_prefix_left_by_a_proxy_opens_nothing(settings: Settings) -> None:
    key = give(settings, "forecast")
    guard = Guard.from_settings(settings)
    with pytest.raises(NotAllowed):
        guard.check({**asking("/api/v1/admin/x", key), "root_path": "/api"})
    guard.check({**asking("/api/v1/models", key), "root_path": "/api"})


def test_auto_asks_where_others_can_reach_the_service(tmp_path: Path) -> None:
    loopback = Guard.from_settings(Settings(home=tmp_path, host="127.0.0.1"))
    loopback.check(asking("/v1/admin/x"))
    unsaid = Guard.from_settings(Settings(home=tmp_path))
    for local in ("127.0.0.1", "127.0.0.2", "::1", "testserver"):
        unsaid.check(asking("/v1/admin/x", server=local))
    for open_to_others in ("10.0.0.1", "::ffff:10.0.0.1", "/run/socket"):
        with pytest.raises(NoKey):
            unsaid.check(asking("/v1/models", server=open_to_others))


@pytest.mark.parametrize("settings", [Settings(host="127.0.0.1"), Settings(), Settings(auth="off")])
def test_without_keys_a_page_of_another_site_may_not_use_the_browser_of_an_admin(settings: Settings) -> None:
    guard = Guard.from_settings(settings)
    for origin in (
        b"https://example.org",
        b"http://example.org:8000",
        b"null",
        b"",
        b"http://[",
        b"http://127.0.0.1.x",
    ):
        with pytest.raises(NotAllowed, match="a page of another site"):
            guard.check({**asking("/v1/admin/x", server="127.0.0.1"), "headers": [(b"origin", origin)]})
    for origin in (b"http://127.0.0.1:8000", b"http://localhost:8000", b"http://[::1]:8000"):
        guard.check({**asking("/v1/admin/x", server="127.0.0.1"), "headers": [(b"origin", origin)]})
    guard.check({**asking("/v1/models", server="127.0.0.1"), "headers": [(b"origin", b"https://example.org")]})


def test_a_service_that_would_let_nobody_in_does_not_start(tmp_path: Path) -> None:
    for settings in (Settings(home=tmp_path, host=EVERYWHERE), Settings(home=tmp_path, auth="on")):
        with pytest.raises(SettingsError, match="gatecast keys add NAME"):
            Guard.from_settings(settings)


def test_a_service_does_not_start_with_a_damaged_file(settings: Settings) -> None:
    keys_path(settings).write_text("[")
    with pytest.raises(SettingsError, match="cannot be read"):
        Guard.from_settings(settings)


@pytest.mark.parametrize(
    ("host", "auth", "said"),
    [
        (EVERYWHERE, "off", "GATECAST_AUTH is off"),
        ("127.0.0.1", "auto", "over loopback everybody may do everything"),
        (None, "auto", "over loopback everybody may do everything"),
    ],
)
def test_a_service_without_keys_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, host: str | None, auth: str, said: str
) -> None:
    guard = Guard.from_settings(Settings(home=tmp_path, host=host, auth=auth))
    guard.check(asking("/livez"))
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert said in caplog.text


def test_a_key_counts_once_it_is_in_the_file_and_no_longer_than_it_is(settings: Settings) -> None:
    now = [0.0]
    first = give(settings, "forecast")
    guard = Guard(asks=True, ring=KeyRing(keys_path(settings), lambda: now[0]))
    second = give(settings, "forecast")
    with pytest.raises(NoKey):
        guard.check(asking("/v1/models", second))
    now[0] = 1.1
    guard.check(asking("/v1/models", second))
    remove_key(keys_path(settings), first[3:11])
    now[0] = 2.2
    with pytest.raises(NoKey):
        guard.check(asking("/v1/models", first))
    guard.check(asking("/v1/models", second))


def test_the_last_good_keys_count_while_the_file_is_damaged(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    key = give(settings, "forecast")
    guard = Guard(asks=True, ring=KeyRing(keys_path(settings), lambda: now[0]))
    good = keys_path(settings).read_text()
    for instant, content in enumerate(("[", "[", good), 2):
        keys_path(settings).write_text(content)
        now[0] = 2.0 * instant
        guard.check(asking("/v1/models", key))
    assert caplog.text.count("the keys read before go on to count") >= 1
    assert key not in caplog.text


def test_a_key_file_that_is_gone_lets_nobody_in(settings: Settings) -> None:
    now = [0.0]
    key = give(settings, "forecast")
    guard = Guard(asks=True, ring=KeyRing(keys_path(settings), lambda: now[0]))
    keys_path(settings).unlink()
    now[0] = 2.0
    with pytest.raises(NoKey):
        guard.check(asking("/v1/models", key))


def test_over_http_a_refusal_is_a_problem_with_an_id(
    serve: Callable[..., TestClient], settings: Settings, tiny_bundle: Bundle, good: dict[str, Any]
) -> None:
    key = give(settings, "forecast")
    sent = {"Authorization": f"Bearer {key}"}
    with serve(settings, tiny=tiny_bundle) as client:
        none, few = client.get("/v1/models"), client.post("/v1/admin/models/tiny/promote", headers=sent)
        assert client.post("/v1/models/tiny/forecast", json=good, headers=sent).status_code == 200
        assert client.get("/metrics", headers=sent).status_code == 200
        assert client.get("/livez").status_code == client.get("/docs").status_code == 200
        published = client.get("/openapi.json").json()
    assert (none.status_code, none.headers["www-authenticate"], few.status_code) == (401, "Bearer", 403)
    for answer in (none, few):
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["request_id"] == answer.headers["x-request-id"]
        assert key not in answer.text
    assert published["paths"]["/v1/models"]["get"]["security"] == [{"key": []}]


def test_the_scheme_is_published_where_it_is_needed(client: TestClient) -> None:
    published = json.loads(client.get("/openapi.json").text)
    assert published["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert published["paths"]["/v1/models"]["get"]["security"] == [{"key": []}, {}]
    assert "security" not in published["paths"]["/livez"]["get"]

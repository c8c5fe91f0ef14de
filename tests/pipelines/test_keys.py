"""`gatecast keys`: made once, listed without secrets, removed; and no service without them where others reach it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forecasting.keys import by_id, find_key, read_keys
from pipelines.processes import free_port
from tests.pipelines.command import gatecast


def test_a_key_is_printed_alone_so_that_a_script_can_take_it(tmp_path: Path) -> None:
    said = gatecast(tmp_path, "keys", "add", "shop", "--scope", "stream", "--scope", "forecast")
    key = find_key(by_id(read_keys(tmp_path / "keys.json")), said.out.strip().encode())
    assert key
    assert (key.principal, key.scopes) == ("shop", ("forecast", "stream"))
    assert f"key {key.id} of shop may forecast, stream" in said.err
    assert said.out.strip() not in said.err


def test_keys_are_listed_without_secrets_and_removed_by_their_ids(tmp_path: Path) -> None:
    first, second = (gatecast(tmp_path, "keys", "add", name, "--json").json for name in ("shop", "ops"))
    assert first["scopes"] == ["forecast"]
    listed = gatecast(tmp_path, "keys", "list", "--json")
    assert [key["principal"] for key in listed.json] == ["shop", "ops"]
    assert first["key"] not in listed.out
    assert set(listed.json[0]) == {"id", "principal", "scopes", "created"}
    assert "ops" in gatecast(tmp_path, "keys", "list").out
    assert gatecast(tmp_path, "keys", "remove", first["id"], "--json").json["principal"] == "shop"
    assert [key["id"] for key in gatecast(tmp_path, "keys", "list", "--json").json] == [second["id"]]


def test_where_there_are_no_keys_it_is_told_how_to_make_one(tmp_path: Path) -> None:
    said = gatecast(tmp_path, "keys", "list")
    assert "has no keys; make one with: gatecast keys add NAME" in said.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["add", "a b"], "'a b' cannot name who holds a key"),
        (["add", "shop", "--scope", "root"], "'root' is not one of"),
        (["remove", "00000000"], "there is no key '00000000'"),
    ],
)
def test_what_cannot_be_done_is_told(tmp_path: Path, arguments: list[str], told: str) -> None:
    said = gatecast(tmp_path, "keys", *arguments)
    assert said.code == 2
    assert told in said.err


def test_the_file_of_keys_can_be_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATECAST_KEYS_FILE", str(tmp_path / "secret" / "k.json"))
    gatecast(tmp_path, "keys", "add", "shop")
    assert len(json.loads((tmp_path / "secret" / "k.json").read_text())) == 1


def test_a_service_that_others_can_reach_is_not_started_without_keys(tmp_path: Path) -> None:
    said = gatecast(tmp_path, "serve", "--host", "0.0.0.0", "--port", free_port())  # noqa: S104 - it is refused
    assert said.code == 2
    assert said.err.startswith("gatecast: serving on 0.0.0.0 asks for API keys, and ")
    assert "gatecast keys add NAME" in said.err
    assert "Traceback" not in said.err


def test_a_service_is_not_started_with_a_damaged_file_of_keys(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("[")
    said = gatecast(tmp_path, "serve", "--host", "0.0.0.0", "--port", free_port())  # noqa: S104 - it is refused
    assert said.code == 2
    assert "keys.json cannot be read" in said.err

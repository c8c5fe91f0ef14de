"""The file of API keys: what is kept, what is refused, and that a key is found by itself alone."""

from __future__ import annotations

import json
import stat
import threading
from pathlib import Path

import pytest

from forecasting.errors import SettingsError
from forecasting.keys import (
    add_key,
    asks_for_keys,
    by_id,
    find_key,
    is_loopback,
    make_key,
    read_keys,
    refuse_no_keys,
    remove_key,
)

NOW = "2026-01-01T00:00:00Z"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store" / "keys.json"


def test_a_key_is_shown_once_and_only_its_hash_is_kept(path: Path) -> None:
    key, secret = make_key("shop", ["forecast"], NOW)
    add_key(path, key)
    prefix, name, random = secret.split("_", 2)
    assert (prefix, name, len(random)) == ("gc", key.id, 43)
    assert random not in path.read_text()
    assert json.loads(path.read_text())[0].keys() == {"id", "principal", "scopes", "sha256", "created"}


def test_the_file_is_for_its_owner_alone_and_leaves_nothing_beside_it(path: Path) -> None:
    add_key(path, make_key("shop", ["forecast"], NOW)[0])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_key_is_found_by_all_of_it_and_by_nothing_else() -> None:
    made = [make_key("shop", ["forecast"], NOW) for _ in range(3)]
    keys = by_id([key for key, _ in made])
    assert [find_key(keys, secret.encode()) for _, secret in made] == [key for key, _ in made]
    secret = made[0][1].encode()
    for wrong in (secret[:-1], secret + b"x", secret.swapcase(), b"gc_" + made[1][0].id.encode() + secret[11:], b""):
        assert find_key(keys, wrong) is None


def test_no_key_is_found_where_there_is_none() -> None:
    assert find_key({}, b"") is None
    assert find_key({}, b"gc_00000000_" + b"0" * 43) is None


def test_admin_may_do_all_and_others_what_they_were_given() -> None:
    admin, narrow = make_key("a", ["admin"], NOW)[0], make_key("b", ["stream"], NOW)[0]
    assert [admin.allows(scope) for scope in ("", "forecast", "stream", "admin")] == [True] * 4
    assert [narrow.allows(scope) for scope in ("", "forecast", "stream", "admin")] == [True, False, True, False]


def test_one_may_hold_several_keys_and_one_of_them_is_removed(path: Path) -> None:
    first, second = (make_key("shop", ["forecast", "stream"], NOW)[0] for _ in range(2))
    add_key(path, first)
    add_key(path, second)
    assert remove_key(path, first.id) == first
    assert read_keys(path) == (second,)
    with pytest.raises(SettingsError, match="gatecast keys list shows the ids"):
        remove_key(path, first.id)


def test_keys_added_at_the_same_time_are_all_kept(path: Path) -> None:
    made = [make_key("shop", ["forecast"], NOW)[0] for _ in range(20)]
    threads = [threading.Thread(target=add_key, args=(path, key)) for key in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {key.id for key in read_keys(path)} == {key.id for key in made}


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"\xff", b'[{"id": "x"}]', b'["key"]'])
def test_a_damaged_file_is_an_error_that_names_it_and_is_not_written_over(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"keys\.json cannot be read"):
        read_keys(path)
    with pytest.raises(SettingsError):
        add_key(path, make_key("shop", ["forecast"], NOW)[0])
    assert path.read_bytes() == content


def test_an_id_that_stands_twice_is_refused(path: Path) -> None:
    add_key(path, make_key("shop", ["forecast"], NOW)[0])
    path.write_text(json.dumps(json.loads(path.read_text()) * 2))
    with pytest.raises(SettingsError, match="an id stands there twice"):
        read_keys(path)


@pytest.mark.parametrize("name", ["", " ", "a b", "a\nb", "-a", "x" * 65, "é"])
def test_a_name_that_would_not_fit_a_log_line_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="cannot name who holds a key"):
        make_key(name, ["forecast"], NOW)


def test_loopback_is_what_only_this_machine_reaches() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.9.1", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.4", "example.org", "", "/run/socket")))  # noqa: S104


def test_keys_are_asked_for_where_others_can_reach_the_service() -> None:
    assert [asks_for_keys("auto", host) for host in ("127.0.0.1", "0.0.0.0", None)] == [False, True, None]  # noqa: S104
    assert [asks_for_keys("on", host) for host in ("127.0.0.1", None)] == [True, True]
    assert [asks_for_keys("off", host) for host in ("10.0.0.1", None)] == [False, False]


def test_asking_for_keys_that_nobody_has_is_refused_with_what_to_do(path: Path) -> None:
    with pytest.raises(SettingsError, match=r"serving on 10\.0\.0\.1 asks.*gatecast keys add NAME.*GATECAST_AUTH=off"):
        refuse_no_keys(path, "10.0.0.1")
    add_key(path, make_key("shop", ["forecast"], NOW)[0])
    refuse_no_keys(path, "10.0.0.1")

"""What is kept on disk: the current and the previous version of each slot, of this registry, whole; or nothing."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from forecasting.bundle import save_bundle
from forecasting.errors import AlteredBundle, CorruptBundle
from service.app import create_app
from service.cache import Cache
from service.models import ServedRef, Slot
from service.settings import Settings
from tests.bundles import make_bundle
from tests.service.shelf import Shelf

SLOT = Slot("tiny")


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "served", "a registry")


def ref(version: str, run: str = "r") -> ServedRef:
    return ServedRef("tiny", version, "production", f"{run}{version}")


def folders(cache: Cache) -> list[str]:
    return sorted(path.name for path in cache.folder.iterdir() if path.is_dir())


def test_the_current_and_the_previous_version_of_each_slot_are_kept(cache: Cache, tiny_folder: Path) -> None:
    for version in ("1", "2", "3", "2", "4"):
        cache.keep(SLOT, ref(version), tiny_folder)
    cache.keep(Slot("tiny", "candidate"), ref("9"), tiny_folder)
    assert [entry.version for entry in cache.entries(SLOT)] == ["4", "2"]
    assert [name.split("-")[1] for name in folders(cache)] == sorted(["2", "4", "9"], key=folders_order(cache))
    assert {path.name for path in cache.bundle(cache.entries(SLOT)[0]).iterdir()} == {
        path.name for path in tiny_folder.iterdir()
    }


def folders_order(cache: Cache) -> Callable[[str], int]:
    return [name.split("-")[1] for name in folders(cache)].index


def test_the_index_says_what_it_is_and_no_address(tiny_folder: Path, tmp_path: Path) -> None:
    cache = Cache.of(Settings(home=tmp_path, tracking_uri="postgresql://user:secret@host/db"))
    cache.keep(SLOT, ref("1"), tiny_folder)
    (path,) = cache.folder.glob("*.json")
    found = json.loads(path.read_bytes())
    assert (found["name"], found["ref"]) == ("tiny", "production")
    assert {key: found["entries"][0][key] for key in ("version", "alias", "run_id")} == {
        "version": "1",
        "alias": "production",
        "run_id": "r1",
    }
    assert not [one for one in tmp_path.rglob("*") if one.is_file() and b"secret" in one.read_bytes()]


def test_what_another_registry_gave_is_not_found(cache: Cache, tiny_folder: Path) -> None:
    cache.keep(SLOT, ref("1"), tiny_folder)
    other = replace(cache, registry="another registry")
    assert (other.indexes(), other.entries(SLOT)) == ([], ())
    other.keep(SLOT, ref("7"), tiny_folder)
    assert [entry.version for entry in cache.entries(SLOT)] == ["1"]
    assert [entry.version for entry in other.entries(SLOT)] == ["7"]


def test_a_manifest_that_is_not_the_one_that_was_kept_is_noticed(cache: Cache, tiny_folder: Path) -> None:
    cache.keep(SLOT, ref("1"), tiny_folder)
    (entry,) = cache.entries(SLOT)
    manifest = cache.bundle(entry) / "manifest.json"
    manifest.write_bytes(manifest.read_bytes() + b"\n")
    with pytest.raises(AlteredBundle):
        cache.bundle(entry)
    shutil.rmtree(manifest.parent)
    with pytest.raises(CorruptBundle):
        cache.bundle(entry)
    cache.keep(SLOT, ref("1"), tiny_folder)
    assert cache.bundle(entry).is_dir()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"registry": "a registry"}'])
def test_an_index_that_cannot_be_read_is_none(content: bytes, cache: Cache, tiny_folder: Path) -> None:
    cache.keep(SLOT, ref("1"), tiny_folder)
    (path,) = cache.folder.glob("*.json")
    path.write_bytes(content)
    assert (cache.indexes(), cache.entries(SLOT)) == ([], ())
    cache.keep(SLOT, ref("2"), tiny_folder)
    assert [entry.version for entry in cache.entries(SLOT)] == ["2"]


def test_without_a_folder_there_is_nothing(cache: Cache) -> None:
    assert (cache.indexes(), cache.entries(SLOT)) == ([], ())


def test_what_a_killed_process_left_behind_is_removed_after_a_while(cache: Cache, tiny_folder: Path) -> None:
    for name, age in {".new-old": 7200, ".new-young": 60}.items():
        (cache.folder / name).mkdir(parents=True)
        (cache.folder / name / "spec.json").write_bytes(b"{}")
        os.utime(cache.folder / name, (time.time() - age,) * 2)
    cache.keep(SLOT, ref("1"), tiny_folder)
    assert [name for name in folders(cache) if name.startswith(".new")] == [".new-young"]


def keep_many(cache: Cache, bundle: Path, seed: int) -> None:
    for turn in range(20):
        cache.keep(SLOT, ref(str((seed + turn) % 3)), bundle)
        for entry in cache.entries(SLOT):
            try:
                assert (cache.bundle(entry) / "manifest.json").is_file()
            except CorruptBundle:  # another process went on in between
                continue


def test_many_processes_may_share_it(cache: Cache, tiny_folder: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=keep_many, args=(cache, tiny_folder, seed)) for seed in range(3)]
    for one in processes:
        one.start()
    for one in processes:
        one.join(120)
    assert [one.exitcode for one in processes] == [0, 0, 0]
    cache.keep(SLOT, ref("5"), tiny_folder)
    assert cache.bundle(cache.entries(SLOT)[0]).is_dir()
    assert not [name for name in folders(cache) if name.startswith(".new")]


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a small file system of its own."""
    place = tmp_path / "small"
    place.mkdir()

    def mount(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        if found.returncode:
            pytest.skip(f"mounting is not permitted here: {found.stderr}")
        return place

    yield mount
    subprocess.run(["umount", str(place)], capture_output=True, check=False)  # noqa: S607 - the one of the machine


def test_a_full_disk_takes_nothing_from_what_is_served_and_is_told(
    mounted: Callable[[str], Path], tmp_path: Path, good: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    place = mounted("size=64k")
    shelf = Shelf(tmp_path / "shelf")
    shelf.put(make_bundle())
    settings = Settings(device="cpu", log_url="memory", poll_seconds=60)
    (place / "ballast").write_bytes(b"x" * 50_000)
    with TestClient(create_app(settings, shelf, Cache(place / "served", "r"))) as client:
        ready = client.get("/readyz")
        assert (ready.status_code, list(ready.json()["degraded"])) == (200, ["cache"])
        assert "No space left on device" in caplog.text
        assert client.post("/v1/models/tiny/forecast", json=good).status_code == 200
        shelf.put(make_bundle(lookback=7))
        state = client.post("/v1/admin/reload").json()
        assert (state["models"][0]["version"], list(state["degraded"])) == ("2", ["cache"])
        assert list((place / "served").iterdir()) == []
        (place / "ballast").unlink()
        healed = client.post("/v1/admin/reload").json()
        assert (healed["models"][0]["version"], healed["degraded"]) == ("2", {})
        assert len(list((place / "served").iterdir())) == 2


def test_a_folder_that_is_read_only_takes_nothing_from_what_is_served_and_is_told(
    mounted: Callable[[str], Path], tmp_path: Path, tiny_folder: Path, good: dict[str, Any]
) -> None:
    place = mounted("size=1m")
    shelf = Shelf(tmp_path / "shelf")
    shelf.put(make_bundle())
    cache = Cache(place / "served", "r")
    cache.keep(SLOT, ServedRef("tiny", "1", "production", "run-1"), tiny_folder)
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)  # noqa: S607 - the one of the machine
    shelf.silent = True
    settings = Settings(device="cpu", log_url="memory", poll_seconds=60)
    with TestClient(create_app(settings, shelf, cache)) as client:
        assert client.post("/v1/models/tiny/forecast", json=good).status_code == 200
        shelf.silent = False
        shelf.put(make_bundle(lookback=7))
        state = client.post("/v1/admin/reload").json()
        assert state["models"][0]["version"] == "2"
        assert state["degraded"] == {"cache": "models cannot be kept on disk for the next start: Read-only file system"}


def test_a_file_where_the_folder_should_be_is_told(tmp_path: Path, tiny_folder: Path) -> None:
    (tmp_path / "served").write_bytes(b"")
    cache = Cache(tmp_path / "served", "r")
    assert cache.indexes() == []
    with pytest.raises(OSError, match="served"):
        cache.keep(SLOT, ref("1"), tiny_folder)


def test_a_bundle_that_was_saved_again_is_another_one(cache: Cache, tmp_path: Path, tiny_folder: Path) -> None:
    cache.keep(SLOT, ref("1"), tiny_folder)
    save_bundle(make_bundle(lookback=9), tmp_path / "again")
    cache.keep(SLOT, ref("1"), tmp_path / "again")
    newest, before = cache.entries(SLOT)
    assert newest.manifest != before.manifest
    assert newest.folder != before.folder

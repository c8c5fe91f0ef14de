"""Schemathesis reads the published schema and asks for what it allows, and for what it does not: all its checks hold.

It runs as its command does, against a service on a real socket; `schemathesis.toml` says what may be refused, and why.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from forecasting.bundle import save_bundle
from forecasting.columns import Columns
from forecasting.keys import add_key, make_key
from service.app import create_app
from service.settings import Settings
from tests.bundles import make_bundle
from tests.service.live import Live, OneFolder, listening

OPEN = Settings(device="cpu", log_url="memory", max_rows=50, max_windows=3, webhook_secret="known-to-nobody-here")  # noqa: S106 - as it says
CONFIG = Path(__file__).with_name("schemathesis.toml")
GENERATED = re.compile(r"(\d+) generated")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a model with the columns of the published examples."""
    folder = tmp_path_factory.mktemp("weather") / "bundle"
    save_bundle(make_bundle(columns=Columns(("temp", "dewp"))), folder)
    return folder


@pytest.fixture(scope="module")
def live(folder: Path) -> Iterator[Live]:
    with listening(create_app(OPEN, OneFolder(folder))) as one:
        yield one


@pytest.fixture(scope="module")
def guarded(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Live, str]]:
    """Serve to who has a key, and return one that may do everything."""
    settings = replace(OPEN, auth="on", keys_file=tmp_path_factory.mktemp("keys") / "keys.json")
    key, secret = make_key("tester", ["forecast", "stream", "admin"], "2026-01-01T00:00:00Z")
    assert settings.keys_file
    add_key(settings.keys_file, key)
    with listening(create_app(settings, OneFolder(folder))) as one:
        yield one, secret


def run(live: Live, folder: Path, examples: int, *more: str) -> int:
    """Let schemathesis run to its end without a failure; return how many requests it made up."""
    address = f"http://127.0.0.1:{live.port}/openapi.json"
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run", address]
    options = ["--checks", "all", "--max-examples", str(examples), "--seed", "1", "--continue-on-failure", *more]
    done = subprocess.run([*command, *options], cwd=folder, capture_output=True, text=True, timeout=1500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = GENERATED.search(done.stdout)
    assert found
    return int(found[1])


def test_what_is_published_is_what_is_done(live: Live, tmp_path: Path) -> None:
    assert run(live, tmp_path, 5) >= 1000


def test_what_is_published_is_what_is_done_for_who_has_a_key(guarded: tuple[Live, str], tmp_path: Path) -> None:
    service, secret = guarded
    assert run(service, tmp_path, 5, "--header", f"Authorization: Bearer {secret}") >= 1000


def test_what_is_published_is_what_is_done_for_who_has_none(guarded: tuple[Live, str], tmp_path: Path) -> None:
    assert run(guarded[0], tmp_path, 10, "--phases", "examples,fuzzing") >= 100


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_thousands_of_requests_do_not_find_a_difference(live: Live, guarded: tuple[Live, str], tmp_path: Path) -> None:
    assert run(live, tmp_path, 300) >= 3000
    assert run(guarded[0], tmp_path, 300, "--header", f"Authorization: Bearer {guarded[1]}") >= 3000

"""Back to the version before: one command, and a service that runs answers with the same bytes as then."""

from __future__ import annotations

import json
import shutil
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from forecasting.registry import Registry, embedded
from pipelines.processes import free_port, running, wait_for
from pipelines.settings import Settings
from tests.pipelines.command import gatecast

if TYPE_CHECKING:
    from tests.pipelines.conftest import Shop


@pytest.fixture(scope="module")
def store(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store of two versions, trained from different seeds."""
    home = tmp_path_factory.mktemp("rollback")
    assert gatecast(home, "train", shop.project).code == 0
    text = shop.project.read_text(encoding="utf-8").replace("[train]", "[train]\nseed = 7")
    other = shop.project.with_name("other.toml")
    other.write_text(text, encoding="utf-8")
    assert gatecast(home, "train", other).code == 0
    other.unlink()
    return home


@pytest.fixture
def home(store: Path) -> Path:
    """Return that store with version 2 in production, after version 1."""
    registry = Registry(*embedded(store))
    for version in ("1", "2"):
        registry.promote(registry.version("tiny", version), {"reason": "a test"})
    return store


def production(home: Path) -> str:
    return Registry(*embedded(home)).version("tiny", "production").version


def test_the_version_before_is_in_production_again_which_is_recorded(home: Path) -> None:
    said = gatecast(home, "rollback", "tiny", "--reason", "it was slow", "--json")
    assert said.code == 0
    assert (said.json["version"], said.json["by"], said.json["reason"]) == ("1", "operator", "it was slow")
    held = Registry(*embedded(home)).version("tiny", "production")
    assert (held.version, held.tags["production.previous"]) == ("1", "2")
    assert json.loads(held.tags["production.decision"])["reason"] == "it was slow"
    again = gatecast(home, "rollback", "tiny", "--to", "2")
    assert (again.code, production(home)) == (0, "2")
    assert again.out == "tiny version 2 is in production again: rollback from version 1\n"


def test_where_there_is_nothing_to_go_back_to_it_is_said(shop: Shop) -> None:
    lonely = gatecast(shop.home, "rollback", "tiny")
    assert lonely.code == 2
    assert "version 1 of tiny took over from no other; name one with --to VERSION" in lonely.err
    same = gatecast(shop.home, "rollback", "tiny", "--to", "1")
    assert (same.code, "version 1 of tiny is in production; name another one" in same.err) == (2, True)
    unknown = gatecast(shop.home, "rollback", "tiny", "--to", "9")
    assert (unknown.code, "its newest versions: 1" in unknown.err) == (2, True)


def test_a_version_that_cannot_be_opened_is_not_gone_back_to(home: Path) -> None:
    run = Registry(*embedded(home)).version("tiny", "1").run_id
    weights = _artifact(home, run) / "weights.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    said = gatecast(home, "rollback", "tiny")
    weights.write_bytes(whole)
    assert (said.code, production(home)) == (65, "2")


def _artifact(home: Path, run_id: str) -> Path:
    """Return the bundle that a run registered."""
    for model in home.glob("artifacts/tiny/models/*/artifacts"):
        if run_id in (model / "MLmodel").read_text(encoding="utf-8"):
            return model / "artifacts" / "bundle"
    raise LookupError(run_id)


@pytest.fixture
def url(home: Path, tmp_path: Path) -> Iterator[str]:
    """Serve the store by the command."""
    port, log = free_port(), tmp_path / "log"
    environ = {**Settings(home=home).environment(), "GATECAST_POLL_SECONDS": "0.5", "GATECAST_DEVICE": "cpu"}
    with running([sys.executable, "-m", "pipelines", "serve", "--port", str(port)], log, environ) as process:
        wait_for(f"http://127.0.0.1:{port}/readyz", process, log)
        yield f"http://127.0.0.1:{port}"


def ask(url: str, body: dict[str, Any]) -> tuple[str, bytes]:
    """Return the version that answered, and the answer."""
    request = urllib.request.Request(  # noqa: S310 - our own address
        f"{url}/v1/models/tiny/forecast", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own address
        content = answer.read()
    return json.loads(content)["model"]["version"], content


def wait_for_version(url: str, body: dict[str, Any], version: str) -> float:
    """Return how many seconds it took until that version answers; no answer on the way is an error."""
    began = time.monotonic()
    while ask(url, body)[0] != version:
        assert time.monotonic() - began < 60
        time.sleep(0.02)
    return time.monotonic() - began


def test_a_running_service_returns_to_the_version_before_with_the_same_bytes(
    home: Path, shop: Shop, url: str, tmp_path: Path
) -> None:
    rows = pd.read_csv(shop.data)
    body = {"observations": rows[["x", "y"]].to_numpy().tolist(), "last_timestamp": rows["time"].iloc[-1]}
    version, new = ask(url, body)
    assert version == "2"
    assert gatecast(home, "rollback", "tiny").code == 0
    wait_for_version(url, body, "1")
    _, old = ask(url, body)
    assert old != new
    assert gatecast(home, "promote", "tiny", "2", "--force", "--reason", "a test").code == 0
    wait_for_version(url, body, "2")
    assert ask(url, body) == ("2", new)
    assert gatecast(home, "rollback", "tiny").code == 0
    assert wait_for_version(url, body, "1") < 10  # half a second of polling, and a machine that has more to do
    assert ask(url, body) == ("1", old)
    shutil.copytree(home / "served", tmp_path / "seen")  # what a start without the registry would begin with
    assert len(list((tmp_path / "seen").glob("*-*/manifest.json"))) == 2

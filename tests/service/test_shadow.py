"""A candidate in the shadow of production: compared, counted, never sent, and never in the way."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from forecasting.bundle import Bundle, save_bundle
from forecasting.errors import NoSuchModel
from service.app import create_app
from service.models import PRODUCTION, ServedRef
from service.settings import Settings

FORECAST = "/v1/models/tiny/forecast"


class TwoVersions:
    """Version 1 in production and version 2 as its candidate."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def production(self) -> list[ServedRef]:
        return [self.version("tiny", PRODUCTION)]

    def version(self, name: str, ref: str) -> ServedRef:
        versions = {PRODUCTION: "1", "candidate": "2"}
        if ref not in versions:
            raise NoSuchModel(ref)
        return ServedRef(name, versions[ref], ref, f"r{versions[ref]}")

    def fetch(self, ref: ServedRef, folder: Path) -> Path:
        assert folder.is_dir()
        return self.folder / ref.version


@pytest.fixture
def versions(tmp_path: Path, make_bundle: Callable[..., Bundle]) -> TwoVersions:
    """Write two versions; the point of the second lies half a standard deviation above that of the first."""
    first, second = make_bundle(), make_bundle()
    second.forecaster.linear.bias += 0.5 / second.forecaster.share[0].flatten()
    save_bundle(first, tmp_path / "1")
    save_bundle(second, tmp_path / "2")
    return TwoVersions(tmp_path)


def start(source: TwoVersions, shadow: str | None) -> TestClient:
    return TestClient(
        create_app(Settings(device="cpu", log_url="memory", shadow=shadow), source), raise_server_exceptions=False
    )


def metrics_with(client: TestClient, line: str) -> str:
    """Return the metrics once they have a line; the shadow works behind the answers."""
    for _ in range(500):
        found = client.get("/metrics").text
        if line in found:
            return found
        time.sleep(0.02)
    raise AssertionError(found)


def test_a_shadow_is_compared_and_never_answers(versions: TwoVersions, good: dict[str, Any]) -> None:
    with start(versions, None) as client:
        alone = client.post(FORECAST, json=good).json()
    with start(versions, "candidate") as client:
        assert client.post(FORECAST, json=good).json() == alone
        compared = 'gatecast_shadow_windows_total{model="tiny",outcome="compared",version="2"} 1.0'
        found = metrics_with(client, compared)
    distance = re.search(r'gatecast_shadow_difference_sum\{model="tiny",version="2"\} (\S+)', found)
    assert distance is not None
    assert float(distance[1]) == pytest.approx(0.5, abs=1e-4)


def test_a_shadow_answers_who_asks_for_it_by_name(versions: TwoVersions, good: dict[str, Any]) -> None:
    with start(versions, "candidate") as client:
        for ref, version in (("candidate", "2"), ("2", "2"), ("production", "1")):
            assert client.post(f"{FORECAST}?ref={ref}", json=good).json()["model"]["version"] == version
        assert client.post(f"{FORECAST}?ref=other", json=good).status_code == 404


def test_a_shadow_that_fails_is_counted_and_spoils_nothing(
    versions: TwoVersions, good: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        name = "broken"

        def forecast_last(self, inputs: Any) -> Any:
            raise ZeroDivisionError(len(inputs))

    with start(versions, "candidate") as client:
        client.app.app.state.models.shadow("tiny").__dict__["engine"] = Broken()  # type: ignore[attr-defined]
        assert client.post(FORECAST, json=good).status_code == 200
        metrics_with(client, 'gatecast_shadow_windows_total{model="tiny",outcome="failed",version="2"} 1.0')
    assert "the shadow of tiny, version 2, failed" in caplog.text


def test_a_shadow_that_cannot_keep_up_misses_windows_and_delays_nobody(
    versions: TwoVersions, good: dict[str, Any]
) -> None:
    with start(versions, "candidate") as client:
        shadow = client.app.app.state.forecasts.shadow  # type: ignore[attr-defined]
        shadow.waiting = 10**9
        assert client.post(FORECAST, json=good).status_code == 200
        metrics_with(client, 'gatecast_shadow_windows_total{model="tiny",outcome="missed",version="2"} 1.0')

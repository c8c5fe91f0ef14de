"""What Prometheus sees of a service that was asked, changed its model, and refused one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from forecasting.bundle import Bundle
from service.app import create_app
from service.settings import Settings
from tests.service.shelf import Shelf
from tests.service.wrong_requests import FORECAST, GOOD, JSON

DOCUMENTED = Path(__file__).parents[2] / "docs" / "service.md"


@pytest.fixture(scope="module")
def counted(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the metrics of a service after a good request, a wrong one, a swap and a refusal."""
    shelf = Shelf(tmp_path_factory.mktemp("shelf"))
    shelf.put(tiny_bundle)
    with TestClient(create_app(Settings(device="cpu", log_url="memory", poll_seconds=60.0), shelf)) as client:
        assert client.post(FORECAST, content=GOOD, headers=dict(JSON)).status_code == 200
        assert client.post(FORECAST, content=b"{", headers=dict(JSON)).status_code == 400
        shelf.put(tiny_bundle)
        assert client.post("/v1/admin/reload").status_code == 200
        (shelf.put(tiny_bundle) / "weights.safetensors").write_bytes(b"no weights")
        assert client.post("/v1/admin/reload").status_code == 200
        yield client.get("/metrics").text


def values(text: str, name: str) -> dict[str, float]:
    """Return the values of a metric by the text of its labels."""
    found = re.findall(rf"^{name}(\{{.*\}})? (\S+)$", text, re.MULTILINE)
    return {labels: float(value) for labels, value in found}


def test_prometheus_can_read_them(counted: str) -> None:
    assert len(list(text_string_to_metric_families(counted))) > 10


def test_requests_are_counted_and_timed(counted: str) -> None:
    route = 'route="/v1/models/{name}/forecast"'
    asked = values(counted, "gatecast_requests_total")
    assert asked[f'{{method="POST",{route},status="200"}}'] == 1
    assert asked[f'{{method="POST",{route},status="400"}}'] == 1
    assert values(counted, "gatecast_request_seconds_count")[f"{{{route}}}"] == 2
    assert values(counted, "gatecast_request_seconds_bucket")[f'{{le="10.0",{route}}}'] == 2


def test_the_queue_and_its_batches_are_seen(counted: str) -> None:
    assert values(counted, "gatecast_waiting_windows") == {"": 0}
    assert values(counted, "gatecast_batch_windows_count") == {"": 1}
    assert values(counted, "gatecast_batch_windows_sum") == {"": 1}


def test_the_version_that_is_served_is_told_with_its_run_and_its_device(counted: str) -> None:
    assert values(counted, "gatecast_model_info") == {'{alias="production",model="tiny",run_id="run-2",version="2"}': 1}
    assert values(counted, "gatecast_model_device") == {'{device="cpu",model="tiny",version="2"}': 1}


def test_swaps_and_refusals_are_counted(counted: str) -> None:
    assert values(counted, "gatecast_model_swaps_total") == {'{model="tiny"}': 1}
    assert values(counted, "gatecast_models_refused") == {"": 1}
    assert sum(values(counted, "gatecast_model_reload_failures_total").values()) == 1
    assert values(counted, "gatecast_model_load_seconds_count") == {"": 2}
    assert values(counted, "gatecast_registry_up") == {"": 1}


def test_each_of_ours_is_documented_and_each_that_is_documented_is_there(counted: str) -> None:
    declared = set(re.findall(r"^# TYPE (gatecast_\w+)", counted, re.MULTILINE))
    ours = {name for name in declared if not name.endswith("_created")}
    assert set(re.findall(r"`(gatecast_\w+)`", DOCUMENTED.read_text())) == ours

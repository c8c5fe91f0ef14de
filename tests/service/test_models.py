import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.testclient import TestClient

from forecasting.bundle import Bundle
from forecasting.errors import RegistryUnavailable, SettingsError
from forecasting.memory import measure_memory
from forecasting.remembering import Memory
from service.app import create_app
from service.gate import choose_device
from service.models import ServedRef
from service.settings import Settings
from tests.bundles import make_rich_bundle
from tests.forecasting.panels import HOURLY, plain, walk


def test_a_model_that_is_broken_does_not_stop_the_others(
    serve: Callable[..., TestClient], tiny_bundle: Bundle, tmp_path: Path, good: dict[str, Any]
) -> None:
    client = serve(whole=tiny_bundle, broken=tiny_bundle)
    weights = tmp_path / "broken" / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with client:
        assert client.post("/v1/models/whole/forecast", json=good).status_code == 200
        refused = client.post("/v1/models/broken/forecast", json=good)
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "5"
        assert client.get("/readyz").json()["refused"] == {
            "broken": "The model bundle is not the one that was registered"
        }


def test_a_model_that_answers_nothing_finite_is_not_served(
    serve: Callable[..., TestClient], make_bundle: Callable[..., Bundle]
) -> None:
    bundle = make_bundle()
    bundle.forecaster.spread.fill_(3e38)
    with serve(sick=bundle) as client:
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "sick: The model's answer is not finite" in answer.json()["detail"]


def test_a_model_with_covariates_is_opened_and_served(serve: Callable[..., TestClient], rich: dict[str, Any]) -> None:
    with serve(rich=make_rich_bundle()) as client:
        assert client.get("/readyz").json()["refused"] == {}
        assert client.post("/v1/models/rich/forecast", json=rich).status_code == 200


def test_what_a_model_remembers_is_told(serve: Callable[..., TestClient], tiny_bundle: Bundle) -> None:
    rows = [plain(walk(120), 60, 110, HOURLY)]
    memory = measure_memory(tiny_bundle.forecaster, rows, 20)
    with serve(known=dataclasses.replace(tiny_bundle, memory=memory), unknown=tiny_bundle) as client:
        said = client.get("/v1/models/known/memory")
        assert said.status_code == 200
        assert said.json()["model"]["version"] == "1"
        assert msgspec.convert(said.json()["memory"], Memory) == memory
        assert client.get("/v1/models/unknown/memory").json()["memory"] is None
        assert client.get("/v1/models/none/memory").status_code == 404


def test_nothing_registered_is_not_ready_and_says_so(serve: Callable[..., TestClient], good: dict[str, Any]) -> None:
    with serve() as client:
        for answer in (client.get("/readyz"), client.post("/v1/models/tiny/forecast", json=good)):
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "5"
            assert answer.json()["detail"] == "no registered model has the alias production"
        assert client.get("/livez").status_code == 200


def test_only_the_models_of_the_setting_are_served(serve: Callable[..., TestClient], tiny_bundle: Bundle) -> None:
    settings = Settings(device="cpu", log_url="memory", models=("one", "two@1", "three@9", "four"))
    with serve(settings, one=tiny_bundle, two=tiny_bundle, three=tiny_bundle, other=tiny_bundle) as client:
        ready = client.get("/readyz").json()
    assert [model["name"] for model in ready["models"]] == ["one", "two"]
    assert list(ready["refused"]) == ["three@9", "four"]


class DeadRegistry:
    """A registry that does not answer, and would tell a password if it were asked."""

    def production(self) -> list[ServedRef]:
        message = "postgresql://user:secret@host does not answer"
        raise RegistryUnavailable(message)

    def version(self, name: str, ref: str) -> ServedRef:
        raise NotImplementedError

    def fetch(self, ref: ServedRef, folder: Path) -> Path:
        raise NotImplementedError


class BrokenRegistry(DeadRegistry):
    """A registry client with a fault."""

    def production(self) -> list[ServedRef]:
        message = "secret"
        raise ZeroDivisionError(message)


@pytest.mark.parametrize(
    ("source", "said"),
    [(DeadRegistry(), "registry: The model registry does not answer"), (BrokenRegistry(), "the log of the service")],
)
def test_without_a_registry_the_service_starts_and_is_not_ready(source: DeadRegistry, said: str) -> None:
    with TestClient(create_app(Settings(device="cpu", log_url="memory"), source)) as client:
        assert client.get("/livez").status_code == 200
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert said in answer.json()["detail"]
    assert "secret" not in answer.text


def test_auto_finds_a_device_that_is_there() -> None:
    assert choose_device("auto") in {"cpu", "cuda"}
    assert choose_device("cpu") == "cpu"


def test_a_device_that_is_not_there_stops_the_start() -> None:
    with pytest.raises(SettingsError, match="GATECAST_DEVICE is cuda:99; this machine has"):
        choose_device("cuda:99")

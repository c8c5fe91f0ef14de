"""Training where the model in production cannot be opened: by this version, or by any."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.forecasting.spoiling import respecified
from tests.pipelines.command import gatecast, waves, write_project, write_rows

if TYPE_CHECKING:
    from tests.pipelines.conftest import Shop

ADVICE = "; promote by hand if that is meant"


@pytest.fixture(scope="module")
def elder(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Train a model of two waves into the same store, as shortly as can be; it is promoted."""
    folder = tmp_path_factory.mktemp("elder")
    write_rows(folder / "data.csv", waves())
    project = write_project(folder, "elder", train={"members": 1, "epochs": 1, "steps_per_epoch": 1})
    trained = gatecast(shop.home, "train", project, "--json")
    assert trained.json["promoted"] is True
    return replace(shop, project=project, trained=trained)


def bundle_of(elder: Shop) -> Path:
    """Return where the bundle of the first version lies in the store."""
    run_id = elder.trained.json["run_id"]
    places = [path.parent for path in elder.home.glob("artifacts/elder/models/*/artifacts/MLmodel")]
    (found,) = (place for place in places if f"run_id: {run_id}" in (place / "MLmodel").read_text())
    return found / "artifacts" / "bundle"


def reason_after_training(elder: Shop) -> str:
    """Train again, to the end, and return why the new version is not promoted."""
    said = gatecast(elder.home, "train", elder.project, "--json")
    assert said.code == 0
    assert said.json["scores"] == elder.trained.json["scores"]
    assert said.json["promoted"] is False
    assert elder.registry.version("elder", said.json["version"]).aliases == ()
    assert elder.registry.version("elder", "production").version == "1"
    return str(said.json["reason"])


def test_a_champion_that_cannot_be_opened_does_not_cost_what_was_trained(elder: Shop) -> None:
    assert reason_after_training(elder).startswith("it does not beat version 1: ")
    bundle = bundle_of(elder)
    respecified(bundle, {"format": 1})
    written = "the bundle has format 1; this version reads format 2: train it again or upgrade"
    assert reason_after_training(elder) == f"version 1 in production cannot be opened ({written}){ADVICE}"
    (bundle / "weights.safetensors").write_bytes(b"")
    reason = reason_after_training(elder)
    assert reason.startswith("version 1 in production cannot be opened (weights.safetensors in ")
    assert reason.endswith(f" is not the file that was registered (its sha256 differs from the manifest's)){ADVICE}")
    by_hand = gatecast(elder.home, "promote", "elder", "2", "--force", "--reason", "version 1 is damaged", "--json")
    assert (by_hand.code, by_hand.json["promote"]) == (0, True)
    assert elder.registry.version("elder", "production").version == "2"

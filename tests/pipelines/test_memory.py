"""The memory report of a registered model: what it says of series whose memory is known, and where it is found."""

from __future__ import annotations

import dataclasses
import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import pandas as pd
import pytest

from forecasting.bundle import save_bundle
from forecasting.cells import SYSTEMS
from forecasting.errors import NotStreamable
from forecasting.registry import Registry
from pipelines.versions import open_version
from service.gate import means, open_model
from service.models import PRODUCTION, ServedRef
from service.streams.upkeep import push_once
from tests.pipelines.command import gatecast, waves, write_project, write_rows

if TYPE_CHECKING:
    from tests.pipelines.conftest import Shop

ROWS = 4000


def echo(lag: int) -> np.ndarray:
    """Return a series whose next value depends on the row `lag` steps back and on nothing else."""
    noise = np.random.default_rng(0).normal(size=ROWS)
    values = noise.copy()
    for row in range(lag, ROWS):
        values[row] = 0.95 * values[row - lag] + 0.3 * noise[row]
    return values


def wander() -> np.ndarray:
    """Return a random walk."""
    return np.random.default_rng(0).normal(size=ROWS).cumsum()


def reported(folder: Path, values: np.ndarray, **model: Any) -> Any:
    """Train on a series of one column, and return what `gatecast memory` says of the model."""
    times = pd.date_range("2024-01-01", periods=len(values), freq="h").strftime("%Y-%m-%dT%H:%M:%SZ")
    pd.DataFrame({"time": times, "x": values}).to_csv(folder / "data.csv", index=False)
    keys = "\n".join(f"{key} = {json.dumps(value)}" for key, value in {"horizon": 1, **model}.items())
    (folder / "gatecast.toml").write_text(
        f'name = "one"\n[data]\nsource = "data.csv"\ntime = "time"\ntargets = ["x"]\n[model]\n{keys}\n'
        '[train]\nmembers = 2\nepochs = 4\ndevice = "cpu"\n'
    )
    assert gatecast(folder / "home", "train", folder / "gatecast.toml").code == 0
    return gatecast(folder / "home", "memory", "one@1", "--json").json


@pytest.mark.parametrize("lag", [5, *(pytest.param(lag, marks=pytest.mark.slow) for lag in (20, 60))])
def test_the_reach_finds_the_one_row_that_matters(tmp_path: Path, lag: int) -> None:
    found = reported(tmp_path, echo(lag))
    assert found["memory"]["forecast"]["most"] == pytest.approx(lag, rel=0.1)
    assert f"looks back about {found['memory']['forecast']['most']} hours" in found["sentence"]


def test_of_a_random_walk_it_says_that_no_memory_is_needed(tmp_path: Path) -> None:
    assert reported(tmp_path, wander())["sentence"].startswith("no memory is needed: ")


@pytest.mark.slow
def test_of_a_random_walk_it_says_so_even_if_the_road_is_not_asked(tmp_path: Path) -> None:
    assert reported(tmp_path, wander(), linear="none")["sentence"].startswith("no memory is needed: ")


def test_the_command_shows_it_to_people(shop: Shop) -> None:
    said = gatecast(shop.home, "memory", "tiny")
    assert said.code == 0
    assert "tiny version 1: this model looks back " in " ".join(said.out.split())
    assert all(word in said.out for word in ("linear road", "network", "keep", "write", "read", "streaming: "))


def test_the_command_says_as_json_what_the_bundle_holds(shop: Shop) -> None:
    said = gatecast(shop.home, "memory", "tiny@production", "--json").json
    bundle = open_version(shop.registry, shop.registry.version("tiny", "1"))
    assert bundle.memory is not None
    assert said["memory"]["forecast"]["most"] == bundle.memory.forecast.most
    assert len(said["memory"]["forecast"]["curve"]) == bundle.memory.history
    assert said["sentence"] == bundle.card.memory  # type: ignore[union-attr]
    assert said["streaming"]["alone"] > 0


def test_pictures_figures_and_the_sentence_are_in_the_run(shop: Shop) -> None:
    client = mlflow.MlflowClient(shop.registry.uri, shop.registry.uri)
    run = client.get_run(shop.trained.json["run_id"])
    folder = Path(run.info.artifact_uri.removeprefix("file://"))
    assert (folder / "pictures" / "memory-reach.png").stat().st_size > 5_000
    assert (folder / "pictures" / "memory-gates.png").stat().st_size > 5_000
    assert (folder / "memory.json").exists()
    found = {name for name in run.data.metrics if name.startswith("memory.")}
    roads = {f"memory.reach_rows.{road}" for road in ("forecast", "linear", "recurrent")}
    assert found == roads | {"memory.keep_rows.layer_0"}
    assert "memory: this model looks back" in client.get_model_version("tiny", "1").description


@pytest.mark.parametrize(
    ("asked", "said"),
    [("tinny", "did you mean 'tiny'?"), ("tiny@9", "no version"), ("tiny@none", "none")],
)
def test_what_is_not_there_is_told(shop: Shop, asked: str, said: str) -> None:
    found = gatecast(shop.home, "memory", asked)
    assert found.code != 0
    assert said in found.err


def test_a_version_without_a_report_says_so(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = open_version(shop.registry, shop.registry.version("tiny", "1"))
    save_bundle(dataclasses.replace(bundle, memory=None), tmp_path / "old")
    monkeypatch.setattr(Registry, "fetch", lambda *_: tmp_path / "old")
    found = gatecast(shop.home, "memory", "tiny")
    assert "tiny version 1 has no memory report" in found.err
    assert "train it again" in found.err


CELLS = [pytest.param(name, marks=[] if name == "alternative2" else pytest.mark.slow) for name in SYSTEMS]


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_is_trained_registered_served_and_but_for_two_streamed(tmp_path: Path, cell: str) -> None:
    write_rows(tmp_path / "data.csv", waves())
    path = write_project(tmp_path, train={"keep_bias": "chrono(24)"} if SYSTEMS[cell].keeps else None)
    path.write_text(path.read_text().replace("[model]", f'[model]\ncell = "{cell}"'))
    assert gatecast(tmp_path / "home", "train", path, "--json").code == 0
    forecast = gatecast(tmp_path / "home", "forecast", tmp_path / "data.csv", "--project", path, "--json")
    assert forecast.code == 0, forecast.err
    served = open_model(bundle_folder(tmp_path), ServedRef("tiny", "1", PRODUCTION, "r1"), "cpu")
    with nullcontext() if SYSTEMS[cell].bounded else pytest.raises(NotStreamable, match=f"{cell}, has no bounds"):
        push_once(served.streamed, means(served.bundle))


def bundle_folder(folder: Path) -> Path:
    registry = Registry(f"sqlite:///{folder / 'home' / 'mlflow.db'}")
    target = folder / "bundle"
    target.mkdir()
    return registry.fetch(registry.version("tiny", "1"), target)

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.entities import Run

from forecasting.bundle import Bundle
from pipelines.versions import open_version
from tests.pipelines.command import QUICK, gatecast

if TYPE_CHECKING:
    from tests.pipelines.conftest import Shop

SCORES = {
    "mse_z", "mae_z", "mae", "rmse", "mase", "rmsse", "mql", "coverage", "width", "by_step", "by_column",
}  # fmt: skip


WAYS = ("independent", "joint")
NUMBERS = ("train_loss", "valid_mse_z", "valid_mae_z", "valid_scale", "objective")


@pytest.fixture(scope="module")
def client(shop: Shop) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(shop.registry.uri, shop.registry.uri)


@pytest.fixture(scope="module")
def run(shop: Shop, client: mlflow.MlflowClient) -> Run:
    return client.get_run(shop.trained.json["run_id"])


@pytest.fixture(scope="module")
def files(run: Run) -> Path:
    return Path(run.info.artifact_uri.removeprefix("file://"))


@pytest.fixture(scope="module")
def bundle(shop: Shop) -> Bundle:
    return open_version(shop.registry, shop.registry.version("tiny", "1"))


def test_training_says_on_standard_output_what_the_contract_says_and_nothing_else(shop: Shop) -> None:
    said = shop.trained.json
    assert shop.trained.code == 0
    assert set(said) == {"model", "version", "run_id", "promoted", "reason", "scores", "reasons"}
    assert set(said["scores"]) == {"model", "baselines"}
    assert set(said["scores"]["baselines"]) == {"persistence", "seasonal_naive", "linear", "var"}
    assert set(said["scores"]["model"]) >= SCORES
    assert [one["step"] for one in said["scores"]["model"]["by_step"]] == [1, 2]
    assert set(said["scores"]["model"]["by_column"]) == {"x", "y"}


def test_training_says_to_people_what_they_want_to_know(shop: Shop) -> None:
    said = shop.trained.err
    assert "600 rows" in said
    assert "persistence" in said
    assert "tiny version 1 promoted to production: it beats persistence" in said
    assert max(map(len, said.splitlines()[:-1])) <= 80


def test_the_first_model_that_beats_the_naive_forecasts_is_promoted(shop: Shop) -> None:
    scores = shop.trained.json["scores"]
    production = shop.registry.version("tiny", "production")
    naive = [scores["baselines"][name]["mse_z"] for name in ("persistence", "seasonal_naive")]
    assert scores["model"]["mse_z"] < min(naive)
    assert (production.version, production.run_id) == ("1", shop.trained.json["run_id"])
    assert json.loads(production.tags["production.decision"])["by"] == "gate"


def test_a_run_has_ended_with_its_parameters_and_curves(run: Run, client: mlflow.MlflowClient) -> None:
    assert run.info.status == "FINISHED"
    assert (run.data.params["model.hidden"], run.data.params["train.seed"]) == ("8", "0")
    curves = {
        name for name in run.data.metrics if "." in name and not name.startswith(("test.", "seconds.", "memory."))
    }
    assert curves == {f"{way}.{number}" for way in WAYS for number in NUMBERS}
    for name in curves:
        epochs = [one.step for one in client.get_metric_history(run.info.run_id, name)]
        first = 1 if name.endswith("train_loss") else 0  # the linear road alone has none
        assert epochs == list(range(first, QUICK["epochs"] + 1))


def test_a_run_names_the_scores_of_model_and_baselines(run: Run, shop: Shop) -> None:
    scores = shop.trained.json["scores"]
    assert run.data.metrics["test.model.mse_z"] == scores["model"]["mse_z"]
    assert run.data.metrics["test.var.mae_z"] == scores["baselines"]["var"]["mae_z"]


def test_a_run_names_its_data_by_digest(run: Run, files: Path) -> None:
    (used,) = run.inputs.dataset_inputs
    report = json.loads((files / "data-report.json").read_text())
    assert used.dataset.name == "data.csv"
    assert used.dataset.digest
    assert json.loads(used.dataset.profile)["sha256"] == report["digest"]
    assert report["rows"] == 600


def test_a_run_names_the_commit_of_its_project(run: Run, shop: Shop) -> None:
    head = ["git", "rev-parse", "HEAD"]
    commit = subprocess.run(head, cwd=shop.project.parent, check=True, capture_output=True, text=True).stdout.strip()
    assert run.data.tags["mlflow.source.git.commit"] == commit


def test_a_run_begins_with_its_decision_and_scores(run: Run, shop: Shop) -> None:
    said = run.data.tags["mlflow.note.content"]
    assert said.startswith("Promoted: it beats persistence")
    assert f"| **model** | {shop.trained.json['scores']['model']['mse_z']:.4f} |" in said


def test_a_run_has_measured_its_machine(run: Run) -> None:
    assert any(name.startswith("system/") for name in run.data.metrics)


def test_a_run_keeps_scorecard_decision_and_pictures(files: Path, shop: Shop) -> None:
    card = json.loads((files / "scorecard.json").read_text())
    assert card["model"] == shop.trained.json["scores"]["model"]
    decision = json.loads((files / "decision.json").read_text())
    assert (decision["promote"], decision["by"], decision["champion"]) == (True, "gate", None)
    pictures = {path.name for path in (files / "pictures").iterdir()}
    told = {"forecast-all.png", "residuals.png", "errors.png", "calibration.png", "training.png"}
    assert pictures == told | {"memory-reach.png", "memory-gates.png"}


def test_a_run_keeps_what_was_chosen_on_validation_rows_and_from_what(files: Path, run: Run) -> None:
    roads = json.loads((files / "linear-road.json").read_text())
    assert all(set(road) == {"candidate", "strength", "mse_z", "averaged"} for road in roads)
    assert min(roads, key=lambda road: road["mse_z"])["averaged"]
    assert all(set(road["candidate"]) == {"lags", "others", "levels"} for road in roads)
    channels = json.loads((files / "channels.json").read_text())
    tried = {one["channels"]: one for one in channels["tried"]}
    assert set(tried) == set(WAYS)
    assert channels["chosen"] == min(WAYS, key=lambda way: tried[way]["objective"])
    for way in WAYS:
        assert set(tried[way]) == {"channels", "epoch", *NUMBERS}
        assert run.data.metrics[f"{way}.objective"] >= tried[way]["objective"]
    assert tried[channels["chosen"]]["objective"] <= 1.0  # that of the linear road alone


def test_a_run_keeps_how_far_each_correction_is_trusted(files: Path, bundle: Bundle) -> None:
    found = json.loads((files / "trust.json").read_text())
    trust = np.array(found["point, median, scale"])
    assert found["targets"] == ["x", "y"]
    assert trust.shape == (3, 2, 2)
    assert ((trust >= 0) & (trust <= 1)).all()
    assert bundle.card is not None
    assert bundle.card.trusted == pytest.approx(trust.mean(), abs=1e-6)


def test_a_version_knows_whether_it_may_be_carried_and_says_so_everywhere(
    bundle: Bundle, files: Path, run: Run, shop: Shop
) -> None:
    found = bundle.streaming
    assert found is not None
    assert found.origins > 0
    assert found.settling is not None
    assert (run.data.metrics["streaming_ratio"], run.data.metrics["settling_rows"]) == (found.ratio, found.settling)
    assert json.loads((files / "streaming.json").read_text())["settling"] == found.settling
    said = f"settles after {found.settling} rows, ratio {found.ratio:.3f}, safe"
    assert bundle.card is not None
    assert bundle.card.streaming == said
    assert f"streaming: {said}" in shop.trained.err
    assert f"streaming: {said}" in run.data.tags["mlflow.note.content"]


def test_a_version_has_a_card_for_people(bundle: Bundle, files: Path, shop: Shop) -> None:
    card, scores = bundle.card, shop.trained.json["scores"]
    assert card is not None
    assert (card.data.source, card.data.rows, card.data.freq) == ("data.csv", 600, "h")
    assert [(one.name, one.role, one.unit) for one in card.columns] == [("x", "target", "degC"), ("y", "target", None)]
    chosen = json.loads((files / "channels.json").read_text())["chosen"]
    sees = {"joint": "sees all targets together", "independent": "is shared by the targets and sees each alone"}
    assert card.forecaster.startswith(f"2 x lstm of 1 x 8 that {sees[chosen]}, beside a linear road of ")
    best = min(json.loads((files / "linear-road.json").read_text()), key=lambda road: road["mse_z"])
    assert f"{best['candidate']['lags']} lags of the target" in card.linear
    assert card.linear.endswith(f"levels: {best['candidate']['levels']}; ridge {best['strength']:g}")
    assert card.levels == (80, 90, 95)
    told = {one.score: one for one in card.scores}
    assert told["mse_z"].model == scores["model"]["mse_z"]
    assert told["mse_z"].baselines["var"] == scores["baselines"]["var"]["mse_z"]
    assert "trained on rows every h; forecasts of rows with another step mean nothing" in card.limits


def test_the_card_of_random_walks_says_that_the_last_value_stays(refused: Shop) -> None:
    walk = open_version(refused.registry, refused.registry.version("walk", "1"))
    assert walk.card is not None
    assert walk.card.linear == "none: the last value stays"
    assert not any(weight.any() for weight in walk.forecaster.linear.buffers())


def test_the_same_data_and_seed_make_the_same_model_and_the_champion_is_kept(shop: Shop) -> None:
    again = gatecast(shop.home, "train", shop.project, "--json")
    assert again.code == 0
    assert again.json["scores"] == shop.trained.json["scores"]
    assert again.json["promoted"] is False
    assert again.json["reason"].startswith("it does not beat version 1: mse_z ")
    assert shop.registry.version("tiny", "production").version == "1"


def test_a_backtest_of_production_gives_the_scores_of_its_training(shop: Shop) -> None:
    said = gatecast(shop.home, "backtest", shop.project, "--json")
    assert said.code == 0
    assert _numbers(said.json["model"]) == pytest.approx(_numbers(shop.trained.json["scores"]["model"]), rel=1e-6)


def test_mlflow_loads_the_model_in_a_process_of_its_own(shop: Shop, tmp_path: Path) -> None:
    """As a data scientist would, who knows mlflow only; and it forecasts what `gatecast forecast` does."""
    code = (
        "import sys, mlflow, pandas as pd\n"
        "mlflow.set_tracking_uri(sys.argv[1])\n"
        "rows = pd.read_csv(sys.argv[2]).rename(columns={'time': 'timestamp'})\n"
        "mlflow.pyfunc.load_model('models:/tiny@production').predict(rows).to_json(sys.argv[3], orient='records')\n"
    )
    answer = tmp_path / "answer.json"
    subprocess.run([sys.executable, "-c", code, shop.registry.uri, shop.data, answer], check=True, capture_output=True)
    there = pd.DataFrame(json.loads(answer.read_text()))
    here = pd.DataFrame(gatecast(shop.home, "forecast", shop.data, "-p", shop.project, "--json").json)
    columns = ["step", "x", "y", "x-median", "y-median", "x-lo-90", "x-hi-90", "y-lo-90", "y-hi-90"]
    assert set(there.columns) == {"timestamp", *columns}
    assert there[columns].to_numpy() == pytest.approx(here[columns].to_numpy(), rel=1e-5)


def test_versions_are_listed_with_alias_and_decision(shop: Shop, refused: Shop) -> None:
    assert refused.trained.code == 0
    listed = gatecast(shop.home, "models", "--json").json
    assert set(listed) >= {"tiny", "walk"}
    versions = gatecast(shop.home, "models", "tiny", "--json").json
    assert [one["aliases"] for one in versions if one["version"] == "1"] == [["production"]]
    table = gatecast(shop.home, "models", "tiny").out
    assert "gate: it beats" in table


def _numbers(scores: dict[str, Any]) -> dict[str, float]:
    return {key: value for key, value in scores.items() if isinstance(value, float)}

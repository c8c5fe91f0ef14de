from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import pandas as pd
import pytest
from mlflow.entities import Run

from tests.pipelines.command import gatecast

if TYPE_CHECKING:
    from tests.pipelines.conftest import Shop

SCORES = {
    "mse_z", "mae_z", "mae", "rmse", "mase", "rmsse", "mql", "coverage", "width", "by_step", "by_column",
}  # fmt: skip


@pytest.fixture(scope="module")
def client(shop: Shop) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(shop.registry.uri, shop.registry.uri)


@pytest.fixture(scope="module")
def run(shop: Shop, client: mlflow.MlflowClient) -> Run:
    return client.get_run(shop.trained.json["run_id"])


@pytest.fixture(scope="module")
def files(run: Run) -> Path:
    return Path(run.info.artifact_uri.removeprefix("file://"))


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
    epochs = [one.step for one in client.get_metric_history(run.info.run_id, "valid_mse_z")]
    assert epochs == list(range(len(epochs)))
    assert len(epochs) >= 2


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
    trust = json.loads((files / "trust.json").read_text())["point, median"]
    assert all(0 <= one <= 1 for kind in trust for step in kind for one in step)
    pictures = {path.name for path in (files / "pictures").iterdir()}
    assert pictures == {"forecast-all.png", "residuals.png", "errors.png", "training.png"}


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
    columns = ["step", "x", "y", "x-median", "y-median"]
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

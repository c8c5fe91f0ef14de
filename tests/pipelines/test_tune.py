"""The search: as a command on real data, and over trials that go as a test wants."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import mlflow
import pytest
from mlflow.entities import Run
from rich.console import Console

import pipelines.tune
from forecasting.assembly import Prepared, prepare
from forecasting.errors import Diverged, TrainingError
from forecasting.project import Project, load_project
from forecasting.reading import read_panel
from forecasting.registry import Registry
from pipelines.space import Settings, own_settings, with_settings
from pipelines.study import GIVEN_UP
from pipelines.trials import Tuned
from pipelines.tune import Budget, Place, SearchInterrupted, tune
from tests.pipelines.command import QUICK, Said, gatecast, waves, write_project, write_rows
from tests.pipelines.conftest import Shop

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def client(shop: Shop) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(shop.registry.uri, shop.registry.uri)


def children(client: mlflow.MlflowClient, parent: str) -> list[Run]:
    """List the trials of a search, in the order they were begun."""
    experiment = client.get_run(parent).info.experiment_id
    found = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{parent}'")
    return sorted(found, key=lambda run: int(run.info.run_name.removeprefix("trial ")))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuned")
    write_rows(folder / "data.csv", waves())
    return write_project(folder, "tuned")


@pytest.fixture(scope="module")
def said(shop: Shop, project: Path) -> Said:
    return gatecast(shop.home, "train", project, "--tune", 3, "--json")


class TestCommand:
    def test_says_what_training_says_and_what_it_found(self, said: Said, shop: Shop) -> None:
        assert said.code == 0, said.err
        assert set(said.json) == {*shop.trained.json, "tuning"}
        found = said.json["tuning"]
        assert set(found) == {"run_id", "trials", "best", "first"}
        assert found["trials"] == 3
        assert found["best"]["objective"] <= found["first"]["objective"]
        assert found["first"]["params"]["model.hidden"] == 8

    def test_trains_with_what_it_found_and_all_members(
        self, said: Said, shop: Shop, client: mlflow.MlflowClient
    ) -> None:
        run = client.get_run(shop.registry.version("tuned", "1").run_id)
        best = said.json["tuning"]["best"]["params"]
        assert {key: run.data.params[key] for key in best} == {key: str(value) for key, value in best.items()}
        assert run.data.params["train.members"] == str(QUICK["members"])

    def test_records_each_trial_below_the_search(self, said: Said, client: mlflow.MlflowClient) -> None:
        found = said.json["tuning"]
        parent, trials = client.get_run(found["run_id"]), children(client, found["run_id"])
        assert [one.info.status for one in (parent, *trials)] == ["FINISHED"] * 4
        assert parent.data.params["model.horizon"] == "2"
        assert parent.data.metrics["objective"] == found["best"]["objective"]
        assert "```toml\n[model]\ncell = " in parent.data.tags["mlflow.note.content"]
        for one in trials:
            assert set(one.data.params) == set(found["best"]["params"])
            assert set(one.data.metrics) == {"objective", "valid_mse_z", "valid_mae_z", "epochs"}
        assert found["best"]["objective"] == min(one.data.metrics["objective"] for one in trials)

    def test_looks_at_test_rows_for_the_chosen_settings_only(self, said: Said, client: mlflow.MlflowClient) -> None:
        for run in (client.get_run(said.json["tuning"]["run_id"]), *children(client, said.json["tuning"]["run_id"])):
            assert not [name for name in run.data.metrics if name.startswith("test.")]

    def test_tells_people_a_line_for_each_trial_and_tables_to_paste(self, said: Said) -> None:
        lines = said.err.splitlines()
        assert [line.split(":")[0] for line in lines if line.startswith("trial ")] == ["trial 0", "trial 1", "trial 2"]
        assert "[train]" in lines
        assert not [line for line in lines if "optuna" in line or line.startswith("[I ")]

    def test_has_nothing_left_to_do_for_the_same_data(self, said: Said, shop: Shop, project: Path) -> None:
        again = gatecast(shop.home, "train", project, "--tune", 3, "--json")
        assert again.json["tuning"] == said.json["tuning"]
        assert again.json["scores"] == said.json["scores"]
        assert "resuming: 3 of 3 trials are done" in again.err

    @pytest.mark.parametrize("wrong", [["--tune", "0"], ["--tune", "many"], ["--tune-minutes", "5"]])
    def test_refuses_a_search_that_makes_no_sense(self, shop: Shop, project: Path, wrong: list[str]) -> None:
        refused = gatecast(shop.home, "train", project, *wrong)
        assert refused.code == 2
        assert "--tune" in refused.err

    def test_refuses_a_file_that_holds_no_search(self, shop: Shop, tmp_path: Path) -> None:
        write_rows(tmp_path / "data.csv", waves())
        project, file = write_project(tmp_path, "odd"), shop.home / "tune" / "odd.db"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"these are no tables" * 100)
        refused = gatecast(shop.home, "train", project, "--tune", 3)
        assert refused.code == 74
        assert f"{file} holds no search that can go on" in refused.err


class Heard(NamedTuple):
    """An epoch of a trial."""

    epoch: int
    objective: float
    valid_mse_z: float = 0.5
    valid_mae_z: float = 0.5


DIVERGES, CTRL_C = -1.0, -2.0


@dataclass
class Script:
    """Stands for `fit`: trials in turn stay at these objectives for nine epochs, unless they are one of the above."""

    outcomes: Iterator[float]
    tried: list[Settings] = field(default_factory=list)
    epochs: tuple[Heard, ...] = ()

    @property
    def best(self) -> Heard:
        return self.epochs[-1]

    def fit(self, project: Project, _: object, watcher: Any) -> Script:
        assert project.train.members == 1
        self.tried += own_settings(project)
        outcome, self.epochs = next(self.outcomes), ()
        if outcome == DIVERGES:
            message = "the loss is nan"
            raise Diverged(message)
        if outcome == CTRL_C:
            signal.raise_signal(signal.SIGINT)
        for epoch in range(10):
            self.epochs += (Heard(epoch, outcome),)
            watcher.epoch(self.epochs[-1])
            if watcher.stopping():
                break
        return self


Play = Callable[..., Script]


@dataclass
class Bench:
    """A project, its data, and where a search of it is kept and shown."""

    project: Project
    prepared: Prepared
    registry: Registry
    home: Path
    console: Console = field(default_factory=lambda: Console(file=StringIO(), width=200))

    def search(self, budget: Budget, digest: str = "data") -> Tuned:
        return tune(self.project, self.prepared, digest, budget, Place(self.registry, self.home, self.console))

    @property
    def said(self) -> str:
        assert isinstance(self.console.file, StringIO)
        return self.console.file.getvalue()


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Prepared]:
    folder = tmp_path_factory.mktemp("scripted")
    write_rows(folder / "data.csv", waves())
    project = load_project(write_project(folder, "scripted"))
    return project, prepare(read_panel(project)[0], project)


@pytest.fixture
def bench(read: tuple[Project, Prepared], shop: Shop, tmp_path: Path) -> Bench:
    return Bench(*read, shop.registry, tmp_path / "home")


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    def play(*outcomes: float) -> Script:
        script = Script(iter(outcomes))
        monkeypatch.setattr(pipelines.tune, "fit", script.fit)
        return script

    return play


def test_a_search_begins_with_the_projects_own_settings_and_names_the_best(bench: Bench, play: Play) -> None:
    script = play(1.9, 1.8, 1.7, 1.7)
    found = bench.search(Budget(4), "best")
    assert script.tried[:2] == own_settings(bench.project)
    assert [one.params for one in found.tried] == script.tried
    assert (found.best.number, found.best.objective) == (2, 1.7)
    assert (found.first.number, found.first.objective) == (1, 1.8)
    assert (
        "trial 2 is the best, with objective 1.7000 on validation rows; the project's own settings: 1.8" in bench.said
    )


def test_a_search_that_was_stopped_goes_on_in_the_same_run(
    bench: Bench, play: Play, client: mlflow.MlflowClient
) -> None:
    before = play(1.9, 1.8, CTRL_C)
    with pytest.raises(SearchInterrupted, match=r"^interrupted; 2 of 4 trials are done: the same command goes on"):
        bench.search(Budget(4), "stopped")
    after = play(1.7, 1.6)
    found = bench.search(Budget(4), "stopped")
    assert after.tried[0] == before.tried[2]
    assert "stopping after this batch" in bench.said
    assert "resuming: 2 of 4 trials are done" in bench.said
    statuses = [one.info.status for one in children(client, found.run_id)]
    assert statuses == ["FINISHED", "FINISHED", "KILLED", "FINISHED", "FINISHED"]
    parent = client.get_run(found.run_id)
    assert parent.info.status == "FINISHED"
    assert "error" not in parent.data.tags


def test_a_search_whose_run_was_deleted_goes_on_in_another_one(
    bench: Bench, play: Play, client: mlflow.MlflowClient
) -> None:
    play(1.9, 1.8, 1.7)
    first = bench.search(Budget(2), "deleted").run_id
    client.delete_run(first)
    second = bench.search(Budget(3), "deleted").run_id
    assert second != first
    assert len(children(client, second)) == 1


def test_other_data_are_searched_from_the_beginning(bench: Bench, play: Play) -> None:
    script = play(1.9, 1.8, 1.7, 1.6)
    found = [bench.search(Budget(2), digest) for digest in ("monday", "tuesday", "monday")]
    assert len(script.tried) == 4
    assert found[0].run_id == found[2].run_id != found[1].run_id
    assert [one.best.objective for one in found] == [1.8, 1.6, 1.8]


def test_own_settings_that_changed_are_tried_even_where_the_search_was_done(bench: Bench, play: Play) -> None:
    play(1.9, 1.8)
    bench.search(Budget(2), "changed")
    script = play(1.7)
    bench.project = with_settings(bench.project, {"model.dropout": 0.1, "model.channels": "joint"})
    found = bench.search(Budget(2), "changed")
    assert script.tried == own_settings(bench.project)
    assert found.first == found.best == found.tried[2]


def test_a_trial_that_diverges_is_recorded_as_failed_and_the_search_goes_on(
    bench: Bench, play: Play, client: mlflow.MlflowClient
) -> None:
    play(DIVERGES, 1.9, DIVERGES)
    found = bench.search(Budget(3), "diverging")
    assert [one.ended for one in found.tried] == ["failed: the loss is nan", "", "failed: the loss is nan"]
    assert found.best.number == 1
    runs = children(client, found.run_id)
    assert [run.info.status for run in runs] == ["FAILED", "FINISHED", "FAILED"]
    assert runs[0].data.tags["error"] == "Diverged: the loss is nan"
    assert "trial 0: failed: the loss is nan" in bench.said


def test_a_search_without_a_usable_forecaster_says_so(bench: Bench, play: Play) -> None:
    play(DIVERGES, DIVERGES)
    with pytest.raises(TrainingError, match=r"^none of 2 trials .* own settings failed: the loss is nan$"):
        bench.search(Budget(2), "hopeless")


def test_a_hopeless_trial_is_given_up_early(bench: Bench, play: Play, client: mlflow.MlflowClient) -> None:
    play(1.1, 1.2, 1.3, 1.4, 1.5, 1.6)
    found = bench.search(Budget(6), "early")
    assert [one.ended for one in found.tried] == ["", "", "", "", "", GIVEN_UP]
    run = children(client, found.run_id)[5]
    assert (run.info.status, run.data.tags["mlflow.note.content"]) == ("FINISHED", GIVEN_UP)
    assert run.data.metrics["epochs"] == 5


def test_behind_the_deadline_only_the_projects_own_settings_are_tried(bench: Bench, play: Play) -> None:
    script = play(1.9, 1.8)
    found = bench.search(Budget.of(9, minutes=0), "late")
    assert script.tried == own_settings(bench.project)
    assert found.best == found.first


@pytest.mark.slow
def test_ctrl_c_ends_a_search_that_the_same_command_goes_on_with(tmp_path: Path) -> None:
    write_rows(tmp_path / "data.csv", waves())
    project, home = write_project(tmp_path), tmp_path / "home"
    command = [sys.executable, "-m", "pipelines", "--home", home, "train", project, "--tune", "1000"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(line.startswith("trial 2:") for line in process.stdout)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.strip().startswith("gatecast: interrupted; ")
    said = gatecast(home, "train", project, "--tune", 5, "--json")
    assert said.json["tuning"]["trials"] >= 5

"""What a run records, and the model that comes of it."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.models import Model

from forecasting.columns import Columns
from forecasting.errors import CorruptBundle
from forecasting.registry import ModelVersion, Registry, Run
from forecasting.series import Panel, Series
from tests.forecasting.registry.examples import artifact_of, frame


class TestRun:
    def test_records_what_it_is_given_and_ends_finished(self, registry: Registry, client: MlflowClient) -> None:
        with registry.run("tiny", name="a run", git_commit="c0ffee", tags={"why": "test"}) as run:
            run.log_params({"cell": "lstm", "data": {"units": {"temp (°C)": "K"}, "targets": ["a", "b"]}})
            run.log_metrics({"mse_z": 0.5, "by_column/temp (°C)": 1.0, "none": None})
            for step in range(3):
                run.log_curve(step, {"train_loss": 1 / (step + 1)})
        found = client.get_run(run.id)
        assert found.info.status == "FINISHED"
        assert found.info.run_name == "a run"
        assert found.data.params == {"cell": "lstm", "data.units.temp __C_": "K", "data.targets": '["a","b"]'}
        assert found.data.metrics["by_column/temp __C_"] == 1.0
        assert "none" not in found.data.metrics
        assert [one.value for one in client.get_metric_history(run.id, "train_loss")] == [1.0, 1 / 2, 1 / 3]
        assert found.data.tags["mlflow.source.git.commit"] == "c0ffee"
        assert found.data.tags["why"] == "test"
        assert found.data.tags["gatecast.version"]

    def test_takes_more_parameters_than_one_request_may_hold(self, registry: Registry, client: MlflowClient) -> None:
        with registry.run("tiny") as run:
            run.log_params({f"p{place}": place for place in range(250)})
        assert len(client.get_run(run.id).data.params) == 250

    def test_keeps_files_and_pictures(self, registry: Registry, client: MlflowClient, tmp_path: Path) -> None:
        from matplotlib.figure import Figure  # noqa: PLC0415 - slow, and for this test only

        with registry.run("tiny") as run:
            run.log_json("report.json", {"rows": 3})
            run.log_json("bytes.json", b'{"rows":4}')
            run.log_text("card.md", "# häll")
            run.log_figure("pictures/empty.png", Figure(figsize=(1, 1)))
        folder = Path(client.download_artifacts(run.id, "", str(tmp_path)))
        assert json.loads((folder / "report.json").read_bytes()) == {"rows": 3}
        assert json.loads((folder / "bytes.json").read_bytes()) == {"rows": 4}
        assert (folder / "card.md").read_text(encoding="utf-8") == "# häll"
        assert (folder / "pictures/empty.png").read_bytes().startswith(b"\x89PNG")

    def test_names_its_data_without_copying_them(self, registry: Registry, client: MlflowClient) -> None:
        rows = frame(48)
        series = Series("north", rows.index, rows[["a", "b"]].to_numpy(dtype=np.float32))
        with registry.run("tiny") as run:
            run.log_dataset(Panel(Columns(("a", "b")), "h", "UTC", (series,)), "/data/x.csv.gz", "ab" * 32, "training")
        ((found),) = client.get_run(run.id).inputs.dataset_inputs
        profile = json.loads(found.dataset.profile)
        assert (found.dataset.name, found.dataset.source) == ("x.csv.gz", '{"uri":"/data/x.csv.gz"}')
        assert (found.tags[0].key, found.tags[0].value) == ("mlflow.data.context", "training")
        assert profile["sha256"] == "ab" * 32
        assert profile["num_rows"] == 48
        assert found.dataset.digest == ("ab" * 32)[:36]
        assert [one["name"] for one in json.loads(found.dataset.schema)["mlflow_colspec"]] == ["a", "b"]

    def test_samples_the_machine(
        self, registry: Registry, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("forecasting.registry.run.SAMPLE_SECONDS", 0.02)
        deadline = time.monotonic() + 20
        with registry.run("tiny") as run:
            while "system/cpu_utilization_percentage" not in client.get_run(run.id).data.metrics:
                assert time.monotonic() < deadline

    @pytest.mark.parametrize(
        ("error", "status"),
        [(ValueError("bad rows"), "FAILED"), (KeyboardInterrupt(), "KILLED"), (SystemExit(1), "FAILED")],
    )
    def test_never_stays_running(
        self, registry: Registry, client: MlflowClient, error: BaseException, status: str
    ) -> None:
        runs: list[Run] = []
        with pytest.raises(type(error)), registry.run("tiny") as run:  # noqa: PT012 - the block is what fails
            runs.append(run)
            raise error
        found = client.get_run(runs[0].id)
        assert found.info.status == status
        assert found.data.tags["error"].startswith(type(error).__name__)

    def test_tells_the_error_of_the_block_even_where_the_store_is_gone(self, registry: Registry, home: Path) -> None:
        with pytest.raises(ValueError, match="the real one"), registry.run("tiny"):  # noqa: PT012 - see above
            (home / "mlflow.db").write_bytes(b"no database" * 1000)
            message = "the real one"
            raise ValueError(message)

    def test_goes_on_in_an_experiment_that_was_deleted_by_hand(self, registry: Registry, client: MlflowClient) -> None:
        with registry.run("tiny") as first:
            pass
        client.delete_experiment(first.experiment_id)
        with registry.run("tiny") as second:
            pass
        assert second.experiment_id == first.experiment_id


class TestChild:
    def test_is_a_run_below_another_one_and_ends_by_itself(self, registry: Registry, client: MlflowClient) -> None:
        with registry.run("tiny") as above:
            with above.child("trial 0") as below:
                below.log_params({"hidden": 8})
            assert client.get_run(below.id).info.status == "FINISHED"
            assert client.get_run(above.id).info.status == "RUNNING"
        found = client.get_run(below.id)
        assert found.info.run_name == "trial 0"
        assert found.info.experiment_id == above.experiment_id
        assert found.data.tags["mlflow.parentRunId"] == above.id
        assert found.data.params == {"hidden": "8"}
        assert found.data.tags["gatecast.version"]

    @pytest.mark.parametrize(("error", "status"), [(ValueError("bad"), "FAILED"), (KeyboardInterrupt(), "KILLED")])
    def test_does_not_end_the_run_above_when_it_fails(
        self, registry: Registry, client: MlflowClient, error: BaseException, status: str
    ) -> None:
        with registry.run("tiny") as above, pytest.raises(type(error)), above.child("trial 0"):
            raise error
        (below,) = client.search_runs([above.experiment_id], f"tags.mlflow.parentRunId = '{above.id}'")
        assert (below.info.status, client.get_run(above.id).info.status) == (status, "FINISHED")


class TestResumed:
    KEY: ClassVar = {"gatecast.study": "c0ffee"}

    def test_goes_on_in_the_run_that_has_the_tags(self, registry: Registry, client: MlflowClient) -> None:
        with (
            pytest.raises(KeyboardInterrupt),
            registry.resumed("tiny", self.KEY, name="tuning", git_commit=None) as one,
        ):
            raise KeyboardInterrupt
        with registry.resumed("tiny", self.KEY, name="tuning", git_commit=None) as two:
            assert client.get_run(two.id).info.status == "RUNNING"
            two.log_metrics({"objective": 0.5})
        found = client.get_run(one.id)
        assert two == one
        assert (found.info.status, found.info.run_name) == ("FINISHED", "tuning")
        assert "error" not in found.data.tags
        assert found.data.metrics["objective"] == 0.5

    def test_begins_one_where_there_is_none_with_these_tags(self, registry: Registry, client: MlflowClient) -> None:
        ids = []
        for key in (self.KEY, {"gatecast.study": "other"}, self.KEY):
            with registry.resumed("tiny", key, name="tuning", git_commit="deed") as run:
                ids.append(run.id)
        with registry.resumed("another model", self.KEY, name="tuning", git_commit=None) as run:
            ids.append(run.id)
        assert ids[0] == ids[2]
        assert len(set(ids)) == 3
        assert client.get_run(ids[0]).data.tags["mlflow.source.git.commit"] == "deed"

    def test_leaves_a_deleted_run_alone(self, registry: Registry, client: MlflowClient) -> None:
        with registry.resumed("tiny", self.KEY, name="tuning", git_commit=None) as one:
            pass
        client.delete_run(one.id)
        with registry.resumed("tiny", self.KEY, name="tuning", git_commit=None) as two:
            assert two.id != one.id


class TestRegistering:
    def test_gives_a_numbered_version_of_the_run(
        self, registry: Registry, client: MlflowClient, register: Callable[[], ModelVersion]
    ) -> None:
        first, second = register(), register()
        assert (first.name, first.version, second.version) == ("tiny", "1", "2")
        assert first.aliases == ()
        assert first.tags == {"data_hash": "sha256:00"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", first.created)
        assert client.get_run(first.run_id).info.status == "FINISHED"
        assert client.get_model_version("tiny", "1").description == "# tiny"
        assert registry.models() == ["tiny"]
        assert [one.version for one in registry.versions("tiny")] == ["2", "1"]
        assert registry.production() == []

    def test_puts_no_pickle_anywhere(self, home: Path, register: Callable[[], ModelVersion]) -> None:
        register()
        files = [path for path in artifact_of(home).rglob("*") if path.is_file()]
        assert {path.suffix for path in files} == {"", ".py", ".json", ".txt", ".yaml", ".safetensors"}
        assert not [path for path in files if path.read_bytes().startswith(b"\x80")]
        assert ".pkl" not in (artifact_of(home) / "MLmodel").read_text()

    def test_says_what_goes_in_and_comes_out(self, home: Path, register: Callable[[], ModelVersion]) -> None:
        register()
        signature = Model.load(str(artifact_of(home))).signature
        assert signature.inputs.input_names() == ["timestamp", "series", "a", "b"]
        assert signature.inputs.required_input_names() == ["a", "b"]
        answers = ["a", "b", "a-median", "b-median", "a-lo-90", "a-hi-90", "b-lo-90", "b-hi-90"]
        assert signature.outputs.input_names() == ["series", "timestamp", "step", *answers]
        assert [(one.name, one.default) for one in signature.params.params] == [("levels", [90])]
        example = json.loads((artifact_of(home) / "input_example.json").read_bytes())
        assert example["columns"] == ["timestamp", "a", "b", "series"]
        assert example["data"][0][0] == "2024-03-01T00:00:00+00:00"

    def test_refuses_a_bundle_that_is_not_whole(self, registry: Registry, tiny_folder: Path, tmp_path: Path) -> None:
        broken = Path(shutil.copytree(tiny_folder, tmp_path / "broken"))
        (broken / "weights.safetensors").write_bytes(b"\0" * 100)
        with pytest.raises(CorruptBundle), registry.run("tiny") as run:
            run.register(broken, frame())
        assert registry.models() == []

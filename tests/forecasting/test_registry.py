"""The registry against a real SQLite store and a real artifact folder."""

from __future__ import annotations

import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow import MlflowClient
from mlflow.models import Model

from forecasting.bundle import Bundle, load_bundle
from forecasting.calendar import nanoseconds
from forecasting.errors import CorruptBundle, NoSuchModel, RegistryError, RegistryUnavailable, WindowRejected
from forecasting.prediction import Window, forecast
from forecasting.registry import ModelVersion, Registry, Run, embedded
from forecasting.registry.access import without_password
from forecasting.series import Panel, Series

pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated:DeprecationWarning"),
]

ROOT = Path(__file__).parents[2]


def frame(rows: int = 12, seed: int = 0, series: str = "north") -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    values = {"a": 10 + draw.normal(size=rows), "b": 1000 + 30 * draw.normal(size=rows)}
    times = pd.date_range("2024-03-01", periods=rows, freq="h", tz="UTC")
    return pd.DataFrame(values, index=times).assign(series=series)


def window(rows: pd.DataFrame) -> Window:
    return Window(rows[["a", "b"]].to_numpy(np.float32), nanoseconds(rows.index), rows["series"].iloc[0])


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """To make mlflow's tables takes seconds: it is done once and then copied."""
    home = tmp_path_factory.mktemp("store")
    assert Registry(*embedded(home)).models() == []
    return home / "mlflow.db"


@pytest.fixture
def home(empty_store: Path, tmp_path: Path) -> Path:
    home = tmp_path / "a home"
    home.mkdir()
    shutil.copy(empty_store, home)
    return home


@pytest.fixture
def registry(home: Path) -> Registry:
    return Registry(*embedded(home))


@pytest.fixture
def client(registry: Registry) -> MlflowClient:
    return MlflowClient(registry.uri, registry.uri)


@pytest.fixture
def register(registry: Registry, tiny_folder: Path) -> Callable[[], ModelVersion]:
    def once() -> ModelVersion:
        with registry.run("tiny") as run:
            return run.register(tiny_folder, frame(), card="# tiny")

    return once


def artifact_of(home: Path) -> Path:
    (found,) = home.glob("artifacts/tiny/models/*/artifacts")
    return found


class TestEmbeddedStore:
    def test_lies_in_its_folder_by_absolute_paths(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        uri, root = embedded(Path("my home"))
        assert uri == f"sqlite:///{tmp_path}/my home/mlflow.db"
        assert root == (tmp_path / "my home" / "artifacts").as_uri()
        assert (tmp_path / "my home" / "artifacts").is_dir()

    def test_in_a_folder_that_cannot_be_made_is_unavailable(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(RegistryUnavailable, match="Not a directory"):
            embedded(tmp_path / "file" / "home")

    def test_leaves_nothing_in_the_working_directory(
        self, register: Callable[[], ModelVersion], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        register()
        assert list((tmp_path / "elsewhere").iterdir()) == []


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
            run.log_dataset(Panel(("a", "b"), "h", "UTC", (series,)), "/data/x.csv.gz", "ab" * 32, "training")
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
        assert signature.outputs.input_names()[-4:] == ["a", "b", "a-median", "b-median"]
        example = json.loads((artifact_of(home) / "input_example.json").read_bytes())
        assert example["columns"] == ["timestamp", "a", "b", "series"]
        assert example["data"][0][0] == "2024-03-01T00:00:00+00:00"

    def test_refuses_a_bundle_that_is_not_whole(self, registry: Registry, tiny_folder: Path, tmp_path: Path) -> None:
        broken = Path(shutil.copytree(tiny_folder, tmp_path / "broken"))
        (broken / "weights.safetensors").write_bytes(b"\0" * 100)
        with pytest.raises(CorruptBundle), registry.run("tiny") as run:
            run.register(broken, frame())
        assert registry.models() == []


class TestFetching:
    def test_brings_the_bundle_that_was_registered(
        self, registry: Registry, register: Callable[[], ModelVersion], tiny_bundle: Bundle, tmp_path: Path
    ) -> None:
        place = registry.fetch(register(), tmp_path / "new" / "folder")
        assert place.is_relative_to(tmp_path / "new" / "folder")
        assert load_bundle(place).spec == tiny_bundle.spec

    def test_says_when_the_files_are_gone(
        self, registry: Registry, register: Callable[[], ModelVersion], home: Path, tmp_path: Path
    ) -> None:
        version = register()
        shutil.rmtree(artifact_of(home))
        with pytest.raises(CorruptBundle, match=r"version 1 of tiny has no bundle at .* register it again"):
            registry.fetch(version, tmp_path / "new")


class TestFinding:
    def test_takes_a_number_or_an_alias(self, registry: Registry, register: Callable[[], ModelVersion]) -> None:
        version = register()
        registry.promote(version, {"reason": "first"})
        assert registry.version("tiny", "production") == registry.version("tiny", "1") == registry.production()[0]
        assert registry.versions("tiny")[0].aliases == ("production",)

    def test_says_what_there_is_instead(self, registry: Registry, register: Callable[[], ModelVersion]) -> None:
        with pytest.raises(NoSuchModel, match="no model 'tiny'; nothing is registered yet"):
            registry.version("tiny", "1")
        registry.promote(register(), {})
        with pytest.raises(NoSuchModel, match="no model 'tinny'; did you mean 'tiny'"):
            registry.versions("tinny")
        with pytest.raises(NoSuchModel, match="no model 'else'; registered are tiny"):
            registry.version("else", "production")
        for ref in ("7", "staging", "0", "-1", "", "1.0", "²", "9" * 30):
            with pytest.raises(NoSuchModel, match=r"its aliases: production \(version 1\); its newest versions: 1$"):
                registry.version("tiny", ref)

    def test_knows_when_an_alias_or_a_version_was_deleted(
        self, registry: Registry, client: MlflowClient, register: Callable[[], ModelVersion]
    ) -> None:
        registry.promote(register(), {})
        client.delete_registered_model_alias("tiny", "production")
        assert registry.production() == []
        with pytest.raises(NoSuchModel, match="its aliases: none"):
            registry.version("tiny", "production")
        registry.promote(registry.version("tiny", "1"), {})
        client.delete_model_version("tiny", "1")
        assert registry.production() == []
        assert registry.versions("tiny") == []
        with pytest.raises(NoSuchModel, match="model 'tiny' has no versions"):
            registry.version("tiny", "1")


class TestPromoting:
    def test_records_the_decision_and_who_held_the_alias(
        self, registry: Registry, client: MlflowClient, register: Callable[[], ModelVersion], tmp_path: Path
    ) -> None:
        first, second = register(), register()
        registry.promote(first, {"reason": "first", "promoted": True})
        registry.promote(second, {"reason": "better", "promoted": True, "losses": [0.1, 0.2]})
        (now,) = registry.production()
        assert now.version == "2"
        assert now.tags["production.decision"] == '{"reason":"better","promoted":true}'
        assert now.tags["production.previous"] == "1"
        assert "production.previous" not in registry.version("tiny", "1").tags
        kept = client.download_artifacts(second.run_id, "decision.json", str(tmp_path))
        assert json.loads(Path(kept).read_bytes())["losses"] == [0.1, 0.2]

    def test_keeps_every_decision_about_a_version(
        self, registry: Registry, client: MlflowClient, register: Callable[[], ModelVersion]
    ) -> None:
        first, second = register(), register()
        for version in (first, second, first, first):
            registry.promote(version, {"reason": "again"})
        names = [one.path for one in client.list_artifacts(first.run_id)]
        assert names == ["decision-2.json", "decision-3.json", "decision.json"]
        assert registry.version("tiny", "production").tags["production.previous"] == "2"

    def test_moves_no_alias_without_a_record(
        self, registry: Registry, register: Callable[[], ModelVersion], home: Path
    ) -> None:
        first, second = register(), register()
        registry.promote(first, {})
        (home / "artifacts/tiny" / second.run_id).touch()
        with pytest.raises(RegistryError):
            registry.promote(second, {"reason": "cannot be written"})
        assert registry.production()[0].version == "1"

    def test_refuses_a_version_that_was_deleted(
        self, registry: Registry, client: MlflowClient, register: Callable[[], ModelVersion]
    ) -> None:
        version = register()
        client.delete_model_version("tiny", "1")
        with pytest.raises(NoSuchModel):
            registry.promote(version, {})


class TestPyfunc:
    def test_loads_and_predicts_in_a_fresh_process_without_a_word(
        self, registry: Registry, register: Callable[[], ModelVersion], tiny_bundle: Bundle, tmp_path: Path
    ) -> None:
        registry.promote(register(), {})
        rows = frame()
        rows.to_json(tmp_path / "rows.json", orient="split", date_format="iso", date_unit="ns", double_precision=15)
        code = (
            "import mlflow, pandas, sys\n"
            "rows = pandas.read_json(sys.argv[1], orient='split', convert_axes=False)\n"
            "rows.index = pandas.to_datetime(rows.index, utc=True)\n"
            "answer = mlflow.pyfunc.load_model('models:/tiny@production').predict(rows)\n"
            "print(answer.to_json(orient='values', date_format='iso'))"
        )
        settings = {"MLFLOW_TRACKING_URI": registry.uri, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "rows.json")],
            env={**os.environ, **settings, "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        said = json.loads(done.stdout)
        expected = forecast(tiny_bundle, window(rows))
        assert [row[1] for row in said] == ["2024-03-01T12:00:00.000Z", "2024-03-01T13:00:00.000Z"]
        assert [(row[0], row[2]) for row in said] == [("north", 1), ("north", 2)]
        answer = np.array([row[3:] for row in said])
        np.testing.assert_allclose(answer, np.hstack([expected.point, expected.median]), rtol=1e-6)

    def test_takes_times_in_every_usual_form(self, home: Path, register: Callable[[], ModelVersion]) -> None:
        register()
        model = mlflow.pyfunc.load_model(str(artifact_of(home)))
        rows = frame()
        column = rows.reset_index(names="timestamp")
        naive = column.assign(timestamp=column["timestamp"].dt.tz_localize(None))
        local = column.assign(timestamp=column["timestamp"].dt.tz_convert("Asia/Tokyo"))
        text = column.assign(timestamp=[one.isoformat() for one in rows.index])
        answer = model.predict(rows)
        assert list(answer["timestamp"]) == list(pd.date_range("2024-03-01T12:00Z", periods=2, freq="h"))
        for same in (column, naive, local, text):
            pd.testing.assert_frame_equal(model.predict(same), answer)

    def test_forecasts_each_series_by_itself(
        self, home: Path, register: Callable[[], ModelVersion], tiny_bundle: Bundle
    ) -> None:
        register()
        model = mlflow.pyfunc.load_model(str(artifact_of(home)))
        south = frame(rows=9, seed=2, series="south")
        answer = model.predict(pd.concat([frame(), south]))
        assert list(answer["series"]) == ["north", "north", "south", "south"]
        assert list(answer["step"]) == [1, 2, 1, 2]
        expected = forecast(tiny_bundle, window(south))
        np.testing.assert_array_equal(answer[["a", "b"]].to_numpy()[2:], expected.point)

    def test_reads_a_hole_as_a_missing_value(self, home: Path, register: Callable[[], ModelVersion]) -> None:
        register()
        model = mlflow.pyfunc.load_model(str(artifact_of(home)))
        rows = frame()
        rows.iloc[3, 0] = np.nan
        assert np.isfinite(model.predict(rows)[["a", "b"]].to_numpy()).all()

    def test_refuses_or_warns_as_the_service_does(self, home: Path, register: Callable[[], ModelVersion]) -> None:
        register()
        model = mlflow.pyfunc.load_model(str(artifact_of(home)))
        with pytest.raises(WindowRejected, match="send rows oldest first"):
            model.predict(frame()[::-1])
        with pytest.raises(WindowRejected, match="give timestamps"):
            model.predict(frame().reset_index(drop=True))
        with pytest.warns(UserWarning, match="east: no such series in training"):
            model.predict(frame(series="east"))
        with pytest.warns(UserWarning, match="north: .* look back"):
            model.predict(frame(rows=2))


class TestUnreachableStore:
    def assert_unavailable_soon(self, uri: str, match: str) -> None:
        began = time.monotonic()
        with pytest.raises(RegistryUnavailable, match=match) as found:
            Registry(uri).production()
        assert time.monotonic() - began < 10
        assert "secret" not in str(found.value)
        assert "; check " in str(found.value)

    def test_behind_a_dead_port(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        self.assert_unavailable_soon(
            f"http://me:secret@127.0.0.1:{port}", rf"http://me:\*\*\*@127.0.0.1:{port} .*Connection refused"
        )

    def test_in_a_file_that_is_no_database(self, tmp_path: Path) -> None:
        (tmp_path / "mlflow.db").write_bytes(b"these are no tables" * 100)
        self.assert_unavailable_soon(f"sqlite:///{tmp_path}/mlflow.db", "file is not a database")

    def test_in_a_place_that_cannot_be_written(self, tmp_path: Path) -> None:
        self.assert_unavailable_soon(f"sqlite:///{tmp_path}", "unable to open database file")

    def test_in_a_database_of_a_later_mlflow(self, home: Path) -> None:
        import sqlite3  # noqa: PLC0415 - for this test only

        with sqlite3.connect(home / "mlflow.db") as database:
            database.execute("update alembic_version set version_num = 'ffffffffffff'")
        database.close()
        self.assert_unavailable_soon(f"sqlite:///{home}/mlflow.db", "ffffffffffff|out-of-date")

    def test_at_an_address_that_is_none(self) -> None:
        self.assert_unavailable_soon("nonsense", "cannot be used: Could not parse")

    @pytest.mark.parametrize(("status", "error"), [(404, RegistryUnavailable), (401, RegistryError)])
    def test_behind_another_server(self, other_server: OtherServer, status: int, error: type[Exception]) -> None:
        other_server.status = status
        with pytest.raises(error, match=str(status)) as found:
            Registry(f"http://127.0.0.1:{other_server.server_port}").version("tiny", "1")
        assert type(found.value) is error


class OtherServer(http.server.ThreadingHTTPServer):
    status = 404


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def other_server() -> Iterator[OtherServer]:
    with OtherServer(("127.0.0.1", 0), _Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


SECRETS = st.text("abcXYZ019!$%^&*()_+-=~:?#[]", min_size=4).map("s{}t".format)


@settings(max_examples=50)
@given(password=SECRETS, user=st.from_regex(r"[a-z]{0,8}", fullmatch=True))
def test_no_password_leaves_an_address(password: str, user: str) -> None:
    for address in (f"postgresql+psycopg://{user}:{password}@db:5432/x", f"https://{user}:{password}@host/path"):
        shown = without_password(f"cannot reach {address}; sorry")
        assert password not in shown
        assert shown.endswith("; sorry")

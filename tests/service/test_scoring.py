"""MLflow's scoring protocol at our door: the answers of `mlflow models serve`, and refusals of our own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pandas as pd
import pytest
from mlflow.models import Model
from mlflow.pyfunc import scoring_server
from starlette.testclient import TestClient

from forecasting.bundle import Bundle, save_bundle
from forecasting.registry.artifact import write_artifact
from service.app import create_app
from service.settings import Settings
from tests.bundles import make_rich_bundle

MARK = "do-not-repeat-me"
HEADERS = {"content-type": "application/json"}
HOURS = [f"2024-03-01T{hour:02}:00:00Z" for hour in range(8)]


def rows(series: str | None = "north", count: int = 6) -> list[dict[str, Any]]:
    named = {} if series is None else {"series": series}
    return [{"timestamp": HOURS[h], **named, "a": 9.5 + h % 3, "b": 1000.0 + 7 * h} for h in range(count)]


def rich_rows() -> list[dict[str, Any]]:
    came = [{"a": 3.5 + h, "b": 4, "rain": 0.5 if h else None, "price": 30.0 + h, "holiday": 0} for h in range(6)]
    known = [{"a": None, "b": None, "rain": None, "price": 32.0, "holiday": 1}] * 2
    beside = {"series": "east", "size": 4.0, "region": "coast"}
    return [{"timestamp": time, **beside, **row} for time, row in zip(HOURS, [*came, *known], strict=True)]


def split(records: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"columns": list(records[0]), "data": [list(row.values()) for row in records], **more}


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Bundle, Any], TestClient]]:
    """Return a maker of MLflow's own scoring server for a bundle, without a process."""
    folder = tmp_path_factory.mktemp("peer")

    def start(bundle: Bundle, example: list[dict[str, Any]]) -> TestClient:
        name = "-".join(bundle.spec.columns.row)
        if not (folder / name).exists():
            save_bundle(bundle, folder / f"{name}-bundle")
            write_artifact(folder / name, folder / f"{name}-bundle", bundle.spec, pd.DataFrame(example), Model())
        return TestClient(scoring_server.init(mlflow.pyfunc.load_model(str(folder / name))))

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")  # it sets this and never takes it back
        yield start


def same(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    """Compare rows: their keys in order, texts and types as they are, numbers up to rounding."""
    assert [list(row) for row in ours] == [list(row) for row in theirs]
    for left, right in zip(ours, theirs, strict=True):
        for name, value in right.items():
            assert type(left[name]) is type(value), name
            assert left[name] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-6, abs=2e-5)), name


@pytest.mark.filterwarnings("ignore:north:UserWarning", "ignore:south:UserWarning", "ignore:east:UserWarning")
class TestAgainstMlflow:
    @pytest.mark.parametrize(
        "body",
        [
            {"dataframe_records": rows()},
            {"dataframe_records": [*rows("south", 4), *rows()]},
            {"dataframe_records": [row for pair in zip(rows("south"), rows(), strict=True) for row in pair]},
            {"dataframe_split": split(rows())},
            {"dataframe_split": split(rows(), index=list(range(6)))},
            {"dataframe_split": split(rows("east")), "params": {"levels": [80, 95]}},
            {"dataframe_split": split(rows()), "params": {}},
            {"instances": rows()},
            {"inputs": pd.DataFrame(rows()).to_dict("list")},
            {"dataframe_records": [row | {"a": None} if row["b"] == 1014.0 else row for row in rows()]},
            {"dataframe_records": [row | {"timestamp": row["timestamp"][:-1]} for row in rows()]},
            {"dataframe_records": [row for row in rows() if row["b"] != 1014.0]},
        ],
    )
    def test_the_answer_is_that_of_mlflows_own_server(
        self, client: TestClient, peer: Callable[..., TestClient], tiny_bundle: Bundle, body: dict[str, Any]
    ) -> None:
        theirs = peer(tiny_bundle, rows()).post("/invocations", json=body)
        ours = client.post("/invocations", json=body)
        assert (ours.status_code, theirs.status_code) == (200, 200), ours.text + theirs.text
        assert ours.headers["content-type"] == theirs.headers["content-type"]
        same(ours.json()["predictions"], theirs.json()["predictions"])

    @pytest.mark.parametrize("form", ["dataframe_records", "instances", "dataframe_split"])
    def test_covariates_of_every_kind_are_taken(
        self, rich_client: TestClient, peer: Callable[..., TestClient], form: str
    ) -> None:
        body = {form: split(rich_rows()) if form == "dataframe_split" else rich_rows()}
        theirs = peer(make_rich_bundle(), rich_rows()).post("/invocations", json=body)
        ours = rich_client.post("/invocations", json=body)
        assert (ours.status_code, theirs.status_code) == (200, 200), ours.text
        same(ours.json()["predictions"], theirs.json()["predictions"])

    def test_whether_it_runs_is_told_in_the_same_way(
        self, client: TestClient, peer: Callable[..., TestClient], tiny_bundle: Bundle
    ) -> None:
        for path in ("/ping", "/health", "/version"):
            ours, theirs = client.get(path), peer(tiny_bundle, rows()).get(path)
            assert (ours.status_code, ours.content) == (theirs.status_code, theirs.content)


def test_an_answer_names_model_version_and_run_and_what_to_know(client: TestClient) -> None:
    answer = client.post("/invocations", json={"dataframe_records": rows("east", 3)})
    assert answer.headers["x-gatecast-model"] == "tiny@1"
    assert answer.headers["x-gatecast-run"] == "r1"
    assert answer.headers["x-gatecast-warnings"] == "short-window, unknown-series"
    assert "x-gatecast-warnings" not in client.post("/invocations", json={"dataframe_records": rows()}).headers


def test_the_numbers_are_those_of_the_native_route(client: TestClient) -> None:
    table = client.post("/invocations", json={"dataframe_records": rows()}).json()["predictions"]
    native = {
        "observations": [[row["a"], row["b"]] for row in rows()],
        "timestamps": [row["timestamp"] for row in rows()],
        "series": "north",
    }
    steps = client.post("/v1/models/tiny/forecast", json=native).json()["forecast"]
    for row, step in zip(table, steps, strict=True):
        assert step["point"] == pytest.approx({name: row[name] for name in "ab"}, rel=1e-6)
        assert step["intervals"]["90"]["b"] == pytest.approx([row["b-lo-90"], row["b-hi-90"]], rel=1e-6)


def refused(client: TestClient, body: bytes | str | dict[str, Any], path: str = "/invocations") -> tuple[int, Any]:
    content = json.dumps(body) if isinstance(body, dict) else body
    answer = client.post(path, content=content, headers=HEADERS)
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.content) <= 1024
    assert MARK not in answer.text
    assert "Traceback" not in answer.text
    return answer.status_code, answer.json()


ROW = '{"timestamp": "2024-03-01T00:00:00Z", "a": 1, "b": 2}'


@pytest.mark.parametrize(
    ("body", "status", "pointer", "said"),
    [
        ("", 400, None, "truncated"),
        ('{"dataframe_records": [{"a": NaN, "b": 1}]}', 400, None, "malformed"),
        ('{"dataframe_records": [{"a": Infinity, "b": 1}]}', 400, None, "malformed"),
        (b'{"dataframe_records": [{"a": "\xff"}]}', 400, None, "UTF-8"),
        ("[]", 422, "", "Expected object, got array"),
        ("{}", 422, "", "no tables came; send one of dataframe_split, dataframe_records, instances, inputs"),
        ('{"params": {}}', 422, "", "no tables came"),
        (f'{{"dataframe_records": [{ROW}], "instances": [{ROW}]}}', 422, "", "2 tables came"),
        (f'{{"dataframe_records": [{ROW}], "{MARK}": 1}}', 422, "", "unknown key; send one of"),
        (f'{{"dataframe_record": [{ROW}]}}', 422, "", "did you mean dataframe_records?"),
        ('{"dataframe_records": []}', 422, "/dataframe_records", "length >= 1"),
        ('{"dataframe_records": [{}]}', 422, "", "column 'a' is missing"),
        ('{"dataframe_records": {"a": 1}}', 422, "/dataframe_records", "got object"),
        ('{"dataframe_records": [{"a": [1], "b": 2}]}', 422, "/dataframe_records/0", "got array"),
        ('{"dataframe_records": [{"a": true, "b": 2}]}', 422, "/dataframe_records/0", "got bool"),
        ('{"dataframe_records": [{"a": 1e400, "b": 2}]}', 422, "/dataframe_records/0", "out of range"),
        ('{"dataframe_records": [{"a": ' + "9" * 5000 + "}]}", 422, "/dataframe_records/0", "out of range"),
        (f'{{"dataframe_records": [{ROW[:-1]}, "{MARK}": 2}}]}}', 422, "/dataframe_records/0", "no such column"),
        (f'{{"dataframe_records": [{ROW[:-1]}, "seris": "x"}}]}}', 422, "/dataframe_records/0", "mean 'series'?"),
        (f'{{"dataframe_records": [{ROW[:-1]}, "a": 3}}]}}', 422, "", "a key stands twice"),
        (f'{{"dataframe_records": [{ROW}], "dataframe_records": [{ROW}]}}', 422, "", "a key stands twice"),
        ('{"dataframe_records": [{"a": "1", "b": 2}]}', 422, "/dataframe_records/0/a", "has to be a number"),
        ('{"dataframe_records": [{"a": 1e300, "b": 2}]}', 422, "/dataframe_records/0/a", "beyond what 32-bit"),
        ('{"dataframe_records": [{"a": 1, "b": 2}]}', 422, "", "give timestamps"),
        (
            '{"dataframe_records": [{"timestamp": 1, "a": 1, "b": 2}]}',
            422,
            "/dataframe_records/0/timestamp",
            "RFC 3339",
        ),
        (
            '{"dataframe_records": [{"timestamp": "now", "a": 1, "b": 2}]}',
            422,
            "/dataframe_records/0/timestamp",
            "no ti",
        ),
        ('{"dataframe_records": [{"timestamp": null, "a": 1, "b": 2}]}', 422, "/dataframe_records/0/timestamp", "no t"),
        ('{"dataframe_records": [{"timestamp": "9999-01-01", "a": 1, "b": 2}]}', 422, "", "outside the years"),
        (
            f'{{"dataframe_records": [{ROW[:-1]}, "series": 7}}]}}',
            422,
            "/dataframe_records/0/series",
            "has to be a text",
        ),
        (f'{{"dataframe_records": [{ROW[:-1]}, "series": null}}]}}', 422, "/dataframe_records/0/series", "no series"),
        (f'{{"dataframe_records": [{ROW[:-1]}, "series": "{"x" * 300}"}}]}}', 422, "/dataframe_records/0", "<= 256"),
        (f'{{"dataframe_records": [{ROW}], "params": {{"levels": [85]}}}}', 422, "/params/levels/0", "not calibrated"),
        (f'{{"dataframe_records": [{ROW}], "params": {{"levels": [0]}}}}', 422, "/params/levels/0", ">= 1"),
        (f'{{"dataframe_records": [{ROW}], "params": {{"level": [90]}}}}', 422, "/params", "mean levels?"),
        ('{"dataframe_split": {"columns": ["a", "b"]}}', 422, "/dataframe_split", "missing required field data"),
        ('{"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}', 422, "/dataframe_split/columns/1", "twice"),
        (
            '{"dataframe_split": {"columns": ["a", "c"], "data": [[1, 2]]}}',
            422,
            "/dataframe_split/columns/1",
            "no such",
        ),
        ('{"dataframe_split": {"columns": ["a", "b"], "data": [[1]]}}', 422, "/dataframe_split/data/0", "expected 2"),
        (
            '{"dataframe_split": {"columns": ["a", "b"], "data": [[1, "2"]]}}',
            422,
            "/dataframe_split/data/0/1",
            "number",
        ),
        (
            '{"dataframe_split": {"columns": ["a", "b"], "data": [[1, 1e39]]}}',
            422,
            "/dataframe_split/data/0/1",
            "beyond",
        ),
        ('{"dataframe_split": {"columns": ["a", "b"], "data": []}}', 422, "/dataframe_split/data", "length >= 1"),
        ('{"dataframe_split": [[1, 2]]}', 422, "/dataframe_split", "got array"),
        ('{"inputs": {"a": [1], "b": [1, 2]}}', 422, "/inputs", "columns of 1 and of 2 values"),
        ('{"inputs": {"a": [], "b": []}}', 422, "", "no rows came"),
        ('{"inputs": {}}', 422, "/inputs", "length >= 1"),
        ('{"inputs": {"a": ["x"], "b": [1]}}', 422, "/inputs/a/0", "has to be a number"),
        ('{"inputs": [[1, 2]]}', 422, "/inputs", "got array"),
        ('{"instances": [[1, 2]]}', 422, "/instances/0", "got array"),
        ('{"dataframe_records": ' + "[" * 19_000, 422, "/dataframe_records/0", "got array"),
        ('{"x": ' + "[" * 9000 + "]" * 9000 + "}", 422, "", "unknown key"),
    ],
)
def test_what_cannot_be_scored_is_told_with_its_place(
    client: TestClient, body: bytes | str, status: int, pointer: str | None, said: str
) -> None:
    found, problem = refused(client, body)
    assert (found, problem.get("pointer")) == (status, pointer), problem
    assert said in problem["detail"]


def test_the_limits_are_those_of_the_native_route(client: TestClient) -> None:
    many = [{"a": 1, "b": 2, "series": str(number)} for number in range(4)]
    assert refused(client, {"dataframe_records": many})[1]["detail"] == "4 series came; at most 3 are taken"
    long = [{"a": 1, "b": 2}] * 51
    assert (
        refused(client, {"dataframe_records": long})[1]["detail"] == "51 rows of one series came; at most 50 are taken"
    )
    assert refused(client, " " * 20_001)[0] == 413


@pytest.mark.parametrize("media", ["text/csv", "application/vnd.apache.parquet", ""])
def test_other_media_are_a_415(client: TestClient, media: str) -> None:
    answer = client.post("/invocations", content=b"a,b\n1,2\n", headers={"content-type": media})
    assert answer.status_code == 415
    assert answer.json()["detail"] == "send the header Content-Type: application/json"


def test_which_model_has_to_be_said_where_there_are_several(
    serve: Callable[..., TestClient], tiny_bundle: Bundle
) -> None:
    body = {"dataframe_records": rows()}
    with serve(north=tiny_bundle, south=tiny_bundle) as client:
        status, problem = refused(client, body)
        assert (status, problem["detail"]) == (422, "model: 2 models are served; name one: north, south")
        answer = client.post("/invocations?model=south&ref=1", json=body)
        assert (answer.status_code, answer.headers["x-gatecast-model"]) == (200, "south@1")
        assert refused(client, body, f"/invocations?model={MARK}")[0] == 404
        assert refused(client, body, f"/invocations?model=south&ref={MARK}")[0] == 404
        assert refused(client, body, f"/invocations?model={'x' * 129}")[0] == 422


def test_a_service_without_a_model_is_not_ready(serve: Callable[..., TestClient]) -> None:
    with serve() as client:
        assert [client.get(path).status_code for path in ("/ping", "/health")] == [503, 503]
        assert refused(client, {"dataframe_records": rows()})[0] == 503


def test_values_far_outside_are_refused_where_the_service_takes_none(
    serve: Callable[..., TestClient], tiny_bundle: Bundle
) -> None:
    far = [*rows(count=5), rows()[5] | {"a": 500.0}]
    with serve(Settings(device="cpu", log_url="memory", implausible="refuse"), tiny=tiny_bundle) as client:
        status, problem = refused(client, {"dataframe_records": far})
    assert status == 422
    assert "this service takes none" in problem["detail"]


def test_an_answer_that_is_not_finite_is_withheld(
    serve: Callable[..., TestClient], make_bundle: Callable[..., Bundle]
) -> None:
    bundle = make_bundle()
    with serve(tiny=bundle) as client, pytest.MonkeyPatch.context() as patch:
        patch.setattr("forecasting.prediction._usable", lambda z, _: [False] * len(z))
        assert refused(client, {"dataframe_records": rows()})[0] == 500


def test_the_published_examples_are_answered(client: TestClient) -> None:
    operation = client.get("/openapi.json").json()["paths"]["/invocations"]["post"]
    for example in operation["requestBody"]["content"]["application/json"]["examples"].values():
        body = json.dumps(example["value"]).replace('"temp"', '"a"').replace('"dewp"', '"b"')
        assert client.post("/invocations", content=body, headers=HEADERS).status_code == 200
    assert set(operation["responses"]["200"]["headers"]) == {
        "X-Gatecast-Model", "X-Gatecast-Run", "X-Gatecast-Warnings",
    }  # fmt: skip


def test_a_model_may_be_named_as_no_header_can_hold(tiny_folder: Path, folder_source: Any) -> None:
    with TestClient(
        create_app(Settings(device="cpu", log_url="memory"), folder_source({"größe": tiny_folder}))
    ) as client:
        answer = client.post("/invocations", json={"dataframe_records": rows()})
    assert answer.headers["x-gatecast-model"] == "gr%C3%B6%C3%9Fe@1"

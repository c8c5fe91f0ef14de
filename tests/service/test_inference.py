"""The Open Inference Protocol: by Triton's own client over a real socket, and what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tritonclient.http as triton
from starlette.testclient import TestClient
from tritonclient.utils import InferenceServerException

from forecasting.bundle import Bundle, save_bundle
from forecasting.prediction import Window, forecast
from service.settings import Settings
from tests.bundles import make_rich_bundle, rich_window, window
from tests.service.live import in_a_thread

MARK = "do-not-repeat-me"
INFER = "/v2/models/tiny/infer"
HEAD = "Inference-Header-Content-Length"
LAST = "2024-03-01T07:00:00Z"


@pytest.fixture(scope="module")
def live(tiny_folder: Path) -> Iterator[triton.InferenceServerClient]:
    with in_a_thread(Settings(device="cpu", log_url="memory"), tiny_folder) as one:
        client = triton.InferenceServerClient(f"127.0.0.1:{one.port}")
        yield client
        client.close()


@pytest.fixture(scope="module")
def live_rich(tmp_path_factory: pytest.TempPathFactory) -> Iterator[triton.InferenceServerClient]:
    folder = tmp_path_factory.mktemp("rich") / "bundle"
    save_bundle(make_rich_bundle(), folder)
    with in_a_thread(Settings(device="cpu", log_url="memory"), folder) as one:
        client = triton.InferenceServerClient(f"127.0.0.1:{one.port}")
        yield client
        client.close()


def tensor(name: str, values: Any, kind: str, *, binary: bool = True) -> triton.InferInput:
    found = triton.InferInput(name, list(values.shape), kind)
    found.set_data_from_numpy(values, binary_data=binary)
    return found


def texts(*values: str) -> np.ndarray:
    return np.array([value.encode() for value in values], dtype=np.object_)


def inputs_for(*windows: Window, binary: bool = True, kind: str = "FP32") -> list[triton.InferInput]:
    values = np.stack([one.values for one in windows]).astype({"FP32": np.float32, "FP64": np.float64}[kind])
    last = texts(*(f"{pd.Timestamp(one.times[-1]).isoformat()}Z" for one in windows if one.times is not None))
    found = [
        tensor("observations", values, kind, binary=binary),
        tensor("last_timestamp", last, "BYTES", binary=binary),
        tensor("series", texts(*(one.series or "" for one in windows)), "BYTES", binary=binary),
    ]
    if windows[0].ahead is not None:
        ahead = np.stack([one.ahead for one in windows if one.ahead is not None]).astype(np.float32)
        found.append(tensor("known_future", ahead, "FP32", binary=binary))
    return found


def same(found: np.ndarray, expected: np.ndarray, spread: float = 50.0) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-5 * spread)


class TestTritonClient:
    def test_it_finds_the_service_and_its_models(self, live: triton.InferenceServerClient) -> None:
        assert live.is_server_live()
        assert live.is_server_ready()
        assert live.is_model_ready("tiny")
        assert live.is_model_ready("tiny", "1")
        assert not live.is_model_ready("tiny", "2")
        assert not live.is_model_ready("other")
        server = live.get_server_metadata()
        assert (server["name"], server["extensions"]) == ("gatecast", ["binary_tensor_data"])
        described = live.get_model_metadata("tiny")
        assert (described["name"], described["versions"], described["platform"]) == ("tiny", ["1"], "gatecast")
        assert described["inputs"][0] == {"name": "observations", "datatype": "FP32", "shape": [-1, -1, 2]}
        names = ["point", "median", "interval_80", "interval_90", "interval_95", "timestamps"]
        assert [output["name"] for output in described["outputs"]] == names
        assert described["outputs"][3] == {"name": "interval_90", "datatype": "FP32", "shape": [-1, 2, 2, 2]}

    @pytest.mark.parametrize("binary", [True, False])
    @pytest.mark.parametrize("kind", ["FP32", "FP64"])
    def test_a_batch_has_the_forecasts_of_its_windows(
        self, live: triton.InferenceServerClient, tiny_bundle: Bundle, kind: str, binary: bool
    ) -> None:
        windows = [window(seed=1), window(seed=2, series="south")]
        found = live.infer("tiny", inputs_for(*windows, binary=binary, kind=kind), request_id="7")
        response = found.get_response()
        assert (response["model_name"], response["model_version"], response["id"]) == ("tiny", "1", "7")
        assert response["parameters"] == {"run_id": "r1"}
        for place, one in enumerate(windows):
            expected = forecast(tiny_bundle, one)
            same(found.as_numpy("point")[place], expected.point)
            same(found.as_numpy("median")[place], expected.median)
            same(found.as_numpy("interval_90")[place], np.stack(expected.intervals[90], axis=-1))
            assert found.as_numpy("timestamps")[place].tolist() == list(
                expected.instants if expected.times is not None else ()
            )

    def test_nan_is_a_missing_value(self, live: triton.InferenceServerClient, tiny_bundle: Bundle) -> None:
        gappy = window(missing=0.3)
        assert np.isnan(gappy.values).any()
        found = live.infer("tiny", inputs_for(gappy))
        same(found.as_numpy("point")[0], forecast(tiny_bundle, gappy).point)

    def test_covariates_known_in_advance_are_taken(self, live_rich: triton.InferenceServerClient) -> None:
        bundle, one = make_rich_bundle(), rich_window()
        found = live_rich.infer("tiny", inputs_for(one))
        same(found.as_numpy("point")[0], forecast(bundle, one).point)
        described = live_rich.get_model_metadata("tiny")
        assert {"name": "known_future", "datatype": "FP32", "shape": [-1, 2, 2]} in described["inputs"]

    def test_outputs_are_as_they_are_asked_for(self, live: triton.InferenceServerClient, tiny_bundle: Bundle) -> None:
        wanted = [
            triton.InferRequestedOutput("interval_80", binary_data=True),
            triton.InferRequestedOutput("median", binary_data=False),
        ]
        found = live.infer("tiny", inputs_for(window()), model_version="1", outputs=wanted)
        listed = found.get_response()["outputs"]
        assert [output["name"] for output in listed] == ["interval_80", "median"]
        assert ["data" in output for output in listed] == [False, True]
        expected = forecast(tiny_bundle, window(), [80])
        same(found.as_numpy("interval_80")[0], np.stack(expected.intervals[80], axis=-1))
        same(found.as_numpy("median")[0], expected.median)

    def test_levels_are_an_input_too(self, live: triton.InferenceServerClient) -> None:
        levels = tensor("levels", np.array([80, 95], dtype=np.int64), "INT64")
        found = live.infer("tiny", [*inputs_for(window()), levels])
        names = [output["name"] for output in found.get_response()["outputs"]]
        assert names == ["point", "median", "interval_80", "interval_95", "timestamps"]

    def test_times_may_be_nanoseconds(self, live: triton.InferenceServerClient) -> None:
        one = window()
        assert one.times is not None
        times = tensor("last_timestamp", np.array([one.times[-1]], dtype=np.int64), "INT64")
        plain = inputs_for(one)
        found = live.infer("tiny", [plain[0], times, plain[2]])
        assert found.as_numpy("timestamps")[0][0] == one.times[-1] + 3_600_000_000_000

    def test_it_shows_what_is_wrong(self, live: triton.InferenceServerClient) -> None:
        wide = tensor("observations", np.zeros((1, 4, 3), dtype=np.float32), "FP32")
        with pytest.raises(InferenceServerException, match="row 0 has 3 values; expected 2") as caught:
            live.infer("tiny", [wide])
        assert caught.value.status() == "422"
        with pytest.raises(InferenceServerException, match="the nearest name that is served is 'tiny'"):
            live.infer("tinny", inputs_for(window()))


def observations(**changes: Any) -> dict[str, Any]:
    return {"name": "observations", "shape": [2, 2], "datatype": "FP32", "data": [9.5, 1010, 10, 1005]} | changes


TIME = {"name": "last_timestamp", "shape": [1], "datatype": "BYTES", "data": [LAST]}
KNOWN = {"name": "known_future", "shape": [1, 1], "datatype": "FP32", "data": [1]}
LEVELS = {"name": "levels", "shape": [1], "datatype": "INT64", "data": [85]}


def body(*inputs: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"inputs": list(inputs), **more}


def refused(client: TestClient, content: bytes | str | dict[str, Any], **headers: str) -> tuple[int, dict[str, Any]]:
    raw = json.dumps(content) if isinstance(content, dict) else content
    answer = client.post(INFER, content=raw, headers=headers)
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.content) <= 1024
    assert MARK not in answer.text
    assert "Traceback" not in answer.text
    problem: dict[str, Any] = answer.json()
    return answer.status_code, problem


def test_json_may_be_nested_or_flat_and_come_without_a_media_type(client: TestClient) -> None:
    nested = observations(data=[[9.5, 1010], [10, 1005]])
    batch = observations(shape=[1, 2, 2], data=[[[9.5, 1010], [10, 1005]]])
    answers = [
        client.post(INFER, content=json.dumps(body(one, TIME)), headers=headers)
        for one, headers in (
            (observations(), {}),
            (nested, {"content-type": "application/json"}),
            (batch, {"content-type": "application/octet-stream"}),
        )
    ]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert answers[0].json() == answers[1].json() == answers[2].json()
    assert answers[0].headers["content-type"] == "application/json"
    assert answers[0].headers["x-gatecast-model"] == "tiny@1"
    assert answers[0].headers["x-gatecast-warnings"] == "short-window, unknown-series"
    for output in answers[0].json()["outputs"]:
        assert len(output["data"]) == math.prod(output["shape"])


@pytest.mark.parametrize(
    ("content", "status", "pointer", "said"),
    [
        ("", 400, None, "truncated"),
        ('{"inputs": [NaN]}', 400, None, "malformed"),
        (b'{"id": "\xff"}', 400, None, "UTF-8"),
        ("[]", 422, "", "got array"),
        ("{}", 422, "", "missing required field inputs"),
        (body(), 422, "/inputs", "length >= 1"),
        (body(TIME), 422, "/inputs", "observations is missing"),
        (body(observations(), TIME, observations()), 422, "/inputs/2", "came before"),
        (body(observations(name=MARK), TIME), 422, "/inputs/0", "no such input; known are observations"),
        (body(observations(), **{MARK: 1}), 422, "", "unknown key"),
        (body(observations(datatypes="FP32")), 422, "/inputs/0", "did you mean datatype?"),
        (body(observations(datatype="FP16")), 422, "/inputs/0/datatype", "Invalid enum value"),
        (body(observations(datatype="INT64", data=[1, 2, 3, 4])), 422, "/inputs/0/datatype", "FP32 or FP64"),
        (body(observations(shape=[])), 422, "/inputs/0/shape", "length >= 1"),
        (body(observations(shape=[4])), 422, "/inputs/0/shape", "[rows, columns]"),
        (body(observations(shape=[1, 1, 2, 2])), 422, "/inputs/0/shape", "length <= 3"),
        (body(observations(shape=[0, 2])), 422, "/inputs/0/shape/0", ">= 1"),
        (body(observations(shape=[-1, 2])), 422, "/inputs/0/shape/0", ">= 1"),
        (body(observations(shape=[10**18, 10**18])), 422, "/inputs/0/data", "data has 4 values"),
        (body(observations(data=[1, 2, 3])), 422, "/inputs/0/data", "data has 3 values"),
        (body(observations(data=[[1, 2], [3]])), 422, "/inputs/0/data", "does not have the shape [2, 2]"),
        (body(observations(data=[[1, 2], 3])), 422, "/inputs/0/data", "does not have the shape [2, 2]"),
        (body(observations(data=[[1, 2, 3, 4]])), 422, "/inputs/0/data", "does not have the shape [2, 2]"),
        (body(observations(data=[[[1], [2]], [[3], [4]]])), 422, "/inputs/0/data", "not of the datatype FP32"),
        (body(observations(data=[1, 2, 3, "4"])), 422, "/inputs/0/data", "not of the datatype FP32"),
        (body(observations(data=[1, 2, 3, True])), 422, "/inputs/0/data/3", "got bool"),
        (body(observations(data=[1, 2, 3, 10**300]), TIME), 422, "/inputs/0", "beyond what 32-bit floats hold"),
        (body(observations(data=[1, 2, 3, 10**400]), TIME), 422, "/inputs/0/data", "more digits"),
        (json.dumps(body(observations())).replace("1005", "1e400"), 422, "/inputs/0/data/3", "out of range"),
        (json.dumps(body(observations())).replace("1005", "9" * 5000), 422, "/inputs/0/data/3", "out of range"),
        (json.dumps(body(observations())).replace("9.5", "[" * 9000), 422, "/inputs/0/data/0/0/0", "got array"),
        (json.dumps(body(observations())).replace('"shape"', '"data": [1], "shape"'), 422, "", "a key stands twice"),
        (body(observations(data=None)), 422, "/inputs/0", "send data, or binary_data_size"),
        (body(observations(parameters={"binary_data_size": 16})), 422, "/inputs/0", "send data, or binary_data_size"),
        (body(observations(parameters={"shared_memory_region": "x"})), 422, "/inputs/0/parameters", "unknown key"),
        (body(observations(data=None, parameters={"binary_data_size": 16})), 422, "/inputs/0", "0 bytes came"),
        (body(observations(), TIME | {"data": ["now"]}), 422, "/inputs/1/data", "RFC 3339"),
        (body(observations(), TIME | {"data": ["2024-03-01T07:00:00"]}), 422, "/inputs/1/data", "RFC 3339"),
        (body(observations(), TIME | {"datatype": "INT64", "data": [2**63]}), 422, "/inputs/1/data", "more digits"),
        (body(observations(), TIME | {"datatype": "INT64", "data": [0.5]}), 422, "/inputs/1/data", "INT64"),
        (body(observations(), TIME | {"datatype": "INT64", "data": [2**63 - 1]}), 422, "/inputs/1", "1800 to 2199"),
        (body(observations(), TIME | {"datatype": "FP64", "data": [1]}), 422, "/inputs/1/datatype", "BYTES"),
        (body(observations(), TIME | {"shape": [2], "data": [LAST] * 2}), 422, "/inputs/1/shape", "2 came for 1"),
        (body(observations()), 422, "", "give timestamps, or last_timestamp"),
        (body(observations(), TIME, TIME | {"name": "series", "data": ["x" * 300]}), 422, "/inputs/2/data/0", "<= 256"),
        (body(observations(), TIME, KNOWN), 422, "/inputs/2", "leave known_future out"),
        (body(observations(), TIME, LEVELS), 422, "/inputs/2", "not calibrated"),
        (body(observations(), TIME, LEVELS | {"datatype": "FP32"}), 422, "/inputs/2/datatype", "INT32 or INT64"),
        (body(observations(), TIME, outputs=[{"name": MARK}]), 422, "/outputs/0", "it has point, median, interval_80"),
        (body(observations(), outputs=[{"name": "timestamps"}]), 422, "/outputs/0", "without the input last_timestamp"),
        (body(observations(shape=[4, 1, 1]), TIME), 422, "/inputs/0/shape", "at most 3 windows of 50 rows"),
        (body(observations(shape=[51, 2], data=[1.0] * 102), TIME), 422, "/inputs/0/shape", "at most 3 windows of 50"),
        (body(observations(), TIME, parameters={"priority": 1}), 422, "/parameters", "unknown key"),
    ],
)
def test_what_cannot_be_inferred_is_told_with_its_place(
    client: TestClient, content: bytes | str | dict[str, Any], status: int, pointer: str | None, said: str
) -> None:
    found, problem = refused(client, content)
    assert (found, problem.get("pointer")) == (status, pointer), problem
    assert said in problem["detail"]
    assert said in problem["error"]


def binary(raw: bytes, size: int | None = None, **changes: Any) -> tuple[bytes, dict[str, str]]:
    """Return a request whose first input is in binary, and its header."""
    parameters = {"binary_data_size": len(raw) if size is None else size}
    one = observations(parameters=parameters) | changes
    del one["data"]
    text = json.dumps(body(one, TIME)).encode()
    return text + raw, {HEAD: str(len(text))}


ROWS = np.array([[9.5, 1010], [10, 1005]], dtype="<f4").tobytes()


@pytest.mark.parametrize(
    ("raw", "size", "changes", "said"),
    [
        (ROWS[:-1], None, {}, "15 bytes came, said were 15; the shape [2, 2] of FP32 has 16"),
        (ROWS, 8, {}, "8 bytes came"),
        (ROWS, 10**18, {}, "16 bytes came"),
        (ROWS, None, {"shape": [10**9, 10**9]}, "16 bytes came"),
        (ROWS + b"x", 16, {}, "1 bytes behind the JSON belong to no input"),
        (ROWS[:8] + b"\x00\x00\x80\x7f" + ROWS[12:], None, {}, "row 1, column 0 is beyond"),
        (b"\xff\xff\xff\xff1", None, {"name": "series", "shape": [1], "datatype": "BYTES"}, "cut off"),
        (b"\x01\x00", None, {"name": "series", "shape": [1], "datatype": "BYTES"}, "cut off"),
        (b"\x01\x00\x00\x00\xff", None, {"name": "series", "shape": [1], "datatype": "BYTES"}, "not UTF-8"),
        (b"\x01\x00\x00\x00x", None, {"name": "series", "shape": [2], "datatype": "BYTES"}, "1 texts came"),
        (b"\x00\x04\x00\x00" + b"x" * 1024, None, {"name": "series", "shape": [1], "datatype": "BYTES"}, "256 bytes"),
    ],
)
def test_bytes_that_are_not_as_they_are_said_to_be_are_refused(
    client: TestClient, raw: bytes, size: int | None, changes: dict[str, Any], said: str
) -> None:
    content, headers = binary(raw, size, **changes)
    status, problem = refused(client, content, **headers)
    assert status == 422
    assert said in problem["detail"]


@pytest.mark.parametrize("head", ["x", "-1", "1e2", "99999", "9" * 20, "٣", ""])
def test_a_length_that_cannot_be_is_refused(client: TestClient, head: str) -> None:
    content, _ = binary(ROWS)
    answer = client.post(INFER, content=content, headers=[(HEAD.encode(), head.encode())])
    assert answer.status_code == 422
    assert HEAD in answer.json()["detail"]


def test_a_body_too_large_and_one_that_is_packed_are_refused(client: TestClient) -> None:
    assert refused(client, " " * 20_001)[0] == 413
    assert refused(client, "{}", **{"content-encoding": "gzip"})[0] == 415
    assert refused(client, "{}", **{"content-type": "text/csv"})[0] == 415


def test_a_service_without_a_model_is_alive_and_not_ready(serve: Callable[..., TestClient]) -> None:
    with serve() as client:
        assert client.get("/v2/health/live").status_code == 200
        assert client.get("/v2").json()["name"] == "gatecast"
        for path in ("/v2/health/ready", "/v2/models/tiny", "/v2/models/tiny/ready"):
            answer = client.get(path)
            assert answer.status_code == 503
            assert answer.json()["error"]


def test_an_answer_that_is_not_finite_is_withheld(serve: Callable[..., TestClient], tiny_bundle: Bundle) -> None:
    with serve(tiny=tiny_bundle) as client, pytest.MonkeyPatch.context() as patch:
        patch.setattr("forecasting.prediction._usable", lambda z, _: [False] * len(z))
        status, problem = refused(client, body(observations(), TIME))
    assert (status, problem["error"]) == (500, "The model's answer is not finite and is withheld")


def test_the_published_example_is_answered(client: TestClient) -> None:
    operation = client.get("/openapi.json").json()["paths"]["/v2/models/{name}/infer"]["post"]
    assert set(operation["requestBody"]["content"]) == {"application/json", "application/octet-stream"}
    for example in operation["requestBody"]["content"]["application/json"]["examples"].values():
        assert client.post(INFER, json=example["value"]).status_code == 200

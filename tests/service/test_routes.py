from collections.abc import Callable

from starlette.testclient import TestClient

from forecasting.bundle import Bundle


def test_the_list_of_models_pages(serve: Callable[..., TestClient], tiny_bundle: Bundle) -> None:
    with serve(**dict.fromkeys(["c", "a", "e", "b", "d"], tiny_bundle)) as client:
        seen, cursor = [], {}
        while cursor is not None:
            page = client.get("/v1/models", params={"limit": 2, **cursor}).json()
            seen.append([model["name"] for model in page["models"]])
            cursor = {"cursor": page["next"]} if page["next"] else None
    assert seen == [["a", "b"], ["c", "d"], ["e"]]


def test_a_parameter_out_of_range_is_a_problem(client: TestClient) -> None:
    for query in ("limit=0", "limit=1001", "limit=x", "cursor=%25%25", "cursor=gA=", "cursor=gA==="):
        answer = client.get(f"/v1/models?{query}")
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_model_is_described(client: TestClient) -> None:
    described = client.get("/v1/models/tiny").json()
    assert described["columns"] == {"targets": ["a", "b"], "past": [], "known": [], "static": []}
    assert (described["static"], described["levels"], described["card"]) == ([], [80, 90, 95], None)
    assert described["streaming"] is None  # not measured
    assert (described["freq"], described["timezone"], described["horizon"]) == ("h", "UTC", 2)
    assert (described["lookback"], described["missing"], described["needs_time"]) == (6, True, True)
    assert described["series"] == {"count": 2, "ids": ["north", "south"]}
    assert described["limits"] == {
        "max_body_bytes": 20_000,
        "max_rows": 50,
        "max_windows": 3,
        "max_queue": 256,
        "deadline_seconds": 10.0,
        "receive_seconds": 10.0,
        "max_depth": 5,
    }
    assert described["device"] == "cpu"
    assert described["model"]["run_id"] == "r1"


def test_a_model_with_covariates_is_described_by_role(rich_client: TestClient) -> None:
    described = rich_client.get("/v1/models/tiny").json()
    assert described["columns"] == {
        "targets": ["a", "b"],
        "past": ["rain"],
        "known": ["price", "holiday"],
        "static": ["size", "region"],
    }
    assert described["static"] == [
        {"name": "size", "kind": "number", "count": None, "values": None},
        {"name": "region", "kind": "category", "count": 2, "values": ["coast", "hill"]},
    ]


def test_a_model_without_calibration_has_no_levels(
    serve: Callable[..., TestClient], make_bundle: Callable[..., Bundle]
) -> None:
    with serve(tiny=make_bundle(calibration=None)) as client:
        assert client.get("/v1/models/tiny").json()["levels"] == []


def test_an_unknown_model_is_a_404_that_names_the_nearest(client: TestClient) -> None:
    for answer in (client.get("/v1/models/tinny"), client.post("/v1/models/tinny/forecast")):
        assert answer.status_code == 404
        assert "'tiny'" in answer.json()["detail"]
        assert "tinny" not in answer.text


def test_a_name_that_no_model_can_have_is_a_problem(client: TestClient) -> None:
    assert client.get(f"/v1/models/{'x' * 129}").status_code == 422


def test_paths_and_methods_that_are_not_there_are_problems(client: TestClient) -> None:
    nowhere, wrong = client.get("/v9"), client.get("/v1/models/tiny/forecast")
    assert (nowhere.status_code, wrong.status_code) == (404, 405)
    assert wrong.headers["allow"] == "POST"
    for answer in (nowhere, wrong):
        assert answer.headers["content-type"] == "application/problem+json"


def test_the_process_is_live_and_ready(client: TestClient) -> None:
    assert client.get("/livez").json() == {"live": True}
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert [(model["name"], model["version"]) for model in ready.json()["models"]] == [("tiny", "1")]
    assert ready.json()["refused"] == {}


def test_docs_are_served(client: TestClient) -> None:
    assert client.get("/docs").status_code == 200

import json
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from forecasting.bundle import Bundle
from forecasting.calendar import Calendar
from forecasting.engines import EagerEngine, engine_for
from forecasting.prediction import Window, forecast
from service.answers import shortest
from tests.bundles import make_rich_bundle
from tests.forecasting.panels import close

FORECAST = "/v1/models/tiny/forecast"
HOUR = 3_600_000_000_000
LAST = 1_709_258_400_000_000_000  # 2024-03-01T02:00:00Z


def test_the_answer_names_the_model_and_every_step(client: TestClient, good: dict[str, Any]) -> None:
    answer = client.post(FORECAST, json=good).json()
    assert list(answer) == ["model", "forecast", "units", "status", "warnings"]
    assert answer["model"] == {
        "name": "tiny",
        "version": "1",
        "alias": "production",
        "run_id": "r1",
        "data_hash": "sha256:00",
    }
    first, second = answer["forecast"]
    assert list(first) == ["timestamp", "step", "point", "median", "intervals"]
    assert (first["timestamp"], first["step"]) == ("2024-03-01T03:00:00Z", 1)
    assert list(first["intervals"]) == ["90"]
    assert list(first["intervals"]["90"]) == ["a", "b"]
    assert (second["timestamp"], second["step"]) == ("2024-03-01T04:00:00Z", 2)
    assert (answer["units"], answer["status"]) == ({"a": "degF"}, "ready")
    assert [warning["code"] for warning in answer["warnings"]] == ["short-window"]


def test_the_answer_is_the_forecast_of_the_bundle(
    client: TestClient, tiny_bundle: Bundle, good: dict[str, Any]
) -> None:
    window = Window(np.float32(good["observations"]), LAST + HOUR * np.arange(-2, 1), "north")
    expected = forecast(tiny_bundle, window, [95, 80], engine=engine_for(tiny_bundle.forecaster))
    steps = client.post(FORECAST, json=good | {"levels": [95, 80]}).json()["forecast"]
    np.testing.assert_array_equal(rows_of(steps, "point"), expected.point)
    np.testing.assert_array_equal(rows_of(steps, "median"), expected.median)
    assert list(steps[0]["intervals"]) == ["95", "80"]
    for level in (80, 95):
        intervals = rows_of([step["intervals"] for step in steps], str(level))
        np.testing.assert_array_equal(np.moveaxis(intervals, -1, 0), np.stack(expected.intervals[level]))


def rows_of(steps: list[dict[str, Any]], key: str) -> np.ndarray:
    """Return what is said by step and column, as the 32-bit floats it was written from."""
    return np.float32([list(step[key].values()) for step in steps])


class TestCovariates:
    def test_are_part_of_what_is_asked(self, rich_client: TestClient, rich: dict[str, Any]) -> None:
        answer = rich_client.post(FORECAST, json=rich).json()
        values, ahead = np.float32(rich["observations"]), np.float32(rich["known_future"])
        window = Window(values, LAST + HOUR * np.arange(-1, 1), "north", ahead)
        bundle = make_rich_bundle()
        expected = forecast(bundle, window, engine=engine_for(bundle.forecaster))
        np.testing.assert_array_equal(rows_of(answer["forecast"], "point"), expected.point)

    def test_known_ahead_move_their_own_step_alone(self, rich_client: TestClient, rich: dict[str, Any]) -> None:
        other = rich | {"known_future": [rich["known_future"][0], [20.0, 1]]}
        before, after = (rich_client.post(FORECAST, json=one).json()["forecast"] for one in (rich, other))
        assert before[0] == after[0]
        assert before[1] != after[1]

    def test_known_ahead_are_needed_for_the_steps_asked_for(
        self, rich_client: TestClient, rich: dict[str, Any]
    ) -> None:
        whole = rich_client.post(FORECAST, json=rich).json()["forecast"]
        fewer = rich | {"known_future": rich["known_future"][:1], "horizon": 1}
        assert rich_client.post(FORECAST, json=fewer).json()["forecast"] == whole[:1]

    def test_static_ones_are_known_of_a_known_series(self, rich_client: TestClient, rich: dict[str, Any]) -> None:
        again = rich | {"static": {"size": 4, "region": "coast"}}
        assert rich_client.post(FORECAST, json=again).json() == rich_client.post(FORECAST, json=rich).json()

    def test_of_a_series_nobody_knows_are_said_to_be_unknown(
        self, rich_client: TestClient, rich: dict[str, Any]
    ) -> None:
        answer = rich_client.post(FORECAST, json=rich | {"series": "west", "static": {"size": 9}}).json()
        assert answer["status"] == "cold"
        assert [one["code"] for one in answer["warnings"]] == ["short-window", "unknown-series", "unknown-static"]
        assert "region" in answer["warnings"][2]["detail"]

    def test_answers_keep_to_what_is_possible(self, rich_client: TestClient, rich: dict[str, Any]) -> None:
        for step in rich_client.post(FORECAST, json=rich).json()["forecast"]:
            said = [step["point"]["b"], step["median"]["b"], *step["intervals"]["90"]["b"]]
            assert all(0 <= one <= 9 and one == int(one) for one in said)

    @pytest.mark.parametrize(
        ("change", "pointer", "said"),
        [
            ({"known_future": None}, "/known_future", "needs 2 rows of [price, holiday]"),
            ({"known_future": [[32.0, 1]]}, "/known_future", "1 rows came"),
            ({"known_future": [[32.0, 1]] * 3}, "/known_future", "3 rows came"),
            ({"known_future": [[32.0, 1], [32.0]]}, "/known_future/1", "row 1 has 1 values; expected 2"),
            ({"known_future": [[32.0, 1], [32.0, "x"]]}, "/known_future/1/1", "got str"),
            ({"known_future": [[0.0]] * 1001}, "/known_future", "length <= 1000"),
            ({"static": {"sise": 4}}, "/static", "did you mean 'size'?"),
            ({"static": {"size": [4]}}, "/static", "got array"),
            ({"static": [4]}, "/static", "got array"),
        ],
    )
    def test_that_are_wrong_are_a_422_with_a_pointer(
        self, rich_client: TestClient, rich: dict[str, Any], change: dict[str, Any], pointer: str, said: str
    ) -> None:
        answer = rich_client.post(FORECAST, json=rich | change)
        assert (answer.status_code, answer.json()["pointer"]) == (422, pointer)
        assert said in answer.json()["detail"]


def test_without_levels_there_are_no_intervals(client: TestClient, good: dict[str, Any]) -> None:
    steps = client.post(FORECAST, json=good | {"levels": []}).json()["forecast"]
    assert [step["intervals"] for step in steps] == [{}, {}]


def test_a_model_without_calibration_answers_without_intervals(
    serve: Callable[..., TestClient], make_bundle: Callable[..., Bundle], good: dict[str, Any]
) -> None:
    with serve(tiny=make_bundle(calibration=None)) as client:
        assert client.post(FORECAST, json=good).json()["forecast"][0]["intervals"] == {}
        refused = client.post(FORECAST, json=good | {"levels": [90]})
    assert (refused.status_code, refused.json()["pointer"]) == (422, "/levels")


def test_a_series_of_which_nothing_is_known_is_cold(client: TestClient, good: dict[str, Any]) -> None:
    assert client.post(FORECAST, json=good | {"series": "west"}).json()["status"] == "cold"
    longer = good | {"series": "west", "observations": good["observations"] * 2}
    assert client.post(FORECAST, json=longer).json()["status"] == "ready"


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_numbers_are_written_short_and_are_the_same_numbers(numbers: list[float]) -> None:
    values = np.float32(numbers)
    short = shortest(values)
    np.testing.assert_array_equal(np.float32(short), values)
    for number, value in zip(short, values, strict=True):
        if value == 0 or 1e-3 < abs(value) < 1e9:
            assert len(repr(number)) <= len(repr(float(str(value))))


def test_a_number_with_few_digits_is_written_with_them() -> None:
    assert shortest(np.float32([39.02, 0.1, -1048.36, 16777215, 0])) == [39.02, 0.1, -1048.36, 16777215.0, 0.0]


def test_named_columns_timestamps_and_last_timestamp_say_the_same(client: TestClient, good: dict[str, Any]) -> None:
    named = {
        "columns": ["b", "a"],
        "data": [row[::-1] for row in good["observations"]],
        "timestamps": ["2024-03-01T00:00:00Z", "2024-03-01T02:00:00+01:00", "2024-02-29T21:00:00-05:00"],
        "series": "north",
    }
    assert client.post(FORECAST, json=named).json() == client.post(FORECAST, json=good).json()


def test_a_shorter_horizon_returns_fewer_steps(client: TestClient, good: dict[str, Any]) -> None:
    whole = client.post(FORECAST, json=good).json()["forecast"]
    assert client.post(FORECAST, json=good | {"horizon": 1}).json()["forecast"] == whole[:1]


def test_several_windows_are_answered_in_order(client: TestClient, good: dict[str, Any]) -> None:
    other = good | {"series": "south", "horizon": 1}
    several = client.post(FORECAST, json={"windows": [other, good]}).json()
    alone = [client.post(FORECAST, json=one).json() for one in (other, good)]
    assert list(several) == ["model", "forecasts", "units"]
    for found, one in zip(several["forecasts"], alone, strict=True):
        assert (found["status"], found["warnings"]) == (one["status"], one["warnings"])
        for part in ("point", "median"):  # computed together, so the same but for rounding
            close(rows_of(found["forecast"], part), rows_of(one["forecast"], part))


def test_what_is_odd_about_a_window_is_said(client: TestClient) -> None:
    odd = {
        "observations": [[None, 1.0], [1e6, 2.0]],
        "timestamps": ["2024-03-01T00:00:00Z", "2024-03-01T02:00:00Z"],
        "series": "elsewhere",
    }
    codes = [warning["code"] for warning in client.post(FORECAST, json=odd).json()["warnings"]]
    assert codes == ["gap", "short-window", "unknown-series", "implausible", "never-observed"]


def test_fractions_of_a_second_are_written_where_they_are(
    serve: Callable[..., TestClient], make_bundle: Callable[..., Bundle], good: dict[str, Any]
) -> None:
    with serve(tiny=make_bundle(calendar=Calendar(freq="250ms"))) as client:
        steps = client.post(FORECAST, json=good).json()["forecast"]
    assert [step["timestamp"] for step in steps] == ["2024-03-01T02:00:00.250000000Z", "2024-03-01T02:00:00.500000000Z"]


def test_without_times_a_model_without_calendar_answers_without(
    serve: Callable[..., TestClient], make_bundle: Callable[..., Bundle], good: dict[str, Any]
) -> None:
    del good["last_timestamp"]
    with serve(tiny=make_bundle(calendar=Calendar(freq="YS"))) as client:
        answer = client.post(FORECAST, json=good)
    assert answer.status_code == 200
    assert answer.json()["forecast"][0]["timestamp"] is None


def test_many_threads_get_what_one_gets_to_the_bit(client: TestClient, good: dict[str, Any]) -> None:
    draw = np.random.default_rng(0)
    bodies = [
        good | {"observations": (draw.normal(size=(int(rows), 2)) * [2, 50] + [10, 1000]).tolist()}
        for rows in draw.integers(1, 50, 24)
    ]

    def post(body: dict[str, Any]) -> bytes:
        return client.post(FORECAST, json=body).content

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(post, bodies)) == [post(body) for body in bodies]


def _numbers(tree: Any) -> list[float]:
    if isinstance(tree, dict | list):
        children = tree.values() if isinstance(tree, dict) else tree
        return [number for child in children for number in _numbers(child)]
    return [tree] if isinstance(tree, float) else []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
cells = st.none() | st.floats() | st.integers(-(10**40), 10**40) | json_values
bodies = st.fixed_dictionaries(
    {"observations": st.lists(st.lists(cells, min_size=2, max_size=2), min_size=1, max_size=4) | json_values},
    optional={
        "last_timestamp": st.datetimes().map(lambda time: time.isoformat() + "Z") | json_values,
        "timestamps": st.lists(st.datetimes().map(lambda time: time.isoformat() + "Z"), max_size=4) | json_values,
        "horizon": st.integers(-1, 3) | json_values,
        "series": st.text(max_size=3) | json_values,
        "levels": st.lists(st.sampled_from([80, 90, 95]), max_size=3) | json_values,
        "known_future": json_values,
        "static": json_values,
        "columns": st.permutations(["a", "b"]) | json_values,
    },
)
rows_of_numbers = st.lists(
    st.tuples(*[st.none() | st.floats(width=32, allow_nan=False, allow_infinity=False)] * 2), min_size=1, max_size=5
).map(lambda rows: {"observations": rows, "last_timestamp": "2024-03-01T02:00:00Z"})


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(body=bodies | rows_of_numbers | json_values)
def test_whatever_comes_no_answer_is_ours_to_blame_and_no_200_is_not_finite(client: TestClient, body: Any) -> None:
    answer = client.post(FORECAST, content=_encode(body), headers={"content-type": "application/json"})
    assert answer.status_code in {200, 400, 422}
    if answer.status_code == 200:
        said = msgspec.json.decode(answer.content)
        numbers = _numbers(said)
        assert len(numbers) == sum(4 + 4 * len(step["intervals"]) for step in said["forecast"])
        assert all(math.isfinite(number) for number in numbers)
    else:
        assert len(answer.content) <= 1024


def _encode(body: Any) -> bytes:
    """Write JSON as Python does: with NaN and Infinity, and integers of any length."""
    return json.dumps(body).encode()


@pytest.mark.parametrize("broken", [float("inf"), float("nan")])
def test_an_answer_that_is_not_finite_is_withheld(
    serve: Callable[..., TestClient], make_bundle: Callable[..., Bundle], good: dict[str, Any], broken: float
) -> None:
    with serve(tiny=make_bundle()) as client:
        model = client.app.app.state.models.find("tiny")  # type: ignore[attr-defined]
        model.__dict__["engine"] = EagerEngine(model.bundle.forecaster)  # it sees what changes in the network
        model.bundle.forecaster.members[0].head.bias[0] = broken
        answer = client.post(FORECAST, json=good)
    assert answer.status_code == 500
    assert answer.json()["type"] == "urn:gatecast:problem:non-finite-output"
    assert "detail" not in answer.json()

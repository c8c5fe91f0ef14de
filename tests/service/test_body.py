"""Every way a forecast request can be wrong, with the status, the pointer and words of its answer."""

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

FORECAST = "/v1/models/tiny/forecast"
MARK = "do-not-repeat-me"


def post(client: TestClient, body: bytes | str | dict[str, Any], **headers: str) -> tuple[int, dict[str, Any]]:
    content = json.dumps(body) if isinstance(body, dict) else body
    answer = client.post(FORECAST, content=content, headers={"content-type": "application/json", **headers})
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.content) <= 1024
    assert MARK not in answer.text
    assert "Traceback" not in answer.text
    return answer.status_code, answer.json()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "truncated"),
        ("{", "truncated"),
        ("not json", "malformed"),
        ('{"observations": [[1, NaN]]}', "malformed"),
        ('{"observations": [[1, Infinity]]}', "malformed"),
        ('{"observations": [[1, -Infinity]]}', "malformed"),
        ('{"observations": [[1, 2]]} {}', "malformed"),
        (b'{"series": "\xff"}', "UTF-8"),
        (b"\x1f\x8b\x08\x00", "malformed"),
        ("a,b\n1,2\n", "malformed"),
    ],
)
def test_what_is_not_json_is_a_400(client: TestClient, body: bytes | str, said: str) -> None:
    status, problem = post(client, body)
    assert status == 400
    assert said in problem["detail"]


@pytest.mark.parametrize(
    ("body", "pointer", "said"),
    [
        ("[]", "", "Expected object, got array"),
        ("3", "", "Expected object, got int"),
        ("null", "", "Expected object, got null"),
        ("{}", "", "send observations, or columns with data"),
        ('{"observations": []}', "/observations", "length >= 1"),
        ('{"observations": [[]]}', "/observations/0", "row 0 has 0 values; expected 2"),
        ('{"observations": [[1, 2], [1]]}', "/observations/1", "row 1 has 1 values; expected 2"),
        ('{"observations": [[1, 2, 3]]}', "/observations/0", "row 0 has 3 values; expected 2"),
        ('{"observations": [1, 2]}', "/observations/0", "Expected array"),
        ('{"observations": 1}', "/observations", "got int"),
        ('{"observations": [[1, "2"]]}', "/observations/0/1", "got str"),
        ('{"observations": [[1, "NaN"]]}', "/observations/0/1", "got str"),
        ('{"observations": [[1, true]]}', "/observations/0/1", "got bool"),
        ('{"observations": [[1, {}]]}', "/observations/0/1", "got object"),
        ('{"observations": [[1, 1e39]]}', "/observations/0/1", "row 0, column 1 is beyond"),
        ('{"observations": [[1, 1e308]]}', "/observations/0/1", "row 0, column 1 is beyond"),
        ('{"observations": [[1, 1e309]]}', "/observations/0/1", "out of range"),
        ('{"observations": [[1, ' + "9" * 5000 + "]]}", "/observations/0/1", "out of range"),
        ('{"observations": [[1, 3e38]], "last_timestamp": "2024-01-01T00:00:00Z"}', "", "standard deviations"),
        ('{"observations": ' + "[" * 900 + "]" * 900 + "}", "/observations/0/0", "got array"),
        ('{"x": ' + "[" * 9000 + "]" * 9000 + "}", "", "unknown key"),
        ("[" * 19_000, "", "got array"),
        ('{"horizon": ' + "9" * 5000 + "}", "/horizon", "out of range"),
        ('{"observations": [[null, null]], "last_timestamp": "2024-01-01T00:00:00Z"}', "", "no observed value"),
        ('{"observation": [[1, 2]]}', "", "did you mean observations?"),
        (f'{{"{MARK}": 1}}', "", "unknown key; valid are observations, columns, data"),
        ('{"static": {}}', "", "send observations, or columns with data"),
        ('{"observations": [[1, 2]], "static": {"x": 1}}', "/static", "it takes none"),
        ('{"known_future": []}', "/known_future", "length >= 1"),
        ('{"observations": [[1, 2]], "known_future": [[1]]}', "/known_future", "leave known_future out"),
        ('{"explain": true}', "/explain", "Expected str | null"),
        ('{"observations": [[1, 2]], "observations": [[1, 2]]}', "", "a key stands twice"),
        ('{"series": "[", "observations": [[1, 2]], "series": "]"}', "", "a key stands twice"),
        ('{"windows": [{"observations": [[1, 2]], "observ\\u0061tions": [[1, 2]]}]}', "", "a key stands twice"),
        ('{"data": [[1, 2]]}', "", "columns with data"),
        ('{"columns": ["a", "b"]}', "", "columns with data"),
        ('{"columns": ["a", "b"], "observations": [[1, 2]]}', "", "columns with data"),
        ('{"columns": ["a", "b"], "data": [[1, 2]], "observations": [[1, 2]]}', "", "columns with data"),
        (f'{{"columns": ["a", "{MARK}"], "data": [[1, 2]]}}', "/columns/1", "it takes a, b"),
        ('{"columns": ["a", "bb"], "data": [[1, 2]]}', "/columns/1", "did you mean 'b'?"),
        ('{"columns": ["a"], "data": [[1]]}', "/columns", "column 'b' is missing"),
        ('{"observations": [[1, 2]]}', "/last_timestamp", "give timestamps, or last_timestamp"),
        ('{"last_timestamp": "2024-01-01T00:00:00"}', "/last_timestamp", "timezone"),
        ('{"last_timestamp": "2024-01-01"}', "/last_timestamp", "RFC3339"),
        ('{"last_timestamp": 1704067200}', "/last_timestamp", "got int"),
        ('{"observations": [[1, 2]], "last_timestamp": "0001-01-01T00:00:00+23:59"}', "/last_timestamp", "1800"),
        ('{"observations": [[1, 2]], "last_timestamp": "9999-12-31T23:59:59-23:59"}', "/last_timestamp", "1800"),
        ('{"observations": [[1, 2]], "last_timestamp": "2199-12-31T23:30:00Z"}', "", "1800 to 2199"),
        ('{"observations": [[1, 2]], "timestamps": []}', "/timestamps", "0 timestamps came for 1 rows"),
        ('{"observations": [[1, 2]], "timestamps": ["x"]}', "/timestamps/0", "RFC3339"),
        ('{"observations": [[1, 2]], "horizon": 3}', "/horizon", "forecasts 2 steps"),
        ('{"observations": [[1, 2]], "horizon": 0}', "/horizon", ">= 1"),
        ('{"observations": [[1, 2]], "horizon": 1.5}', "/horizon", "got float"),
        ('{"observations": [[1, 2]], "horizon": 2, "levels": [0]}', "/levels/0", ">= 1"),
        ('{"observations": [[1, 2]], "levels": [90.5]}', "/levels/0", "got float"),
        (
            '{"observations": [[1, 2]], "last_timestamp": "2024-01-01T00:00:00Z", "levels": [90, 85]}',
            "/levels/1",
            "level 85 is not calibrated; this model has 80, 90, 95",
        ),
        ('{"series": 7}', "/series", "got int"),
        (f'{{"series": "{"x" * 300}"}}', "/series", "length <= 256"),
        ('{"observations": [' + ",".join(["[1, 2]"] * 51) + "]}", "/observations", "51 rows came; at most 50"),
        ('{"windows": []}', "/windows", "length >= 1"),
        ('{"windows": [{}, {}, {}, {}]}', "/windows", "4 windows came; at most 3"),
        ('{"windows": [{}]}', "/windows/0", "send observations"),
        ('{"windows": [{"windows": []}]}', "/windows/0", "unknown key"),
        ('{"windows": [{"observations": [[1, "2"]]}]}', "/windows/0/observations/0/1", "got str"),
        ('{"windows": [{"observations": [[1, 2]]}]}', "/windows/0/last_timestamp", "give timestamps"),
        ('{"windows": [{}], "horizon": 1}', "/horizon", "belongs into each window"),
    ],
)
def test_json_that_is_no_window_is_a_422_with_a_pointer(client: TestClient, body: str, pointer: str, said: str) -> None:
    status, problem = post(client, body)
    assert (status, problem["pointer"]) == (422, pointer)
    assert said in problem["detail"]


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/csv"},
        {"content-type": ""},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-encoding": "gzip"},
    ],
)
def test_other_media_are_a_415(client: TestClient, headers: dict[str, str]) -> None:
    assert post(client, "{}", **headers)[0] == 415


def test_no_media_at_all_is_a_415(client: TestClient) -> None:
    assert client.post(FORECAST, content=b"{}").status_code == 415


def test_parameters_of_the_media_type_are_allowed(client: TestClient) -> None:
    assert post(client, "{}", **{"content-type": "Application/JSON; charset=utf-8"})[0] == 422


def test_a_body_declared_too_large_is_a_413(client: TestClient) -> None:
    status, problem = post(client, " " * 20_001)
    assert (status, problem["detail"]) == (413, "the body has more than 20,000 bytes; send fewer rows or windows")


def test_a_body_that_grows_too_large_is_a_413(client: TestClient) -> None:
    chunks = (b" " * 1000 for _ in range(100))
    answer = client.post(FORECAST, content=chunks, headers={"content-type": "application/json"})
    assert answer.status_code == 413


def test_brackets_in_strings_do_not_hide_a_repeated_key(client: TestClient, good: dict[str, Any]) -> None:
    assert client.post(FORECAST, json=good | {"series": 'a[1]"[{}'}).status_code == 200

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

FORECAST = "/v1/models/{name}/forecast"


@pytest.fixture
def published(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(client.get("/openapi.json").text)
    return found


def references(tree: Any) -> Iterator[str]:
    if isinstance(tree, dict):
        if isinstance(tree.get("$ref"), str):
            yield tree["$ref"]
        tree = list(tree.values())
    if isinstance(tree, list):
        for one in tree:
            yield from references(one)


def test_every_reference_leads_somewhere(published: dict[str, Any]) -> None:
    known = {f"#/components/schemas/{name}" for name in published["components"]["schemas"]}
    assert set(references(published)) <= known


def test_every_status_is_there_and_every_failure_is_a_problem(published: dict[str, Any]) -> None:
    paths = {
        path: item for path, item in published["paths"].items() if "/streams" not in path
    }  # see tests/service/streams
    assert {path: set(item[next(iter(item))]["responses"]) for path, item in paths.items()} == {
        FORECAST: {"200", "400", "401", "403", "404", "408", "409", "413", "415", "422", "500", "503"},
        "/v1/models": {"200", "401", "403", "422", "500"},
        "/v1/models/{name}": {"200", "401", "403", "404", "422", "500", "503"},
        "/v1/models/{name}/memory": {"200", "401", "403", "404", "422", "500", "503"},
        "/v1/admin/reload": {"200", "401", "403", "500", "503"},
        "/v1/admin/webhook": {"202", "403", "404", "408", "413", "415", "500"},
        "/livez": {"200", "500"},
        "/readyz": {"200", "500", "503"},
        "/metrics": {"200", "401", "500"},
        "/invocations": {"200", "400", "401", "403", "404", "408", "413", "415", "422", "500", "503"},
        "/ping": {"200", "500", "503"},
        "/health": {"200", "500", "503"},
        "/version": {"200", "401", "500"},
        "/v2": {"200", "401", "403", "500"},
        "/v2/health/live": {"200", "500"},
        "/v2/health/ready": {"200", "500", "503"},
        **{
            f"/v2/models/{{name}}{version}{end}": {"200", "401", "403", "404", "422", "500", "503"}
            for version in ("", "/versions/{version}")
            for end in ("", "/ready")
        },
        **{
            f"/v2/models/{{name}}{version}/infer": {
                *("200", "400", "401", "403", "404", "408", "413", "415", "422", "500", "503")
            }
            for version in ("", "/versions/{version}")
        },
    }
    for item in published["paths"].values():
        for operation in item.values():
            for status, response in operation["responses"].items():
                media = list(response.get("content", ()))
                assert (media == ["application/problem+json"]) == (status not in {"200", "202", "204"})


def test_the_limits_of_this_service_are_published(published: dict[str, Any]) -> None:
    request = published["components"]["schemas"]["ForecastRequest"]
    assert request["properties"]["windows"]["anyOf"][0]["maxItems"] == 3
    assert request["properties"]["observations"]["anyOf"][0]["maxItems"] == 50
    assert request["additionalProperties"] is False
    said = published["paths"][FORECAST]["post"]["requestBody"]["description"]
    assert said == (
        "At most 20,000 bytes, 50 rows a window, 3 windows, nested 5 deep; here within 10 s. "
        "Of all requests together 256 windows may wait, none longer than 10 s."
    )


def test_the_published_examples_are_answered(
    client: TestClient, rich_client: TestClient, published: dict[str, Any]
) -> None:
    media = published["paths"][FORECAST]["post"]["requestBody"]["content"]["application/json"]
    ours = {"temp": "a", "dewp": "b", "demand": "a", "visitors": "b"}
    for name, example in media["examples"].items():
        body = json.dumps(example["value"])
        named = json.loads(re.sub("|".join(ours), lambda found: ours[found[0]], body))
        asked = rich_client if name == "covariates" else client
        assert asked.post("/v1/models/tiny/forecast", json=named).status_code == 200, name


def test_the_page_of_documentation_needs_no_other_host(client: TestClient) -> None:
    page = client.get("/docs").text
    parts = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert "https://" not in page
    assert len(parts) >= 2
    assert [client.get(part).status_code for part in parts] == [200] * len(parts)

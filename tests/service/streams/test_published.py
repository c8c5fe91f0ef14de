"""What is published of streams is what is there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.service.streams.conftest import Start
from tests.service.streams.pushing import MODEL, push, stream
from tests.service.streams.tables import ARROW

ALL = "/v1/models/{name}/streams"
ONE = ALL + "/{stream}"
TAKEN = {"200", "400", "401", "403", "404", "408", "409", "413", "415", "422", "500", "503"}
READ = {"401", "403", "404", "409", "422", "500", "503"}


@pytest.fixture(scope="module")
def client(start: Start) -> Iterator[TestClient]:
    with start(max_rows=50, max_pushes=70, max_bulk_bytes=30_000, max_body_bytes=20_000) as one:
        yield one


@pytest.fixture(scope="module")
def published(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def test_every_status_is_published(published: dict[str, Any]) -> None:
    found = {
        (method, path): set(one["responses"])
        for path, operations in published["paths"].items()
        if path.startswith(ALL)
        for method, one in operations.items()
    }
    assert found == {
        ("post", f"{ONE}/observations"): TAKEN | {"429"},
        ("post", f"{ALL}:observe"): TAKEN | {"429"},
        ("put", f"{ONE}/observations/{{timestamp}}"): TAKEN,
        ("delete", ONE): READ | {"204"},
        ("get", ALL): READ | {"200"},
        ("get", ONE): READ | {"200"},
        ("get", f"{ONE}/ledger"): READ | {"200"},
    }


def test_the_limits_are_published(published: dict[str, Any]) -> None:
    schemas = published["components"]["schemas"]
    assert schemas["PushRequest"]["properties"]["observations"]["anyOf"][0]["maxItems"] == 50
    assert schemas["StreamPush"]["properties"]["data"]["anyOf"][0]["maxItems"] == 50
    assert schemas["ObserveRequest"]["properties"]["streams"]["maxItems"] == 70
    for path, said in ((f"{ONE}/observations", "20,000 bytes, 50 rows"), (f"{ALL}:observe", "30,000 bytes, 70 rows")):
        body = published["paths"][path]["post"]["requestBody"]
        assert body["description"].startswith(f"At most {said}")
    assert set(published["paths"][f"{ALL}:observe"]["post"]["requestBody"]["content"]) == {"application/json", ARROW}


def test_the_published_examples_are_answered(client: TestClient, published: dict[str, Any]) -> None:
    ours = {"temp": "a", "dewp": "b"}
    for path, address in (
        (f"{ONE}/observations", f"{stream('{}')}/observations"),
        (f"{ALL}:observe", f"{MODEL}/streams:observe"),
    ):
        examples = published["paths"][path]["post"]["requestBody"]["content"]["application/json"]["examples"]
        for place, example in enumerate(examples.values()):
            named = json.loads(re.sub("|".join(ours), lambda found: ours[found[0]], json.dumps(example["value"])))
            assert client.post(address.replace("{}", f"example-{place}"), json=named).status_code == 200


def test_a_method_that_is_not_there_names_those_that_are(client: TestClient) -> None:
    answer = client.post(stream("x"))
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET")


def test_what_happens_to_streams_is_counted(start: Start) -> None:
    with start() as client:
        for number in (0, 1, 1):
            push(client, "counted", number)
        client.post(
            f"{stream('counted')}/observations",
            json={"observations": [[1, 2]], "last_timestamp": "2024-03-01T00:00:00Z"},
        )
        text = client.get("/metrics").text
    for line in (
        'gatecast_pushes_total{outcome="accepted"} 2.0',
        'gatecast_pushes_total{outcome="replayed"} 1.0',
        'gatecast_pushes_total{outcome="changed"} 1.0',
        "gatecast_commit_rows_count 4.0",
        "gatecast_streams_cached 1.0",
        "gatecast_waiting_rows 0.0",
        f'gatecast_requests_total{{method="POST",route="{ONE}/observations",status="200"}} 3.0',
    ):
        assert line in text.splitlines()

"""Spans of requests: their names, their parents, and that nothing is traced unless asked for."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from starlette.testclient import TestClient

from service.app import create_app
from service.door import Door
from service.settings import Settings
from service.tracing import Traced

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def door(tiny_folder: Path, folder_source: Any) -> Door:
    made = create_app(Settings(device="cpu", log_url="memory"), folder_source({"tiny": tiny_folder}))
    assert isinstance(made, Door)
    return made


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def client(door: Door, spans: InMemorySpanExporter) -> Iterator[TestClient]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    with TestClient(Traced(door, provider), raise_server_exceptions=False) as one:
        yield one


def last(spans: InMemorySpanExporter) -> ReadableSpan:
    return spans.get_finished_spans()[-1]


def test_a_forecast_is_a_span_named_by_its_route(
    client: TestClient, spans: InMemorySpanExporter, good: dict[str, Any]
) -> None:
    answer = client.post("/v1/models/tiny/forecast", json=good)
    span = last(spans)
    assert (span.name, span.kind) == ("POST /v1/models/{name}/forecast", SpanKind.SERVER)
    assert span.attributes is not None
    assert span.attributes["http.response.status_code"] == answer.status_code == 200
    assert span.attributes["gatecast.request_id"] == answer.headers["x-request-id"]
    assert span.parent is None


def test_a_span_is_the_child_of_the_one_its_client_sent(client: TestClient, spans: InMemorySpanExporter) -> None:
    client.get("/v1/models", headers={"traceparent": PARENT})
    span = last(spans)
    assert span.name == "GET /v1/models"
    assert span.parent is not None
    assert f"{span.context.trace_id:032x}-{span.parent.span_id:016x}" in PARENT


def test_only_our_own_faults_are_errors(client: TestClient, door: Door, spans: InMemorySpanExporter) -> None:
    assert client.get("/nothing").status_code == 404
    assert (last(spans).name, last(spans).status.status_code) == ("GET unmatched", StatusCode.UNSET)
    door.app.state.models = None
    assert client.get("/v1/models").status_code == 500
    assert last(spans).status.status_code == StatusCode.ERROR


ONE_REQUEST = """
import sys
from pathlib import Path
from starlette.testclient import TestClient
from service.app import create_app
from service.settings import Settings
from tests.service.live import OneFolder
with TestClient(create_app(Settings.from_env(), OneFolder(Path(sys.argv[1])))) as client:
    client.get("/livez")
"""


@pytest.mark.parametrize(("more", "name"), [({}, "gatecast"), ({"OTEL_SERVICE_NAME": "weather"}, "weather")])
def test_what_the_variables_ask_for_is_sent_before_the_end(tiny_folder: Path, more: dict[str, str], name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ONE_REQUEST, str(tiny_folder)],
        env={
            **os.environ,
            "OTEL_TRACES_EXPORTER": "console",
            "GATECAST_DEVICE": "cpu",
            "GATECAST_LOG_URL": "memory",
            **more,
        },
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    span = json.loads(done.stdout)
    assert span["name"] == "GET /livez"
    assert span["resource"]["attributes"]["service.name"] == name


def test_an_exporter_that_is_not_there_is_told_and_nothing_is_traced(
    tiny_folder: Path, folder_source: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        made = create_app(
            Settings(device="cpu", log_url="memory", traces="nosuch"), folder_source({"tiny": tiny_folder})
        )
    assert isinstance(made, Door)
    assert "no exporter of traces 'nosuch'" in caplog.text

"""What every answer carries, whatever it is; and that no form is ever parsed."""

from __future__ import annotations

import subprocess
import sys

import pytest
from starlette.testclient import TestClient

from service.headers import HEADERS, headers_for


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/livez", 200),
        ("GET", "/metrics", 200),
        ("GET", "/docs", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/static-offline-docs/swagger-ui.css", 200),
        ("GET", "/nowhere", 404),
        ("DELETE", "/livez", 405),
        ("POST", "/v1/models/tiny/forecast", 415),
    ],
)
def test_every_answer_has_the_headers_once(client: TestClient, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    for name, value in headers_for(path):
        assert answer.headers.get_list(name.decode()) == [value.decode()]


def test_only_the_page_of_documentation_may_run_anything() -> None:
    policies = {path: dict(headers_for(path))[b"content-security-policy"] for path in ("/docs", "/livez")}
    assert policies["/livez"] == b"default-src 'none'; frame-ancestors 'none'"
    assert b"script-src 'self'" in policies["/docs"]
    assert headers_for("/v1/models") is HEADERS


@pytest.mark.parametrize("media", ["multipart/form-data; boundary=x", "application/x-www-form-urlencoded"])
def test_no_route_takes_a_form(client: TestClient, media: str) -> None:
    published = client.get("/openapi.json").json()["paths"]
    taking = {path for path, operations in published.items() if "requestBody" in operations.get("post", {})}
    taking -= {"/v1/admin/webhook"}  # without a secret it is not there
    assert taking
    for path in taking:
        address = path.replace("{name}", "tiny").replace("{version}", "1").replace("{stream}", "one")
        assert client.post(address, content=b"--x--", headers={"content-type": media}).status_code == 415


def test_nothing_that_parses_forms_is_imported() -> None:
    code = (
        "import sys, service.app; service.app.create_app(); print({'multipart', 'python_multipart'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "set()"

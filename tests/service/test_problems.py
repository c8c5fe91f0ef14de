from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from forecasting.errors import GatecastError
from service import problems
from service.door import Door
from service.problems import INTERNAL, problem_response, row_for


def descendants(kind: type[Exception]) -> Iterator[type[Exception]]:
    for child in kind.__subclasses__():
        yield child
        yield from descendants(child)


def test_every_error_of_ours_has_a_row_by_itself_or_by_its_family() -> None:
    ours = [kind for kind in descendants(GatecastError) if kind.__module__.startswith(("forecasting", "service"))]
    assert len(ours) > 15
    for kind in ours:
        assert row_for(kind.__new__(kind)) is not INTERNAL, kind


def test_codes_and_titles_are_not_used_twice() -> None:
    rows = [*problems.TABLE.values(), INTERNAL]
    assert len({row.code for row in rows}) == len({row.title for row in rows}) == len(rows)


def test_a_problem_stays_under_a_kilobyte() -> None:
    error = problems.UnknownModel("é" * 5000)
    assert len(bytes(problem_response(error, "x" * 64).body)) <= 1024


@pytest.fixture
def failing(client: TestClient) -> Iterator[str]:
    """Give the app a route that fails for no stated reason."""
    assert isinstance(client.app, Door)
    app = client.app.app
    before = list(app.router.routes)

    async def fail() -> None:
        message = "secret"
        raise ZeroDivisionError(message)

    app.add_api_route("/fail", fail)
    yield "/fail"
    app.router.routes[:] = before


def test_an_error_nobody_expected_is_a_500_without_details(
    client: TestClient, failing: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = client.get(failing, headers={"X-Request-ID": "abc-1"})
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "abc-1"
    assert "secret" not in answer.text
    assert "request abc-1 failed" in caplog.text
    assert "ZeroDivisionError: secret" in caplog.text

"""The client on a real connection, to a server that plays what services do: it waits where it is asked to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from forecasting.errors import NoSuchModel, SettingsError
from pipelines.pushing import PATIENCE, Client

FINE = (200, {}, b"{}")
GONE = (0, {}, b"")


@contextmanager
def playing(
    *answers: tuple[int, dict[str, str], bytes],
) -> Iterator[tuple[str, list[tuple[str, dict[str, str], bytes]]]]:
    """Serve answers in their order; status 0 closes the connection without one. Yield the address and what came."""
    heard: list[tuple[str, dict[str, str], bytes]] = []
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            heard.append((self.path, dict(self.headers), body))
            status, headers, content = left.pop(0)
            if not status:
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = answer  # noqa: N815 - the names http.server looks for

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", heard
        finally:
            server.shutdown()
            thread.join()


def busy(wait: str) -> tuple[int, dict[str, str], bytes]:
    return 503, {"Retry-After": wait}, b'{"title": "The service has more to do", "status": 503}'


def client(url: str, waits: list[float], key: str | None = None) -> closing[Client]:
    return closing(Client(url, key, lambda _: None, waits.append))


def test_it_comes_again_when_it_was_asked_to() -> None:
    waits: list[float] = []
    with playing(busy("3"), busy("0"), FINE) as (url, heard), client(url, waits) as asked:
        assert asked.ask("POST", "/a", b"rows").status == 200
    assert [body for _, _, body in heard] == [b"rows"] * 3
    assert waits == [3, PATIENCE[1]]


def test_it_waits_longer_each_time_and_not_for_ever() -> None:
    waits: list[float] = []
    with (
        playing(*[busy("0")] * (len(PATIENCE) + 1)) as (url, _),
        client(url, waits) as asked,
        pytest.raises(ConnectionError, match="more to do"),
    ):
        asked.ask("POST", "/a", b"")
    assert waits == list(PATIENCE)


def test_a_refusal_that_names_no_time_is_final() -> None:
    with playing((429, {}, b'{"title": "As many as there may be"}')) as (url, _), client(url, []) as asked:
        assert asked.ask("POST", "/a", b"").status == 429


def test_a_lost_connection_is_made_again_and_the_request_sent_again() -> None:
    waits: list[float] = []
    with playing(FINE, GONE, FINE) as (url, heard), client(url, waits) as asked:
        assert [asked.ask("POST", path, b"").status for path in ("/a", "/b")] == [200, 200]
    assert [path for path, _, _ in heard] == ["/a", "/b", "/b"]
    assert waits == [0]


def test_what_never_answered_is_not_waited_for() -> None:
    waits: list[float] = []
    with (
        playing(GONE) as (url, _),
        client(url, waits) as asked,
        pytest.raises(ConnectionError, match="does not answer"),
    ):
        asked.ask("GET", "/a")
    assert waits == []


def test_it_shows_its_key_and_keeps_the_path_of_the_address() -> None:
    with playing(FINE) as (url, heard), client(f"{url}/proxied/", [], "gc_1") as asked:
        asked.ask("GET", "/v1/models/a")
    ((path, headers, _),) = heard
    assert path == "/proxied/v1/models/a"
    assert headers["Authorization"] == "Bearer gc_1"


def test_its_key_is_not_part_of_its_name() -> None:
    assert "gc_1" not in repr(Client("http://here", "gc_1", print))


@pytest.mark.parametrize(
    ("status", "error"), [(401, SettingsError), (403, SettingsError), (404, NoSuchModel), (500, ConnectionError)]
)
def test_what_is_wrong_with_all_requests_is_an_error(status: int, error: type[Exception]) -> None:
    with (
        playing((status, {}, b'{"title": "No", "detail": "because"}')) as (url, _),
        client(url, []) as asked,
        pytest.raises(error, match="No"),
    ):
        asked.describe("tiny")


def test_an_address_moved_elsewhere_is_not_followed() -> None:
    with (
        playing((302, {"Location": "http://elsewhere"}, b"")) as (url, _),
        client(url, []) as asked,
        pytest.raises(ConnectionError, match="no Gatecast service"),
    ):
        asked.describe("tiny")

"""Sends the requests of `wrong_requests` byte by byte, as they are."""

from __future__ import annotations

import contextlib
import socket
from typing import NamedTuple

from tests.service.live import Live, read_all
from tests.service.wrong_requests import Case


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes
    raw: bytes


def ask(live: Live, case: Case) -> Answer:
    """Send a request, and read until the service closes the connection, as it is asked to."""
    with live.connect(30) as line:
        send(line, case)
        raw = read_all(line).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    head, _, body = raw.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return Answer(int(status.split()[1]), {name.lower(): value for name, value in headers.items()}, body, raw)


def send(line: socket.socket, case: Case) -> None:
    length = ("Transfer-Encoding", "chunked") if case.chunked else ("Content-Length", str(len(case.body) * case.times))
    own = {name.lower() for name, _ in case.headers}
    headers = [("Host", "x"), ("Connection", "close"), *case.headers]
    headers += [] if "transfer-encoding" in own else [length]
    lines = [f"{case.method} {case.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
    with contextlib.suppress(ConnectionError):  # it need not take what it has refused already
        line.sendall("\r\n".join(lines).encode("latin-1"))
        piece = b"%x\r\n%b\r\n" % (len(case.body), case.body) if case.chunked else case.body
        for _ in range(case.times):
            line.sendall(piece)
        if case.chunked:
            line.sendall(b"0\r\n\r\n")

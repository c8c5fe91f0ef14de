"""Good, wrong, large, slow and broken requests for a while, as the model changes: nothing fails, nothing grows."""

from __future__ import annotations

import http.client
import itertools
import json
import re
import statistics
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

import psutil
import pytest
import torch

from forecasting.bundle import save_bundle
from tests.bundles import make_bundle
from tests.service.asking import ask
from tests.service.live import FORECAST, HOST, Live, Turned, in_a_process
from tests.service.wrong_requests import BYTES, GOOD, ROWS, WINDOWS, Case, cases

SETTINGS = {
    "GATECAST_MAX_BODY_BYTES": str(BYTES),
    "GATECAST_MAX_ROWS": str(ROWS),
    "GATECAST_MAX_WINDOWS": str(WINDOWS),
    "GATECAST_POLL_SECONDS": "0.5",
    "GATECAST_RECEIVE_SECONDS": "1",
}
JSON = {"Content-Type": "application/json"}
POST = f"POST {FORECAST} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n".encode()
LONGEST_BODY = 1_000_000
"""Of a wrong request that is sent again and again; one worker sends larger ones."""

PAUSE_SECONDS = 0.02
"""Between two rounds of a client: the service is to be busy, and other tests are to run."""

WARM = 0.3
"""Share of the time in which memory may grow: threads begin, the allocator gets to know sizes, a model is changed."""

MB = 1 << 20


@dataclass(frozen=True)
class Plan:
    """How long, how often the model changes, and by how much the memory of the process may grow, in MB a minute."""

    seconds: float
    turn_seconds: float
    growth: float


SHORT, LONG = Plan(40.0, 5.0, 15.0), Plan(600.0, 30.0, 1.0)
"""In less than a minute the allocator has not found its size yet; large bodies that are kept would still show."""


def wrong_ones() -> Iterator[Case]:
    return itertools.cycle([case for case in cases() if len(case.body) * case.times < LONGEST_BODY])


@dataclass
class Load:
    """Clients of a service, each in a thread, until `over`; what each of them does is done again and again."""

    live: Live
    said: dict[str, Any]
    over: threading.Event = field(default_factory=threading.Event)
    answers: dict[str, int] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    cases: Iterator[Case] = field(default_factory=wrong_ones)

    def workers(self) -> list[Callable[[], int]]:
        """Return one round of each client; a round returns how many requests it sent."""
        return [
            self.good,
            self.good_alone,
            self.wrong,
            self.large,
            self.slow,
            self.broken,
            self.watch,
        ]

    def run(self, work: Callable[[], int]) -> None:
        name = work.__name__
        try:
            while not self.over.wait(PAUSE_SECONDS):
                self.answers[name] = self.answers.get(name, 0) + work()
        except BaseException:
            self.over.set()  # the others need not go on
            raise

    def good(self) -> int:
        """Ask on a connection that is kept."""
        with closing(http.client.HTTPConnection(HOST, self.live.port, timeout=30)) as line:
            for _ in range(100):
                line.request("POST", FORECAST, GOOD, JSON)
                answer = line.getresponse()
                self.check(answer.status, answer.read())
                self.over.wait(PAUSE_SECONDS)
        return 100

    def good_alone(self) -> int:
        """Ask on a connection of one's own, about several windows every other time."""
        answer = self.live.post(GOOD)
        self.check(answer.status, answer.body)
        several = self.live.post(b'{"windows": [%b]}' % b", ".join([GOOD] * WINDOWS))
        found = json.loads(several.body)
        for one in found["forecasts"]:
            self.check(several.status, json.dumps({"model": found["model"], **one}).encode())
        return 2

    def check(self, status: int, body: bytes) -> None:
        """Be sure that an answer is the one of the version it names."""
        assert status == 200
        found = json.loads(body)
        version = found["model"]["version"]
        assert found["model"]["run_id"] == f"run-{version}"
        self.seen.add(version)
        for step, expected in zip(found["forecast"], self.said[version], strict=True):
            assert step["point"] == pytest.approx(expected["point"], rel=1e-5)
            assert step["median"] == pytest.approx(expected["median"], rel=1e-5)

    def wrong(self) -> int:
        case = next(self.cases)
        assert ask(self.live, case).status < 500, case.name
        return 1

    def large(self) -> int:
        assert self.live.post(GOOD + b" " * (BYTES - len(GOOD))).status == 200
        assert ask(self.live, Case("large", b" " * 50_000, 413, times=100)).status == 413
        return 2

    def slow(self) -> int:
        """Send a body in pieces; then another, and not to its end."""
        for pieces, status in ((10, b"200"), (5, b"408")):
            with self.live.connect(30) as line:
                line.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(GOOD))
                size = -(-len(GOOD) // 10)
                for start in range(0, pieces * size, size):
                    line.sendall(GOOD[start : start + size])
                    self.over.wait(0.02)
                assert line.recv(65_536).split()[1] == status
        return 2

    def broken(self) -> int:
        """Go away in the middle of a request, and after one; say goodbye, or do not."""
        for sent, reset in itertools.product((len(GOOD) // 2, len(GOOD)), (0, 1)):
            with self.live.connect(30) as line:
                line.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", reset, 0))
                line.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(GOOD) + GOOD[:sent])
        return 4

    def watch(self) -> int:
        for path in ("/metrics", "/readyz", "/v1/models", "/v1/models/tiny"):
            assert self.live.get(path).status == 200
        return 4


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Turned:
    """Save two versions of a model, which say something else."""
    source = Turned(tmp_path_factory.mktemp("turned"))
    for version, factor in (("1", 1.0), ("2", 0.5)):
        bundle = make_bundle()
        with torch.no_grad():
            for weight in bundle.forecaster.parameters():
                weight.mul_(factor)
        save_bundle(bundle, source.folder / version)
    source.turn("1")
    return source


@contextmanager
def under_load(live: Live, said: dict[str, Any]) -> Iterator[Load]:
    load = Load(live, said)
    workers = load.workers()
    with ThreadPoolExecutor(len(workers)) as clients:
        running = [clients.submit(load.run, work) for work in workers]
        try:
            yield load
        finally:
            load.over.set()
            wait(running)
    for one in running:
        one.result()


def learn(live: Live, source: Turned) -> dict[str, Any]:
    """Return what each version says."""
    said = {}
    for version in ("2", "1"):
        source.turn(version)
        while (found := json.loads(live.post(GOOD).body))["model"]["version"] != version:
            time.sleep(0.05)
        said[version] = found["forecast"]
    assert said["1"] != said["2"]
    return said


def growth(sizes: list[tuple[float, int]]) -> float:
    """Return by how many MB a minute the last third of sizes over time is above the first, in medians."""
    third = len(sizes) // 3
    first, last = sizes[:third], sizes[-third:]
    seconds, size = (
        statistics.median(row[column] for row in last) - statistics.median(row[column] for row in first)
        for column in (0, 1)
    )
    return size / MB / seconds * 60


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "plan", [pytest.param(SHORT, id="short"), pytest.param(LONG, id="long", marks=pytest.mark.slow)]
)
def test_nothing_fails_and_nothing_grows_under_mixed_load_as_models_change(turned: Turned, plan: Plan) -> None:
    turned.turn("1")  # whatever the plan before this one ended with: a turn to what is there is no swap
    with in_a_process(turned.folder, **SETTINGS) as live:
        said, process = learn(live, turned), psutil.Process(live.pid)
        files, sizes = process.num_fds(), []
        with under_load(live, said) as load:
            start, turns = time.monotonic(), 0
            while not load.over.wait(0.2) and (passed := time.monotonic() - start) < plan.seconds:
                if passed > WARM * plan.seconds:
                    sizes.append((passed, process.memory_info().rss))
                if passed > (turns + 1) * plan.turn_seconds:
                    turns += 1
                    turned.turn(str(1 + turns % 2))
        counted = live.get("/metrics").body.decode()
        while process.num_fds() > files:  # until it has closed what the last clients left open
            time.sleep(0.1)
    assert all(load.answers[work.__name__] >= plan.seconds / 10 for work in load.workers())
    assert load.seen == {"1", "2"}
    assert f'gatecast_model_swaps_total{{model="tiny"}} {2 + turns}' in counted
    assert re.findall(r'gatecast_requests_total\{.*status="5\d\d"\} \S+', counted) == []
    assert growth(sizes) < plan.growth

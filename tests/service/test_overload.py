"""More than can be done, on a real socket: what is refused, what is not computed at all, and what comes after.

The model computes when it is told to, so that nothing here depends on how fast anything is.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from forecasting.engines import EagerEngine, Inputs, ZForecast
from service.app import create_app
from service.batching import QUICK_ROWS, Batcher
from service.door import Door
from service.models import ServedModel, Slot
from service.settings import Settings
from tests.service.live import FORECAST, Live, OneFolder, Reply, listening, read_all

LIMIT = 5
SETTINGS = Settings(device="cpu", log_url="memory", max_queue=LIMIT)
PATIENCE_SECONDS = 30.0
WINDOW = {"observations": [[9.5, 1010.0], [10.0, 1005.0], [10.5, 1000.0]], "last_timestamp": "2024-03-01T02:00:00Z"}
GOOD = json.dumps(WINDOW).encode()


class OnDevice(ServedModel):
    """A model that is computed as on a GPU: in a thread, beside the event loop."""

    @property
    def quick(self) -> bool:
        return False


class Gated(EagerEngine):
    """Computes windows once its gate is open, those of `held` alone if it is given; has memory for `most` of them."""

    def __init__(self, model: ServedModel) -> None:
        super().__init__(model.bundle.forecaster)
        self.batches: list[int] = []
        self.gate, self.entered = threading.Event(), threading.Event()
        self.held: Callable[[Inputs], bool] = lambda _: True
        self.most = float("inf")

    def forecast_last(self, inputs: Inputs) -> ZForecast:
        self.batches.append(len(inputs.values))
        if self.held(inputs):
            self.entered.set()
            assert self.gate.wait(PATIENCE_SECONDS)
        if len(inputs.values) > self.most:
            message = "CUDA out of memory"
            raise torch.OutOfMemoryError(message)
        return super().forecast_last(inputs)


class Station:
    """A service whose model is held, and clients that wait for it in threads."""

    def __init__(self, live: Live, engine: Gated, batcher: Batcher, clients: ThreadPoolExecutor) -> None:
        self.live, self.engine, self.batcher, self._clients = live, engine, batcher, clients

    def send(self, windows: int = 1) -> Future[Reply]:
        return self._clients.submit(self.live.post, several(windows))

    def send_first(self) -> Future[Reply]:
        """Send what keeps the model busy, and return once it is."""
        sent = self.send()
        assert self.engine.entered.wait(PATIENCE_SECONDS)
        return sent

    def metric(self, name: str) -> float:
        lines = self.live.get("/metrics").body.decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    def wait_until_there_wait(self, windows: int) -> None:
        until(lambda: self.metric("gatecast_waiting_windows") == windows)


def several(windows: int) -> bytes:
    return GOOD if windows == 1 else json.dumps({"windows": [WINDOW] * windows}).encode()


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < end


@contextmanager
def station(folder: Path, settings: Settings = SETTINGS, kind: type[ServedModel] = OnDevice) -> Iterator[Station]:
    door = create_app(settings, OneFolder(folder))
    assert isinstance(door, Door)
    state: Any = door.app.state
    with listening(door) as live, ThreadPoolExecutor(64) as clients:
        slot, opened = Slot("tiny"), state.models.find("tiny")
        model = kind(opened.ref, opened.bundle)
        engine = Gated(model)
        model.__dict__["engine"] = engine
        state.models = replace(state.models, served={slot: model})
        try:
            yield Station(live, engine, state.forecasts.batcher, clients)
        finally:
            engine.gate.set()


@pytest.fixture
def held(tiny_folder: Path) -> Iterator[Station]:
    with station(tiny_folder) as one:
        yield one


def check_overloaded(answer: Reply) -> None:
    problem = json.loads(answer.body)
    assert answer.status == problem["status"] == 503
    assert problem["type"] == "urn:gatecast:problem:overloaded"
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"


class TestAFullQueue:
    def test_refuses_at_once_and_then_everything_is_answered(self, held: Station) -> None:
        first = held.send_first()
        taken = [held.send() for _ in range(LIMIT)]
        held.wait_until_there_wait(LIMIT)
        for refused in [held.send(windows) for windows in (1, 2, 5, 1, 3) * 4]:
            check_overloaded(refused.result(PATIENCE_SECONDS))  # while the model is held
        assert held.metric("gatecast_waiting_windows") == LIMIT
        assert held.metric('gatecast_dropped_total{reason="overloaded"}') == 20
        held.engine.gate.set()
        assert {one.result(PATIENCE_SECONDS).status for one in (first, *taken)} == {200}
        assert [held.send().result(PATIENCE_SECONDS).status for _ in range(20)] == [200] * 20
        assert held.metric("gatecast_waiting_windows") == 0
        assert sum(held.engine.batches) == 1 + LIMIT + 20

    def test_takes_no_request_whose_windows_do_not_all_fit(self, held: Station) -> None:
        first = held.send_first()
        taken = [held.send(2), held.send(2)]
        held.wait_until_there_wait(4)
        check_overloaded(held.send(2).result(PATIENCE_SECONDS))
        last = held.send(1)
        held.wait_until_there_wait(LIMIT)
        held.engine.gate.set()
        assert {one.result(PATIENCE_SECONDS).status for one in (first, *taken, last)} == {200}

    def test_leaves_a_connection_usable_whatever_is_asked_on_it(self, held: Station) -> None:
        held.send_first()
        taken = [held.send() for _ in range(LIMIT)]
        held.wait_until_there_wait(LIMIT)
        json_of = b"Host: x\r\nContent-Type: application/json\r\n"
        asked = [
            b"POST %b HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b" % (FORECAST.encode(), json_of, len(GOOD), GOOD),
            b"POST %b HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
            % (FORECAST.encode(), json_of),
            b"HEAD %b HTTP/1.1\r\nHost: x\r\n\r\n" % FORECAST.encode(),
            b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        ]
        with held.live.connect() as line:
            line.sendall(b"".join(asked))
            said = read_all(line)
        held.engine.gate.set()
        assert re.findall(rb"HTTP/1.1 (\d+)", said) == [b"503", b"503", b"405", b"200"]
        assert said.endswith(b'{"live":true}')
        assert {one.result(PATIENCE_SECONDS).status for one in taken} == {200}

    def test_never_holds_more_than_it_may_in_a_flood(self, held: Station) -> None:
        held.send_first()
        sent = [held.send(1 + place % 3) for place in range(60)]
        most = 0.0
        while not all(one.done() for one in sent):
            most = max(most, held.metric("gatecast_waiting_windows"))
            if sum(one.done() for one in sent) >= 60 - LIMIT:  # only those are left that wait
                held.engine.gate.set()
        assert 1 <= most <= LIMIT
        assert {one.result().status for one in sent} == {200, 503}
        assert held.send().result(PATIENCE_SECONDS).status == 200


def test_a_flood_of_an_event_loop_that_computes_itself_is_shed_too(tiny_folder: Path) -> None:
    with station(tiny_folder, kind=ServedModel) as one, ExitStack() as stack:
        lines = [stack.enter_context(one.live.connect(PATIENCE_SECONDS)) for _ in range(40)]
        assert one.live.get("/livez").status == 200  # all of them are known to the service
        first = one.send_first()  # the loop stands still
        head = f"POST {FORECAST} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
        for line in lines:
            line.sendall(f"{head}Content-Length: {len(GOOD)}\r\n\r\n".encode() + GOOD)
        one.engine.gate.set()
        statuses = [read_all(line).split()[1] for line in lines]
        assert first.result(PATIENCE_SECONDS).status == 200
        assert set(statuses) == {b"200", b"503"}
        assert one.metric("gatecast_waiting_windows") == 0
        assert one.send().result(PATIENCE_SECONDS).status == 200


class TestWhatIsNotComputed:
    @pytest.mark.parametrize("reset", [False, True])
    def test_is_what_was_asked_by_a_client_that_has_left(self, held: Station, reset: bool) -> None:
        first = held.send_first()
        head = f"POST {FORECAST} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        with held.live.connect() as line:
            line.sendall(f"{head}Content-Length: {len(GOOD)}\r\n\r\n".encode() + GOOD)
            held.wait_until_there_wait(1)
            if reset:
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        until(held.batcher.long.jobs[0].left)
        last = held.send()
        held.wait_until_there_wait(2)
        held.engine.gate.set()
        assert first.result(PATIENCE_SECONDS).status == last.result(PATIENCE_SECONDS).status == 200
        assert held.engine.batches == [1, 1]
        assert held.metric('gatecast_dropped_total{reason="client left"}') == 1

    def test_is_what_has_waited_longer_than_its_deadline(self, tiny_folder: Path) -> None:
        with station(tiny_folder, replace(SETTINGS, deadline_seconds=0.3)) as one:
            first, late = one.send_first(), one.send()
            one.wait_until_there_wait(1)
            deadline = one.batcher.long.jobs[0].deadline
            until(lambda: time.monotonic() > deadline + 0.01)
            one.engine.gate.set()
            answer = late.result(PATIENCE_SECONDS)
            check_overloaded(answer)
            assert b"the deadline passed before an answer could be computed" in answer.body
            assert first.result(PATIENCE_SECONDS).status == 200
            assert one.engine.batches == [1]
            assert one.send().result(PATIENCE_SECONDS).status == 200


def test_a_long_window_does_not_keep_short_ones_from_being_answered(tiny_folder: Path) -> None:
    long = json.dumps(WINDOW | {"observations": [[9.5, 1010.0]] * (QUICK_ROWS + 1)}).encode()
    with station(tiny_folder, kind=ServedModel) as one, ThreadPoolExecutor(1) as clients:
        one.engine.held = lambda inputs: inputs.values.shape[1] > QUICK_ROWS
        waits = clients.submit(one.live.post, long)
        assert one.engine.entered.wait(PATIENCE_SECONDS)
        assert [one.live.post(GOOD).status for _ in range(20)] == [200] * 20
        assert not waits.done()
        one.engine.gate.set()
        assert waits.result(PATIENCE_SECONDS).status == 200


class TestADeviceWithoutMemory:
    @pytest.fixture
    def small(self, tiny_folder: Path) -> Iterator[Station]:
        with station(tiny_folder) as one:
            one.engine.gate.set()
            yield one

    def test_for_all_windows_at_once_takes_them_in_halves(self, small: Station) -> None:
        whole = json.loads(small.live.post(several(7)).body)
        small.engine.most = 4
        halved = small.live.post(several(7))
        assert halved.status == 200
        assert small.engine.batches == [7, 7, 4, 3]
        for one, other in zip(whole["forecasts"], json.loads(halved.body)["forecasts"], strict=True):
            assert one["forecast"][0]["point"] == pytest.approx(other["forecast"][0]["point"], rel=1e-5)

    def test_for_halves_either_refuses_and_answers_the_next(self, small: Station) -> None:
        small.engine.most = 1
        refused = small.live.post(several(7))
        assert refused.status == 503
        assert json.loads(refused.body)["type"] == "urn:gatecast:problem:out-of-memory"
        assert int(refused.headers["retry-after"]) >= 1
        assert b"CUDA" not in refused.body
        assert small.engine.batches == [7, 4]
        assert small.live.post(GOOD).status == 200

    def test_for_anything_refuses_until_it_has_some(self, small: Station) -> None:
        small.engine.most = 0
        assert [small.live.post(GOOD).status for _ in range(3)] == [503] * 3
        small.engine.most = 1
        assert small.live.post(GOOD).status == 200

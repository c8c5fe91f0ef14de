"""Clients that push one hour after the other, remember what they were answered, and what they could not know."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from random import Random
from threading import Barrier, Event

import httpx2
import numpy as np

from forecasting.keys import ANONYMOUS
from forecasting.log.interface import Log
from forecasting.log.records import Key
from forecasting.streams.streamed import Streamed
from tests.forecasting.streams.machine import HOUR, START, Answer
from tests.forecasting.streams.oracle import Oracle, Row
from tests.service.live import HOST, Live
from tests.service.streams.sending import Form, Push

LONG = 60.0
"""Seconds that an answer is waited for."""

MISSING = 0.05
"""Share of the cells that are missing."""

MOST_ATTEMPTS = 10


def connected(live: Live) -> httpx2.Client:
    """Talk to a service; certificates, which take long to load, are of no use here."""
    return httpx2.Client(base_url=f"http://{HOST}:{live.port}", timeout=LONG, trust_env=False, verify=False)


@dataclass
class Client:
    """Pushes to streams that nobody else pushes to, in one of the forms there are; all of them stand at the same hour.

    A push that was not answered is pushed again: whether it was taken, only the service knows.
    """

    streams: Sequence[str]
    form: Form
    random: Random
    rows: list[list[np.ndarray]] = field(default_factory=list)
    answers: list[list[Answer]] = field(default_factory=list)
    unsure: int = 0
    """Pushes that were taken and not answered."""

    @property
    def newest(self) -> Sequence[Answer]:
        """What was answered last."""
        return self.answers[-1] if self.answers else ()

    def run(self, live: Live, begun: Event, over: Event) -> bool:
        """Push until it is over, or the service is gone, and tell whether it is; `begun` is set by the first answer."""
        with connected(live) as client, suppress(httpx2.TransportError):
            while not over.is_set():
                self.push(client)
                begun.set()
            return False
        return True

    def finish(self, live: Live) -> None:
        """Push what was not answered, and one hour more."""
        with connected(live) as client:
            while self.push(client):
                pass

    def push(self, client: httpx2.Client) -> bool:
        """Push the next hour, or the last one again if it was not answered; tell whether it was the last one."""
        hour = len(self.answers)
        again = len(self.rows) > hour
        if not again:
            self.rows.append([a_row(self.random) for _ in self.streams])
        pushes = [
            Push(name, [START + hour * HOUR], [row]) for name, row in zip(self.streams, self.rows[hour], strict=True)
        ]
        answers = self.form(client, pushes)
        assert {(one.code, one.seq) for one in answers} == {("ok", hour)}
        taken = {one.replayed for one in answers}
        assert len(taken) == 1  # one request is written as a whole or not at all
        assert again or taken == {False}
        self.unsure += taken == {True}
        self.answers.append(answers)
        return again

    def hold(self, log: Log, models: dict[str, Streamed]) -> None:
        """Hold what was answered, and what is in the log, against what was pushed and a cold replay of it."""
        for place, name in enumerate(self.streams):
            rows, answers = [each[place] for each in self.rows], [each[place] for each in self.answers]
            hold(log, models, name, rows, answers)


@dataclass
class Rival:
    """Pushes hours of streams that others push to as well, through one service and the other in turns.

    Whoever is first with an hour has its values taken; the others are told that it has others.
    """

    streams: Sequence[str]
    form: Form
    random: Random
    taken: dict[tuple[str, int], tuple[np.ndarray, Answer]] = field(default_factory=dict)
    """By stream and hour the row that was taken, and its answer."""
    retries: int = 0

    def run(self, services: Sequence[Live], hours: int, together: Barrier) -> None:
        """Push each hour at the same time as the others."""
        with ExitStack() as stack:
            clients = [stack.enter_context(connected(live)) for live in services]
            for client in clients:
                client.event_hooks = {"response": [_refuse_failures]}
            for hour in range(hours):
                together.wait(LONG)
                self._push(clients[self.random.randrange(len(clients))], hour)

    def _push(self, client: httpx2.Client, hour: int) -> None:
        rows = {name: a_row(self.random) for name in self.streams}
        pushes = [Push(name, [START + hour * HOUR], [row]) for name, row in rows.items()]
        for attempt in range(MOST_ATTEMPTS):
            answers = self.form(client, pushes)
            if "outrun" not in {one.code for one in answers}:
                break
            self.retries += 1
            assert attempt + 1 < MOST_ATTEMPTS
        for push, answer in zip(pushes, answers, strict=True):
            assert answer.code in {"ok", "changed"}
            if answer.code == "ok":
                assert (answer.seq, answer.replayed) == (hour, False)
                self.taken[push.stream, hour] = rows[push.stream], answer


def _refuse_failures(response: httpx2.Response) -> None:
    if response.status_code >= 500:
        problem = response.read()
        assert (response.status_code, b'"urn:gatecast:problem:outrun"' in problem) == (503, True), problem
        assert int(response.headers["Retry-After"]) > 0


def a_row(random: Random) -> np.ndarray:
    cells = random.gauss(10, 2), random.gauss(1000, 50)
    return np.array([np.nan if random.random() < MISSING else cell for cell in cells], np.float32)


def hold(
    log: Log, models: dict[str, Streamed], name: str, rows: Sequence[np.ndarray], answers: Sequence[Answer]
) -> None:
    """Hold a stream, whose hours are `rows` and were answered by `answers`, against the log and a cold replay."""
    stream = log.find([Key(ANONYMOUS, "tiny", name)])[0]
    assert stream is not None
    logged = log.rows([(stream.id, 0, len(rows))])[0]
    assert [row.seq for row in logged] == list(range(len(rows)))
    assert [row.time for row in logged] == [START + HOUR * hour for hour in range(len(rows))]
    assert [row.values for row in logged] == [row.tobytes() for row in rows]
    issued = log.issued([(stream.id, 0, len(rows))])[0]
    assert [(one.seq, one.version.version) for one in issued] == [(one.seq, one.version) for one in answers]
    oracle = Oracle(models, stream.series)
    oracle.rows = [Row(row.time, values, one.version) for row, values, one in zip(logged, rows, answers, strict=True)]
    for version, model in models.items():
        origin = log.origins([stream.id], model.version)[0]
        if origin is not None:
            oracle.origins[version] = origin
    _same(oracle, answers)


def _same(oracle: Oracle, answers: Sequence[Answer]) -> None:
    """Compare in z units."""
    for answer, told in zip(answers, oracle.told(), strict=True):
        assert told is not None
        units = oracle.models[answer.version].bundle.scaler.units(oracle.series).first(2)
        ends = told.ends if answer.asked is None else told.ends[list(answer.asked)]
        for ours, theirs in ((answer.point, told.point), (answer.median, told.median), (answer.ends, ends)):
            assert ours is not None
            difference = (ours - theirs) / units.std
            scale = np.abs((theirs - units.mean) / units.std)
            assert (np.abs(difference) <= 1e-5 + 1e-5 * scale).all()

"""A replay under way: requests are sent in order, each at its time, and what becomes of their rows is counted."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from pipelines.feeds import Piece, Request, write
from pipelines.live import Screen
from pipelines.pushing import Client, Described, Identity, Reply, problem_of
from pipelines.stopping import Stop
from pipelines.tallies import Outcome

SLICE_SECONDS = 0.1
"""How long Ctrl-C may have to wait for the end of a pause."""

FINE, BUSY = 200, 503
ROWS_REFUSED = (409, 413, 422, 429)
"""Statuses that say something of the rows of a request; any other refusal would be that of all requests."""

ATTEMPTS = 6
SHOWN = 200


class Bulk(msgspec.Struct, frozen=True, kw_only=True):
    """An answer about several streams."""

    model: Identity
    outcomes: list[Outcome]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a forecast."""

    timestamp: str
    point: dict[str, float]
    median: dict[str, float]
    intervals: dict[str, dict[str, tuple[float, float]]]


@dataclass
class Replay:
    """Sends rows of `described` and counts them on the board of `screen`.

    Of the stream `traced` the newest forecasts of the next step are kept in `steps`. `opened` are the streams that the
    service is known to have.
    """

    client: Client
    described: Described
    screen: Screen
    stop: Stop
    traced: str = ""
    steps: deque[Step] = field(default_factory=lambda: deque(maxlen=SHOWN))
    opened: set[str] = field(default_factory=set)

    def run(self, requests: Iterable[Request], rate: float | None = None) -> None:
        """Send all requests, so many rows a second, or as fast as they are answered.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed; what was sent is counted.
            GatecastError, ConnectionError: the service takes no further request.
        """
        start, before = time.perf_counter(), 0
        for request in requests:
            due = start + before / rate if rate else time.perf_counter()
            self.pause(due - time.perf_counter())
            self._send(request, due)
            self.screen.board.spend(time.perf_counter() - start, history=request.history)
            self.screen.moved(request.rows)
            before += request.rows

    def pause(self, seconds: float) -> None:
        """Wait.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed.
        """
        until = time.monotonic() + seconds
        while not self.stop.asked and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, SLICE_SECONDS))
        if self.stop.asked:
            raise KeyboardInterrupt

    def _send(self, request: Request, due: float, attempts: int = ATTEMPTS) -> None:
        """Send a request, and again those of its rows that were refused only because others write there, too.

        Latency counts from when the request was due: one that others have kept waiting is late.
        """
        path, body = write(request, self.described, self.opened)
        reply = self.client.ask("POST", path, body)
        if reply.status in ROWS_REFUSED and (half := len(request.pieces) // 2):
            for pieces in (request.pieces[:half], request.pieces[half:]):  # one is at fault, and the others go on
                self._send(Request(pieces, request.history), due)
            return
        outcomes, version = self._outcomes(request, reply)
        took = time.perf_counter() - due
        again: list[Piece] = []
        for piece, outcome in zip(request.pieces, outcomes, strict=True):
            if attempts and outcome.problem and outcome.problem.status == BUSY:
                again.append(piece)
            else:
                self._count(piece, outcome, outcome.model.version if outcome.model else version, took, request.history)
        if again:
            self.pause((ATTEMPTS - attempts + 1) / ATTEMPTS)
            self._send(Request(again, request.history), due, attempts - 1)
        elif not request.history:
            self.screen.board.seconds.append(took)

    def _outcomes(self, request: Request, reply: Reply) -> tuple[Sequence[Outcome], str]:
        """Return what became of each piece, and the version that answered."""
        if reply.status == FINE and len(request.pieces) == 1:
            outcome = self.client.read(reply, Outcome)
            return [outcome], outcome.model.version if outcome.model else ""
        if reply.status == FINE:
            bulk = self.client.read(reply, Bulk)
            return bulk.outcomes, bulk.model.version
        if reply.status not in ROWS_REFUSED:
            self.client.refuse(reply)
        return [Outcome(problem=problem_of(reply))] * len(request.pieces), ""

    def _count(self, piece: Piece, outcome: Outcome, version: str, took: float, history: bool) -> None:
        stream, rows = piece.feed.stream, len(piece.rows)
        tally = self.screen.board.tallies[stream]
        if outcome.problem:
            tally.refuse(rows, str(outcome.problem))
            return
        self.opened.add(stream)
        tally.take(rows, outcome, version, history=history)
        if not history:
            tally.seconds.append(took)
            if stream == self.traced:
                self.steps.append(msgspec.json.decode(outcome.forecast, type=list[Step])[0])

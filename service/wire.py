"""The wire: uvicorn's HTTP/1.1 with an end to patience, for clients that never finish what they began, or never read.

Start uvicorn with `http="service.wire:Wire"`. The app learns of a connection by the extensions of its requests:
`gatecast.transport`, which tells whether the client has left, and `gatecast.too_slow` once time is up.
"""

from __future__ import annotations

import asyncio
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from forecasting.errors import GatecastError
from service.batching import Batcher
from service.body import TOO_SLOW, TRANSPORT
from service.offers import without_offer
from service.problems import HeadTooLarge, NotHttp, TooSlow
from service.turnstile import Begun, Turnstile
from service.unasked import shed_answer, whole_answer
from service.watch import Watch

SHED = (b"/forecast", b"/invocations", b"/infer")
"""How the addresses end that ask for computations."""

LONGEST_HEAD = 65_536
"""Bytes of address and headers, or of anything else between two pieces of a body."""

TOO_LARGE = f"address and headers may have {LONGEST_HEAD:,} bytes together; send rows in the body"
LINGER_SECONDS = 1.0
LEAST_READ = 4096
"""Bytes that a client must take off a waiting answer from one look to the next, or it counts as not reading."""


class Wire(HttpToolsProtocol):
    """One connection. `_since` is when what is still incomplete began: the connection itself, or a message."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Stand where uvicorn's own protocol would."""
        super().__init__(config, server_state, app_state, _loop)
        self._watch = Watch.of(server_state, app_state, self.loop)
        self._since: float | None = self.loop.time()
        self._unsent_since = self.loop.time()
        self._head = self._unsent = self._open = 0
        self._large = self._over = self._offered = self._shed = self._asks = False
        self._extensions: dict[str, Any] = {}
        self._batcher: Batcher | None = app_state.get("batcher")
        self._turnstile = Turnstile(app_state.get("lane"))

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Let the requests of this connection know their transport."""
        super().connection_made(transport)
        self._extensions[TRANSPORT] = transport
        self._watch.begin()

    def data_received(self, data: bytes) -> None:
        """Take bytes; too many of them without any of a body are refused."""
        if self._over:
            return
        if self._since is None:
            self._since = self.loop.time()
        self._head += len(data)
        self._unset_keepalive_if_required()
        self._parse(data)
        if self._head > LONGEST_HEAD and not self._over:
            self._large = True
            self.send_400_response("")

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self.scope["extensions"] = self._extensions
        if self._since is None:  # it came in one piece with the one before
            self._since = self.loop.time()

    def on_headers_complete(self) -> None:
        """Refuse what is too large, however it came; the sum is made only where it can be."""
        if self._head > LONGEST_HEAD:
            lines = sum(len(name) + len(value) + 4 for name, value in self.headers)
            self._large = len(self.url) + lines > LONGEST_HEAD
            if self._large:
                raise HeadTooLarge  # the parser gives up
        self._offered = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        self._asks = self.url.partition(b"?")[0].endswith(SHED) and self.parser.get_method() == b"POST"
        self._shed = self._asks and self._is_flooded()
        if self._shed:
            self._refuse_unread()
        elif not self._offered:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Pass a piece of a body on."""
        self._head = 0
        if not self._shed:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request; what comes next may take its time to begin."""
        if self._shed:
            self._next_after_shed()
        elif not self._offered:
            if self._asks and not self.cycle.response_complete:
                self._count(1)
            super().on_message_complete()
            self._hand_on(self._turnstile.complete())
        else:
            return
        self._since, self._head = None, 0

    def on_response_complete(self) -> None:
        """Go on with the next request."""
        if self._open:
            self._count(-1)
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what was asked over this connection."""
        self._count(-self._open)
        self._turnstile.give_up()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Begin with a request whose turn it is."""
        self._hand_on(self._turnstile.enter((cycle, app)))

    def _hand_on(self, begun: Begun | None) -> None:
        if begun is not None:
            super()._start_asgi_task(*begun)

    def _count(self, more: int) -> None:
        """Count requests that have arrived whole; a client that never sends the rest shall not fill the queue."""
        self._open += more
        if self._batcher is not None:
            self._batcher.open += more

    def _is_flooded(self) -> bool:
        """Tell whether the queue is full, and the answer to this request is the next to go out."""
        if self._batcher is None or not self._batcher.flooded:
            return False
        return not self._offered and (self.cycle is None or self.cycle.response_complete)

    def _refuse_unread(self) -> None:
        """Refuse a request without the app: to begin and end one there takes several times as long.

        In a flood nearly all requests are refused, and what that costs is taken from those that are answered.
        """
        if self._batcher is not None:
            self._batcher.shed()
        self.transport.write(shed_answer(self.server_state.default_headers))

    def _next_after_shed(self) -> None:
        """Wait for the next request, as after any other."""
        self._shed = False
        if not self.parser.should_keep_alive():
            self.transport.close()
            return
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _parse(self, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left and not self._over:
                left = left[self._feed(left) :]
        except HttpParserError:
            self.send_400_response("")

    def _feed(self, data: memoryview) -> int:
        """Return how many bytes were parsed: all, or those up to the end of a head that offers another protocol."""
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as offered:
            self._stay()
            return int(offered.args[0])
        return len(data)

    def _stay(self) -> None:
        """Answer in HTTP/1.1 a request that offers to go on in HTTP/2, as every one of Java's client does.

        The parser takes the body for the other protocol's. So the head is read once more, without the offer.
        """
        head = without_offer(self.parser, self.url, self.headers)
        self.parser = HttpRequestParser(self)
        self.parser.feed_data(head)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the words are ours
        """Refuse what cannot be read, after the answers that are still due."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete and not cycle.more_body:
            self._over, cycle.keep_alive = True, False
        elif self.pipeline or self._answering():
            self.transport.abort()
        else:
            self._refuse(HeadTooLarge(TOO_LARGE) if self._large else NotHttp("send a request of HTTP/1.1"))

    def look(self, now: float) -> None:
        """End the connection if its client has had its time."""
        if self._since is not None and self.flow.read_paused:
            self._since = now  # it is we who do not read
        elif self._since is not None and now - self._since > self._watch.patience:
            self._end()
        unsent = self.transport.get_write_buffer_size()
        if not unsent or unsent < self._unsent - LEAST_READ:
            self._unsent_since = now
        elif now - self._unsent_since > self._watch.patience:
            self.transport.abort()
        self._unsent = unsent

    def _end(self) -> None:
        cycle = self.cycle
        if self._over:
            self.transport.abort()
        elif cycle is None or cycle.response_complete:  # no request, or half a head after one that was answered
            self.transport.close()
        elif not cycle.more_body:  # half a head after one that is being answered
            cycle.keep_alive = False
        elif self._answering():
            self.transport.abort()
        elif TOO_SLOW not in self._extensions:  # half a body: let the app answer, with its id and its metrics
            self._extensions[TOO_SLOW] = True
            self._hand_on(self._turnstile.give_up())
            cycle.keep_alive = False
            cycle.message_event.set()
        else:  # it did not, in all the time from one look to the next
            self._refuse(TooSlow("the body did not arrive in time"))

    def _answering(self) -> bool:
        return self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete

    def _refuse(self, error: GatecastError) -> None:
        """Answer without the app, then wait a moment for the client to read that before the connection is closed."""
        self._over = True
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(whole_answer(error, self.server_state.default_headers))
        self._since = self.loop.time() - self._watch.patience + LINGER_SECONDS
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

"""The observation log and the keeper of streams over it, once the log is open; and what to say as long as it is not."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from forecasting.errors import GatecastError, LogUnavailable, NotStreamable
from forecasting.log.opening import FILE, open_log
from forecasting.streams.keeper import Keeper, Policy
from service.problems import row_for
from service.schemas import StreamLimits
from service.settings import Settings

OFF = "streams are off here; whoever runs this service can start it with GATECAST_STREAMS=true"
AWAY = "the observation log does not answer; streams are refused, windows are forecast"

log = logging.getLogger(__name__)


class Store:
    """Opens the log, and opens it again as long as it cannot be; it blocks, and is for threads but for its properties.

    What keeps the log from being used is logged once, and told in `degraded` until it is over.
    """

    def __init__(self, settings: Settings) -> None:
        """Remember where the log is; nothing is opened yet."""
        self._settings = settings
        self._keeper: Keeper | None = None
        self._trouble: str | None = None

    @property
    def enabled(self) -> bool:
        """Whether there are to be streams at all."""
        return self._settings.streams

    @property
    def keeper(self) -> Keeper:
        """The keeper.

        Raises:
            NotStreamable: streams are off.
            LogUnavailable: the log is not open.
        """
        if self._keeper is not None:
            return self._keeper
        if not self.enabled:
            raise NotStreamable(OFF)
        raise LogUnavailable(AWAY)

    @property
    def limits(self) -> StreamLimits:
        """What streams may take."""
        settings = self._settings
        return StreamLimits(
            max_pushes=settings.max_pushes,
            max_bulk_bytes=settings.max_bulk_bytes,
            max_gap_rows=settings.max_gap_rows,
            max_streams=settings.max_streams,
            replay_rows=settings.replay_rows,
            retention_days=settings.retention_days,
        )

    @property
    def is_open(self) -> bool:
        """Whether the log has been opened."""
        return self._keeper is not None

    @property
    def cached(self) -> int:
        """Streams that are held in memory."""
        return self._keeper.cached if self._keeper else 0

    @property
    def degraded(self) -> Mapping[str, str]:
        """What is not as it should be."""
        return {} if self._trouble is None else {"log": self._trouble}

    def open(self) -> None:
        """Open the log.

        Raises:
            GatecastError: it cannot be opened.
        """
        settings = self._settings
        found = open_log(settings.log_url, Path(settings.home) / FILE, settings.durability)
        policy = Policy(
            replay_rows=settings.replay_rows,
            snapshot_rows=settings.snapshot_rows,
            max_gap_rows=settings.max_gap_rows,
            max_streams=settings.max_streams,
            cache_bytes=settings.stream_cache_bytes,
            unsafe=settings.unsafe_streams,
        )
        self._keeper = Keeper(found, policy)

    def lost(self, error: Exception) -> None:
        """Note that the log could not be opened, or does not answer."""
        trouble = row_for(error).title if isinstance(error, GatecastError) else AWAY
        if trouble != self._trouble:
            self._trouble = trouble
            log.error("streams: %s", error, exc_info=None if isinstance(error, GatecastError) else error)

    def found(self) -> None:
        """Note that it answers."""
        if self._trouble is not None:
            self._trouble = None
            log.info("streams: the observation log answers")

    def close(self) -> None:
        """Let go of the log."""
        if self._keeper is not None:
            self._keeper.log.close()

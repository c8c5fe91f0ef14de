"""The API keys of a running service: those in the file as it is now, without a restart."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from forecasting.errors import SettingsError
from forecasting.keys import Key, by_id, read_keys

LOOK_SECONDS = 1.0

log = logging.getLogger(__name__)

Stamp = tuple[int, int, int]


class KeyRing:
    """Keys by id, read again when their file has changed; looked at once a second at most.

    A file that is damaged while the service runs changes nothing: the keys read before go on to count.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Read them.

        Raises:
            SettingsError: the file cannot be read.
        """
        self._path, self._clock = path, clock
        self._look_at = clock() + LOOK_SECONDS
        self._stamp = _stamp(path)
        self._keys = by_id(read_keys(path))

    def current(self) -> Mapping[bytes, Key]:
        """Return the keys that count now."""
        now = self._clock()
        if now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            self._look()
        return self._keys

    def _look(self) -> None:
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._keys = by_id(read_keys(self._path))
        except SettingsError as error:
            log.error("the keys read before go on to count: %s", error)  # noqa: TRY400 - its text is meant for people
        else:
            log.info("keys read again: there are %d", len(self._keys))


def _stamp(path: Path) -> Stamp | None:
    """Return what differs after a change: a new file in the old one's place has a number of its own."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino

"""What every log offers; `sql` keeps it in a database, `memory` in this process and no longer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from forecasting.log.records import (
    Commit,
    Correction,
    Entry,
    Issued,
    Key,
    Observation,
    Snapshot,
    Stream,
    Version,
)


@runtime_checkable
class Log(Protocol):
    """The observation log and the ledger; many threads may use one, and several processes one database.

    Every method may raise `LogUnavailable`: the database does not answer, and nothing was written. Lists are in the
    order of what was asked.
    """

    durable: bool
    """Whether what was written outlives the process; if not, no call waits for a disk."""

    def find(self, keys: Sequence[Key]) -> list[Stream | None]:
        """Return streams by their keys, None where there is none."""

    def commit(self, commit: Commit) -> None:
        """Write all of it, durably, before returning.

        Raises:
            Outrun: another writer was quicker with one of these streams; nothing was written.
        """

    def correct(self, correction: Correction) -> None:
        """Write a correction.

        Raises:
            Outrun: another writer was quicker; nothing was written.
        """

    def rows(self, wanted: Sequence[tuple[int, int, int]]) -> list[list[Observation]]:
        """Return rows by (stream, first seq, last seq), both included, in their order."""

    def at(self, stream: int, times: Sequence[int]) -> list[Observation | None]:
        """Return rows of a stream by their times."""

    def issued(self, wanted: Sequence[tuple[int, int, int]]) -> list[list[Issued]]:
        """Return forecasts by (stream, first seq, last seq), both included, in their order."""

    def snapshots(self, wanted: Sequence[tuple[int, int]], version: Version) -> list[Snapshot | None]:
        """Return by (stream, seq) the newest snapshot of that version at or before that row."""

    def origins(self, streams: Sequence[int], version: Version) -> list[int | None]:
        """Return the rows that the states of streams under a version are unrolled from."""

    def oldest(self, streams: Sequence[int]) -> list[int | None]:
        """Return the oldest rows there are."""

    def versions(self, stream: int, seq: int) -> list[Observation]:
        """Return what a row was before its corrections, the oldest first."""

    def ledger(self, stream: int, start: int, limit: int) -> list[Entry]:
        """Return lines from row `start` on, at most `limit`."""

    def streams(self, principal: str, model: str, after: str, limit: int) -> list[Stream]:
        """Return streams of a principal and model by name, those behind `after`."""

    def count(self, principal: str) -> int:
        """Return how many streams a principal has, of all models."""

    def drifting(self, model: str) -> dict[int, int]:
        """Return how many streams of a model there are, by the code of their drift."""

    def erase(self, stream: int) -> None:
        """Delete everything of a stream; of one that is not there, nothing."""

    def prune(self, before: int, keep: int) -> int:
        """Delete rows that arrived before a time, with their forecasts; return how many.

        The newest `keep` rows of a stream stay, and all from its newest snapshot less `keep` on; what has no snapshot
        stays.
        """

    def close(self) -> None:
        """Let go of the database."""

"""The log in a database: SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from forecasting.log import reading
from forecasting.log.connecting import Database
from forecasting.log.pruning import prune
from forecasting.log.records import Commit, Correction, Entry, Issued, Key, Observation, Snapshot, Stream, Version
from forecasting.log.statements import compiled
from forecasting.log.versions import Versions
from forecasting.log.writing import write_commit, write_correction, write_erasure


class SqlLog:
    """A `Log` that outlives the process; safe to use from many threads, and from several processes."""

    durable = True

    def __init__(self, database: Database) -> None:
        """Take a database whose tables are up to date."""
        self._database = database
        self._statements = compiled(database.engine.dialect)
        self._versions = Versions(database, self._statements.add_version)

    def find(self, keys: Sequence[Key]) -> list[Stream | None]:
        """Return streams by their keys, None where there is none."""
        found = self._database.read(lambda connection: reading.find(connection, keys))
        return [_stream(rows[0][1:]) if rows else None for rows in found]

    def commit(self, commit: Commit) -> None:
        """Write all of it in one transaction, or nothing.

        Raises:
            Outrun: another writer was quicker with one of these streams.
            LogUnavailable: the database does not answer.
        """
        ids = self._versions.ids(one.version for part in commit[3:] for one in part)
        self._database.write(lambda cursor: write_commit(cursor, self._statements, commit, ids))

    def correct(self, correction: Correction) -> None:
        """Write a correction.

        Raises:
            Outrun: another writer was quicker, or the row was pruned; nothing was written.
            LogUnavailable: the database does not answer.
        """
        ids = self._versions.ids(one.version for part in correction[3:] for one in part)
        self._database.write(lambda cursor: write_correction(cursor, self._statements, correction, ids))

    def rows(self, wanted: Sequence[tuple[int, int, int]]) -> list[list[Observation]]:
        """Return rows by (stream, first seq, last seq), both included, in their order."""
        found = self._database.read(lambda connection: reading.observations(connection, wanted))
        return [[Observation(*row[1:]) for row in rows] for rows in found]

    def at(self, stream: int, times: Sequence[int]) -> list[Observation | None]:
        """Return rows of a stream by their times."""
        seqs = self._database.read(lambda connection: reading.at(connection, stream, times))
        found = iter(self.rows([(stream, seq, seq) for seq in seqs if seq is not None]))
        return [None if seq is None else next(iter(next(found)), None) for seq in seqs]

    def issued(self, wanted: Sequence[tuple[int, int, int]]) -> list[list[Issued]]:
        """Return forecasts by (stream, first seq, last seq), both included, in their order."""
        found = self._database.read(lambda connection: reading.forecasts(connection, wanted))
        return [[self._issued(row[1:]) for row in rows] for rows in found]

    def snapshots(self, wanted: Sequence[tuple[int, int]], version: Version) -> list[Snapshot | None]:
        """Return by (stream, seq) the newest snapshot of that version at or before that row."""
        number = self._versions.find(version)
        found = self._database.read(lambda connection: reading.newest_snapshots(connection, wanted, number))
        return [Snapshot(rows[0][1], version, *rows[0][3:]) if rows else None for rows in found]

    def origins(self, streams: Sequence[int], version: Version) -> list[int | None]:
        """Return the rows that the states of streams under a version are unrolled from."""
        number = self._versions.find(version)
        found = self._database.read(lambda connection: reading.origin_rows(connection, streams, number))
        return [rows[0][1] if rows else None for rows in found]

    def oldest(self, streams: Sequence[int]) -> list[int | None]:
        """Return the oldest rows there are."""
        found = self._database.read(lambda connection: reading.oldest_rows(connection, streams))
        return [rows[0][1] for rows in found]

    def versions(self, stream: int, seq: int) -> list[Observation]:
        """Return what a row was before its corrections, the oldest first."""
        found = self._database.read(lambda connection: reading.corrected(connection, stream, seq))
        return [Observation(*row) for row in found]

    def ledger(self, stream: int, start: int, limit: int) -> list[Entry]:
        """Return lines from row `start` on, at most `limit`; rows that never came have none."""
        found = self._database.read(lambda connection: reading.ledger(connection, stream, start, limit))
        return [self._entry(row) for row in found]

    def streams(self, principal: str, model: str, after: str, limit: int) -> list[Stream]:
        """Return streams of a principal and model by name, those behind `after`."""
        found = self._database.read(lambda connection: reading.listed(connection, principal, model, after, limit))
        return [_stream(row) for row in found]

    def count(self, principal: str) -> int:
        """Return how many streams a principal has, of all models."""
        return self._database.read(lambda connection: reading.count(connection, principal))

    def drifting(self, model: str) -> dict[int, int]:
        """Return how many streams of a model there are, by the code of their drift."""
        return self._database.read(lambda connection: reading.drifting(connection, model))

    def erase(self, stream: int) -> None:
        """Delete everything of a stream; of one that is not there, nothing."""
        self._database.write(lambda cursor: write_erasure(cursor, self._statements, stream))

    def prune(self, before: int, keep: int) -> int:
        """Delete rows that arrived before a time, from the oldest on, as far as `keep` allows; return how many.

        In slices, each a transaction of its own, so that no push waits long.
        """
        return prune(self._database, self._statements, before, keep)

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def _issued(self, row: Sequence[Any]) -> Issued:
        stream, seq, number, values, said, notes, revised = row
        return Issued(stream, seq, self._versions[number], values, said, notes, bool(revised))

    def _entry(self, row: Sequence[Any]) -> Entry:
        observed = len(Observation._fields)
        forecast = self._issued((*row[:2], *row[observed:])) if row[observed] is not None else None
        return Entry(Observation(*row[:observed]), forecast)


def _stream(row: Sequence[Any]) -> Stream:
    return Stream(row[0], Key(*row[1:4]), *row[4:])

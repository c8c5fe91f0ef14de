"""The log in a database: SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from forecasting.errors import Outrun
from forecasting.log import queries, statements
from forecasting.log.connecting import Database
from forecasting.log.pruning import Pruning
from forecasting.log.reading import Line, ask_by_array, ask_by_json, drifting, rows_at
from forecasting.log.records import Commit, Correction, Entry, Issued, Key, Observation, Snapshot, Stream, Version
from forecasting.log.versions import Versions
from forecasting.log.writing import write_commit, write_correction, write_erasure


class SqlLog:
    """A `Log` that outlives the process; safe to use from many threads, and from several processes."""

    durable = True

    def __init__(self, database: Database) -> None:
        """Take a database whose tables are up to date."""
        dialect = database.engine.dialect
        self._database = database
        self._statements = statements.compiled(dialect)
        self._queries = queries.compiled(dialect)
        self._ask = ask_by_array if dialect.name == "postgresql" else ask_by_json
        self._versions = Versions(database, self._queries.versions, self._statements.add_version)

    def find(self, keys: Sequence[Key]) -> list[Stream | None]:
        """Return streams by their keys, None where there is none."""
        return [_stream(rows[0]) if rows else None for rows in self._about(self._queries.streams, keys)]

    def commit(self, commit: Commit) -> None:
        """Write all of it in one transaction, or nothing.

        Raises:
            Outrun: another writer was quicker with one of these streams.
            LogUnavailable: the database does not answer.
        """
        ids, others = self._versions.ids(_versions_of(commit)), _others_in(commit)

        def write(cursor: Any) -> None:
            if others and [] in self._ask(cursor, self._queries.there, [(stream,) for stream in others]):
                message = "one of these streams was erased meanwhile; nothing was written"
                raise Outrun(message)
            write_commit(cursor, self._statements, commit, ids)

        self._database.write(write)

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
        return [[Observation(*row) for row in rows] for rows in self._about(self._queries.observations, wanted)]

    def at(self, stream: int, times: Sequence[int]) -> list[Observation | None]:
        """Return rows of a stream by their times."""
        found = self._database.read(lambda cursor: rows_at(cursor, self._queries, self._ask, stream, times))
        return [None if row is None else Observation(*row) for row in found]

    def issued(self, wanted: Sequence[tuple[int, int, int]]) -> list[list[Issued]]:
        """Return forecasts by (stream, first seq, last seq), both included, in their order."""
        return [[self._issued(row) for row in rows] for rows in self._about(self._queries.issued, wanted)]

    def snapshots(self, wanted: Sequence[tuple[int, int]], version: Version) -> list[Snapshot | None]:
        """Return by (stream, seq) the newest snapshot of that version at or before that row."""
        number = self._versions.find(version)
        lines = [(stream, number, seq) for stream, seq in wanted]
        found = self._about(self._queries.snapshots, lines)
        return [Snapshot(rows[0][0], version, *rows[0][2:]) if rows else None for rows in found]

    def origins(self, streams: Sequence[int], version: Version) -> list[int | None]:
        """Return the rows that the states of streams under a version are unrolled from."""
        number = self._versions.find(version)
        found = self._about(self._queries.origins, [(stream, number) for stream in streams])
        return [rows[0][0] if rows else None for rows in found]

    def oldest(self, streams: Sequence[int]) -> list[int | None]:
        """Return the oldest rows there are."""
        return [rows[0][0] for rows in self._about(self._queries.oldest, [(stream,) for stream in streams])]

    def versions(self, stream: int, seq: int) -> list[Observation]:
        """Return what a row was before its corrections, the oldest first."""
        return [Observation(*row) for row in self._all(self._queries.corrected, stream, seq)]

    def ledger(self, stream: int, start: int, limit: int) -> list[Entry]:
        """Return lines from row `start` on, at most `limit`; rows that never came have none."""
        return [self._entry(row) for row in self._all(self._queries.ledger, stream, start, limit)]

    def streams(self, principal: str, model: str, after: str, limit: int) -> list[Stream]:
        """Return streams of a principal and model by name, those behind `after`."""
        return [_stream(row) for row in self._all(self._queries.listed, principal, model, after, limit)]

    def count(self, principal: str) -> int:
        """Return how many streams a principal has, of all models."""
        number: int = self._all(self._queries.of_principal, principal)[0][0]
        return number

    def drifting(self, model: str) -> dict[int, int]:
        """Return how many streams of a model there are, by the code of their drift."""
        return self._database.read(lambda cursor: drifting(cursor, self._queries, model))

    def erase(self, stream: int) -> None:
        """Delete everything of a stream; of one that is not there, nothing."""
        self._database.write(lambda cursor: write_erasure(cursor, self._statements, stream))

    def prune(self, before: int, keep: int) -> int:
        """Delete rows that arrived before a time, from the oldest on, as far as `keep` allows; return how many.

        In slices, each a transaction of its own, so that no push waits long.
        """
        return Pruning(self._database, self._statements, self._queries, self._ask, before, keep).run()

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def _about(self, query: str, lines: Sequence[Line]) -> list[list[Line]]:
        return self._database.read(lambda cursor: self._ask(cursor, query, lines))

    def _all(self, query: str, *parameters: object) -> list[Line]:
        return self._database.read(lambda cursor: list(cursor.execute(query, parameters)))

    def _issued(self, row: Line) -> Issued:
        stream, seq, number, values, said, notes, revised = row
        return Issued(stream, seq, self._versions[number], values, said, notes, bool(revised))

    def _entry(self, row: Line) -> Entry:
        observed = len(Observation._fields)
        forecast = self._issued((*row[:2], *row[observed:])) if row[observed] is not None else None
        return Entry(Observation(*row[:observed]), forecast)


def _versions_of(commit: Commit) -> Iterator[Version]:
    if commit.onward is not None:
        yield commit.onward.version
    for part in (commit.issued, commit.snapshots, commit.origins):
        yield from (one.version for one in part)


def _others_in(commit: Commit) -> list[int]:
    """Return the streams of which something is written although they do not move."""
    parts = (commit.observations, commit.issued, commit.snapshots, commit.origins)
    named = {one.stream for part in parts for one in part}
    if not named:
        return []
    moved = {one.stream for one in commit.advanced}
    return sorted(named - moved - set(commit.onward.streams if commit.onward is not None else ()))


def _stream(row: Line) -> Stream:
    return Stream(row[0], Key(*row[1:4]), *row[4:])

"""The log in this process: as quick as a dictionary, gone with the process, and forgetful of what is old.

Of each stream it keeps the newest rows, and all behind its newest snapshot: what a rebuild needs. Older rows, their
forecasts, corrections and snapshots are let go as new ones come, so memory is bounded by the number of streams.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import repeat
from threading import Lock

from forecasting.errors import Outrun
from forecasting.log.held import Held, Line, Newest, refuse_outrun
from forecasting.log.records import (
    Commit,
    Correction,
    Entry,
    Issued,
    Key,
    Kind,
    Observation,
    Onward,
    Snapshot,
    Stream,
    Version,
)

NEWEST_ROWS = 4096


class MemoryLog:
    """A `Log` that is no longer there when the process ends.

    Rows of streams that have no snapshot are all kept; of others the newest `rows`, and those behind the snapshot.
    """

    durable = False

    def __init__(self, rows: int = NEWEST_ROWS) -> None:
        """Begin empty; `rows` is how many of the newest rows of a stream are kept at least."""
        self._rows = rows
        self._lock = Lock()
        self._held: dict[int, Held] = {}
        self._ids: dict[Key, int] = {}
        self._counts: Counter[str] = Counter()

    def find(self, keys: Sequence[Key]) -> list[Stream | None]:
        """Return streams by their keys, None where there is none."""
        with self._lock:
            ids = [self._ids.get(key) for key in keys]
            return [None if one is None else self._held[one].stream for one in ids]

    def commit(self, commit: Commit) -> None:
        """Keep all of it, or nothing.

        Raises:
            Outrun: another writer was quicker with one of these streams.
        """
        with self._lock:
            refuse_outrun(self._held, self._ids, commit)
            for stream in commit.created:
                self._held[stream.id], self._ids[stream.key] = Held(stream), stream.id
                self._counts[stream.key.principal] += 1
            for advance in commit.advanced:
                self._held[advance.stream].advance(advance, advance.epoch)
            for held in [*self._keep(commit), *self._go_on(commit.onward)]:
                held.drop_before(min(held.seq - self._rows, max(held.snapshots)) + 1)

    def _go_on(self, onward: Onward | None) -> list[Held]:
        """Keep the next row of each stream; return the streams that have more rows now than they need."""
        if onward is None:
            return []
        came, said = (
            (onward.times, onward.values, repeat(onward.arrived), onward.scores),
            (onward.forecasts, onward.said),
        )
        lines = map(tuple.__new__, repeat(Line), zip(*came, *said, onward.notes, repeat(onward.version), strict=False))
        tracked = zip(onward.times, onward.trackers, repeat(onward.shape), onward.drifts, strict=False)
        newest = map(tuple.__new__, repeat(Newest), tracked)
        there = map(self._held.__getitem__, onward.streams)
        crowded, most = [], self._rows
        for held, seq, line, new in zip(there, onward.seqs, lines, newest, strict=True):
            held.seq, held.newest, held.rows[seq] = seq, new, line
            if len(held.rows) > most and held.snapshots:
                crowded.append(held)
        return crowded

    def _keep(self, commit: Commit) -> list[Held]:
        """Keep what is of rows; return the streams that have more rows now than they need."""
        for snapshot in commit.snapshots:
            self._held[snapshot.stream].keep_snapshot(snapshot)
        crowded = []
        for row in commit.observations:
            held = self._held[row.stream]
            held.rows[row.seq] = row
            if len(held.rows) > self._rows and held.snapshots:
                crowded.append(held)
        for forecast in commit.issued:
            self._held[forecast.stream].issued[forecast.seq] = forecast
        for origin in commit.origins:
            self._held[origin.stream].origins.setdefault(origin.version, origin.seq)
        return crowded

    def correct(self, correction: Correction) -> None:
        """Keep a correction.

        Raises:
            Outrun: another writer was quicker; nothing was changed.
        """
        row, advance = correction.observation, correction.advance
        with self._lock:
            held = self._held.get(row.stream)
            stands = held is not None and (held.seq, held.epoch) == (advance.before, advance.epoch)
            if held is None or not stands or row.seq not in held.rows:
                message = "another writer was quicker with this stream"
                raise Outrun(message)
            held.take_apart({row.seq, *correction.scores, *(forecast.seq for forecast in correction.issued)})
            held.corrected.setdefault(row.seq, []).append(held.row(row.seq))
            held.rows[row.seq] = row
            for seq, score in correction.scores.items():
                held.rows[seq] = held.row(seq)._replace(score=score)
            held.issued.update({forecast.seq: forecast for forecast in correction.issued})
            held.snapshots = {seq: kept for seq, kept in held.snapshots.items() if seq < row.seq}
            for snapshot in correction.snapshots:
                held.keep_snapshot(snapshot)
            held.advance(advance, advance.epoch + 1)

    def rows(self, wanted: Sequence[tuple[int, int, int]]) -> list[list[Observation]]:
        """Return rows by (stream, first seq, last seq), both included, in their order."""
        with self._lock:
            return [
                [] if (held := self._held.get(stream)) is None else held.rows_between(first, last)
                for stream, first, last in wanted
            ]

    def at(self, stream: int, times: Sequence[int]) -> list[Observation | None]:
        """Return rows of a stream by their times."""
        with self._lock:
            held = self._held.get(stream)
            return [None if held is None else held.at(time) for time in times]

    def issued(self, wanted: Sequence[tuple[int, int, int]]) -> list[list[Issued]]:
        """Return forecasts by (stream, first seq, last seq), both included, in their order."""
        with self._lock:
            return [
                [] if (held := self._held.get(stream)) is None else held.issued_between(first, last)
                for stream, first, last in wanted
            ]

    def snapshots(self, wanted: Sequence[tuple[int, int]], version: Version) -> list[Snapshot | None]:
        """Return by (stream, seq) the newest snapshot of that version at or before that row."""
        with self._lock:
            return [self._snapshot(stream, seq, version) for stream, seq in wanted]

    def _snapshot(self, stream: int, seq: int, version: Version) -> Snapshot | None:
        held = self._held.get(stream)
        if held is None:
            return None
        found = [row for row, kept in held.snapshots.items() if row <= seq and version in kept]
        return held.snapshots[max(found)][version] if found else None

    def origins(self, streams: Sequence[int], version: Version) -> list[int | None]:
        """Return the rows that the states of streams under a version are unrolled from."""
        with self._lock:
            held = [self._held.get(stream) for stream in streams]
            return [None if one is None else one.origins.get(version) for one in held]

    def oldest(self, streams: Sequence[int]) -> list[int | None]:
        """Return the oldest rows there are."""
        with self._lock:
            held = [self._held.get(stream) for stream in streams]
            return [None if one is None or not one.rows else one.oldest for one in held]

    def versions(self, stream: int, seq: int) -> list[Observation]:
        """Return what a row was before its corrections, the oldest first."""
        with self._lock:
            held = self._held.get(stream)
            return [] if held is None else list(held.corrected.get(seq, ()))

    def ledger(self, stream: int, start: int, limit: int) -> list[Entry]:
        """Return lines from row `start` on, at most `limit`; rows that never came have none."""
        lines: list[Entry] = []
        with self._lock:
            held = self._held.get(stream)
            if held is None:
                return lines
            for seq in range(max(start, held.oldest), held.seq + 1):
                if len(lines) == limit:
                    break
                if (row := held.row(seq)).kind != Kind.FILLER:
                    lines.append(Entry(row, held.forecast(seq)))
        return lines

    def streams(self, principal: str, model: str, after: str, limit: int) -> list[Stream]:
        """Return streams of a principal and model by name, those behind `after`."""
        with self._lock:
            of = [key for key in self._ids if key[:2] == (principal, model) and key.stream > after]
            return [self._held[self._ids[key]].stream for key in sorted(of)[:limit]]

    def count(self, principal: str) -> int:
        """Return how many streams a principal has, of all models."""
        with self._lock:
            return self._counts[principal]

    def drifting(self, model: str) -> dict[int, int]:
        """Return how many streams of a model there are, by the code of their drift."""
        with self._lock:
            return dict(
                Counter(
                    held.newest.drift if held.newest else 0
                    for held in self._held.values()
                    if held.begun.key.model == model
                )
            )

    def erase(self, stream: int) -> None:
        """Delete everything of a stream; of one that is not there, nothing."""
        with self._lock:
            held = self._held.pop(stream, None)
            if held is not None:
                del self._ids[held.begun.key]
                self._counts[held.begun.key.principal] -= 1

    def prune(self, before: int, keep: int) -> int:
        """Delete rows that arrived before a time, from the oldest on, as far as `keep` allows; return how many."""
        with self._lock:
            return sum(held.drop_before(held.prunable(before, keep)) for held in self._held.values())

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._held.clear()
            self._ids.clear()
            self._counts.clear()

"""What the log in memory keeps of a stream."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from forecasting.errors import Outrun
from forecasting.log.records import PUSHED, Advance, Commit, Issued, Key, Observation, Snapshot, Stream, Version


class Newest(NamedTuple):
    """What goes with the newest row of a stream."""

    time: int
    tracker: bytes
    shape: str
    drift: int


class Line(NamedTuple):
    """A row that was pushed and the forecast issued at it, in one: half of what two records take."""

    time: int
    values: bytes
    arrived: int
    score: bytes
    forecast: bytes
    said: bytes
    notes: str | None
    version: Version


@dataclass(slots=True)
class Held:
    """What is kept of a stream; rows are gapless from `oldest` on. A `Line` has no entry in `issued`."""

    begun: Stream
    seq: int = -1
    epoch: int = 0
    newest: Newest | None = None
    oldest: int = 0
    rows: dict[int, Observation | Line] = field(default_factory=dict)
    issued: dict[int, Issued] = field(default_factory=dict)
    snapshots: dict[int, dict[Version, Snapshot]] = field(default_factory=dict)
    origins: dict[Version, int] = field(default_factory=dict)
    corrected: dict[int, list[Observation]] = field(default_factory=dict)

    @property
    def stream(self) -> Stream:
        """The stream as it stands."""
        to = self.newest
        return self.begun if to is None else self.begun._replace(seq=self.seq, epoch=self.epoch, **to._asdict())

    def advance(self, to: Advance, epoch: int) -> None:
        """Move on."""
        self.newest, self.seq, self.epoch = Newest(to.time, to.tracker, to.shape, to.drift), to.seq, epoch

    def row(self, seq: int) -> Observation:
        """Return a row that is there."""
        one = self.rows[seq]
        if isinstance(one, Observation):
            return one
        return Observation(self.begun.id, seq, one.time, one.values, one.arrived, PUSHED, None, one.score)

    def forecast(self, seq: int) -> Issued | None:
        """Return the forecast issued at a row, if one was."""
        one = self.rows.get(seq)
        if not isinstance(one, Line):
            return self.issued.get(seq)
        return Issued(self.begun.id, seq, one.version, one.forecast, one.said, one.notes)

    def take_apart(self, seqs: Iterable[int]) -> None:
        """Keep rows as the records that they are, so that each can be changed by itself."""
        for seq in seqs:
            row, forecast = self.row(seq), self.forecast(seq)
            self.rows[seq] = row
            if forecast is not None:
                self.issued[seq] = forecast

    def rows_between(self, first: int, last: int) -> list[Observation]:
        """Return the rows there are from one to another, both included."""
        return list(map(self.row, self._between(first, last)))

    def issued_between(self, first: int, last: int) -> list[Issued]:
        """Return the forecasts issued at them."""
        found = map(self.forecast, self._between(first, last))
        return [one for one in found if one is not None]

    def prunable(self, before: int, keep: int) -> int:
        """Return the first row that stays if those that arrived before a time are dropped, as far as `keep` allows."""
        limit = max(self.snapshots, default=self.oldest) - keep
        seq = self.oldest
        while seq < limit and self.rows[seq].arrived < before:
            seq += 1
        return seq

    def keep_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot, in place of one of the same version and row."""
        self.snapshots.setdefault(snapshot.seq, {})[snapshot.version] = snapshot

    def at(self, time: int) -> Observation | None:
        """Return the row of a time."""
        span = range(self.oldest, self.seq + 1)
        place = bisect_left(span, time, key=lambda seq: self.rows[seq].time)
        row = self.rows[span[place]] if place < len(span) else None
        return self.row(span[place]) if row is not None and row.time == time else None

    def drop_before(self, seq: int) -> int:
        """Drop rows before `seq` with all that is of them; return how many."""
        dropped = range(self.oldest, max(self.oldest, seq))
        for row in dropped:
            self.rows.pop(row, None)
            self.issued.pop(row, None)
            self.corrected.pop(row, None)
            self.snapshots.pop(row - 1, None)  # behind a row it needs the next one
        self.oldest = dropped.stop
        return len(dropped)

    def _between(self, first: int, last: int) -> range:
        return range(max(first, self.oldest), min(last, self.seq) + 1)


def refuse_outrun(there: Mapping[int, Held], ids: Mapping[Key, int], commit: Commit) -> None:
    """Raise `Outrun` unless all streams of a commit stand where it takes them to."""
    created = {stream.id for stream in commit.created}
    known = any(stream.key in ids or stream.id in there for stream in commit.created)
    twice = len({stream.key for stream in commit.created}) < len(commit.created)
    moves = [(one.stream, one.before, one.epoch) for one in commit.advanced if one.stream in there]
    new = [one for one in commit.advanced if one.stream not in there]
    strange = any(one.stream not in created or (one.before, one.epoch) != (-1, 0) for one in new)
    parts = (commit.observations, commit.issued, commit.snapshots, commit.origins)
    gone = any(one.stream not in there and one.stream not in created for part in parts for one in part)
    if commit.onward is not None:
        moves += zip(commit.onward.streams, commit.onward.before, commit.onward.epochs, strict=True)
    if known or twice or strange or gone or not _stand(there, moves):
        message = "another writer was quicker with one of these streams"
        raise Outrun(message)


def _stand(there: Mapping[int, Held], moves: Iterable[tuple[int, int, int]]) -> bool:
    """Tell whether streams are there and stand where they are to move from."""
    held = ((there.get(stream), seq, epoch) for stream, seq, epoch in moves)
    return all(one is not None and one.seq == seq and one.epoch == epoch for one, seq, epoch in held)

"""Streams, and what is written of them, told apart by their numbers."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from forecasting.log.records import (
    Advance,
    Commit,
    Correction,
    Issued,
    Key,
    Kind,
    Observation,
    Onward,
    Origin,
    Snapshot,
    Stream,
    Version,
)

ONE = Version("weather", "1", "run-1")
TWO = Version("weather", "2", "run-2")
HOUR = 3_600_000_000_000


def number(value: float) -> bytes:
    return struct.pack("<f", value)


def a_stream(at: int = 1, **other: Any) -> Stream:
    """Return a stream whose id lies far from its neighbours', as random ones do."""
    made = Stream(2**62 + 7 * at, Key("anna", "weather", f"s{at:03}"), None, "{}", "digest", 5)
    return made._replace(**other)


def a_row(stream: Stream, seq: int, **other: Any) -> Observation:
    made = Observation(
        stream.id, seq, 1000 * HOUR + seq * HOUR, number(seq), 100 + seq, Kind.PUSHED, None, number(-seq)
    )
    return made._replace(**other)


def a_forecast(stream: Stream, seq: int, **other: Any) -> Issued:
    return Issued(stream.id, seq, ONE, number(seq + 0.5), number(seq + 0.25))._replace(**other)


def a_snapshot(stream: Stream, seq: int, version: Version = ONE, state: bytes = b"state") -> Snapshot:
    return Snapshot(stream.id, version, seq, state, b"tracker", "shape")


def an_advance(stream: Stream, before: int, seq: int, **other: Any) -> Advance:
    row = a_row(stream, seq)
    return Advance(stream.id, before, 0, seq, row.time, number(100 + seq), "shape", 0)._replace(**other)


def a_push(stream: Stream, first: int, last: int | None = None, **parts: Any) -> Commit:
    """Return what a push of rows writes, each with its forecast; row 0 makes the stream."""
    seqs = range(first, (first if last is None else last) + 1)
    made = Commit(
        created=[stream] if first == 0 else [],
        advanced=[an_advance(stream, first - 1, seqs[-1])],
        observations=[a_row(stream, seq) for seq in seqs],
        issued=[a_forecast(stream, seq) for seq in seqs],
        snapshots=[],
        origins=[Origin(stream.id, ONE, 0)] if first == 0 else [],
    )
    return made._replace(**parts)


def together(commits: Sequence[Commit]) -> Commit:
    """Return several pushes as one commit; what goes on in columns can only come once."""
    parts = zip(*(commit[:-1] for commit in commits), strict=True)
    (onward,) = [one.onward for one in commits if one.onward] or [None]
    return Commit(*([one for part in parts for one in part] for parts in parts), onward)


def in_columns(commit: Commit) -> Commit:
    """Return the same commit, of one pushed and forecast row of each of its streams, in columns."""
    moves, rows, said = commit.advanced, commit.observations, commit.issued
    onward = Onward(
        [one.stream for one in moves],
        [one.before for one in moves],
        [one.epoch for one in moves],
        [one.seq for one in moves],
        [one.time for one in rows],
        [one.tracker for one in moves],
        [one.drift for one in moves],
        [one.values for one in rows],
        [one.score or b"" for one in rows],
        [one.values for one in said],
        [one.said for one in said],
        [one.notes for one in said],
        moves[0].shape,
        rows[0].arrived,
        said[0].version,
    )
    return commit._replace(advanced=[], observations=[], issued=[], onward=onward)


def a_correction(
    stream: Stream, seq: int, newest: int, scores: Mapping[int, bytes | None] | None = None, **other: Any
) -> Correction:
    """Return the first correction of a row."""
    made = Correction(
        observation=a_row(stream, seq, values=number(-1), revision=1),
        advance=an_advance(stream, newest, newest, tracker=b"corrected"),
        scores=dict(scores or {}),
        issued=[a_forecast(stream, later, values=b"anew", revised=True) for later in range(seq, newest + 1)],
        snapshots=[],
    )
    return made._replace(**other)

"""Whatever is done to a log in a database, it answers as the log in memory does, and as it did before a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from forecasting.errors import Outrun
from forecasting.log.memory import MemoryLog
from forecasting.log.opening import open_log
from forecasting.log.records import Kind
from tests.forecasting.log.examples import (
    ONE,
    TWO,
    a_correction,
    a_forecast,
    a_push,
    a_row,
    a_snapshot,
    a_stream,
    an_advance,
    in_columns,
    together,
)

STREAMS = [a_stream(at) for at in range(3)]
STREAM = st.sampled_from(STREAMS)
BLOB = st.binary(max_size=6)


class Two(RuleBasedStateMachine):
    """A log in a database beside one in memory that forgets nothing."""

    def __init__(self, address: str | None, path: Path) -> None:
        super().__init__()
        self.address, self.path = address, path
        self.model, self.log = MemoryLog(rows=10**9), open_log(address, path)
        for stream in STREAMS:
            self.log.erase(stream.id)

    def teardown(self) -> None:
        self.log.close()

    def both(self, act: str, *arguments: Any) -> None:
        """Do the same to both; they agree on what comes of it."""
        self.each(act, arguments, arguments)

    def each(self, act: str, to_model: tuple[Any, ...], to_log: tuple[Any, ...]) -> None:
        answers = []
        for log, arguments in ((self.model, to_model), (self.log, to_log)):
            try:
                answers.append(getattr(log, act)(*arguments))
            except Outrun:
                answers.append("outrun")
        assert answers[0] == answers[1]

    def standing(self, stream: Any) -> tuple[int, int]:
        found = self.model.find([stream.key])[0]
        return (-1, 0) if found is None else (found.seq, found.epoch)

    @rule(streams=st.lists(STREAM, min_size=1, unique=True), count=st.integers(1, 3), blob=BLOB, data=st.data())
    def push(self, streams: list[Any], count: int, blob: bytes, data: Any) -> None:
        commits = []
        for stream in streams:
            seq, epoch = self.standing(stream)
            kind = data.draw(st.sampled_from(Kind))
            last = seq + count
            commits.append(
                a_push(stream, seq + 1, last)._replace(
                    advanced=[an_advance(stream, seq, last, epoch=epoch, tracker=blob, drift=len(blob) % 4)],
                    observations=[a_row(stream, at, ahead=blob, kind=kind) for at in range(seq + 1, last + 1)],
                    issued=[a_forecast(stream, last, version=TWO)] if kind == Kind.PUSHED else [],
                    snapshots=[a_snapshot(stream, last, state=blob)] if len(blob) > 3 else [],
                )
            )
        self.both("commit", together(commits))

    @rule(streams=st.lists(STREAM, min_size=1, unique=True), behind=st.sampled_from([0, 0, 0, 1]), blob=BLOB)
    def go_on(self, streams: list[Any], behind: int, blob: bytes) -> None:
        """Write to the one as records what is written to the other in columns."""
        commits = []
        for stream in streams:
            seq, epoch = self.standing(stream)
            advance = an_advance(stream, seq - behind, seq + 1, epoch=epoch, tracker=blob, drift=len(blob) % 4)
            rows = [a_row(stream, seq + 1, arrived=100)]
            issued = [a_forecast(stream, seq + 1, notes=None if len(blob) % 2 else "[]")]
            snapshots = [a_snapshot(stream, seq + 1, state=blob)] if len(blob) > 3 else []
            commits.append(
                a_push(stream, seq + 1, advanced=[advance], observations=rows, snapshots=snapshots, issued=issued)
            )
        commit = together(commits)._replace(created=[], origins=[])
        self.each("commit", (commit,), (in_columns(commit),))

    @rule(stream=STREAM, before=st.integers(-1, 4), epoch=st.integers(0, 2))
    def push_from_anywhere(self, stream: Any, before: int, epoch: int) -> None:
        advance = an_advance(stream, before, before + 1, epoch=epoch)
        self.both("commit", a_push(stream, before + 1, advanced=[advance]))

    @rule(stream=STREAM, back=st.integers(0, 4), blob=BLOB)
    def correct(self, stream: Any, back: int, blob: bytes) -> None:
        newest, epoch = self.standing(stream)
        seq = max(newest - back, 0)
        rows = self.model.rows([(stream.id, seq, newest)])[0]
        said = self.model.issued([(stream.id, seq, newest)])[0]
        row = rows[0] if rows else a_row(stream, max(seq, 0))
        correction = a_correction(
            stream,
            row.seq,
            max(newest, 0),
            {later.seq: blob for later in rows[1:]},
            observation=row._replace(values=blob, revision=row.revision + 1),
            advance=an_advance(stream, newest, max(newest, 0), epoch=epoch, tracker=blob),
            issued=[one._replace(values=blob, revised=True) for one in said],
            snapshots=[a_snapshot(stream, newest, TWO, blob)] if rows else [],
        )
        self.both("correct", correction)

    @rule(stream=STREAM)
    def erase(self, stream: Any) -> None:
        self.both("erase", stream.id)

    @rule(before=st.integers(95, 115), keep=st.integers(0, 4))
    def prune(self, before: int, keep: int) -> None:
        self.both("prune", before, keep)

    @rule()
    def restart(self) -> None:
        self.log.close()
        self.log = open_log(self.address, self.path)

    @invariant()
    def all_answers_agree(self) -> None:
        ids, spans = [one.id for one in STREAMS], [(one.id, 0, 99) for one in STREAMS]
        self.both("find", [one.key for one in STREAMS])
        self.both("rows", spans)
        self.both("issued", spans)
        self.both("oldest", ids)
        self.both("drifting", "weather")
        self.both("count", "anna")
        self.both("streams", "anna", "weather", "s000", 9)
        for version in (ONE, TWO):
            self.both("origins", ids, version)
            self.both("snapshots", [(stream, seq) for stream in ids for seq in (1, 4, 99)], version)
        for stream in STREAMS:
            self.both("ledger", stream.id, 1, 3)
            self.both("at", stream.id, [a_row(stream, seq).time for seq in (0, 2, 5)])
            self.both("versions", stream.id, 2)


def test_a_database_answers_as_memory_does(address: str | None, path: Path) -> None:
    few = settings(max_examples=15, stateful_step_count=15, deadline=None)
    run_state_machine_as_test(lambda: Two(address, path), settings=few)

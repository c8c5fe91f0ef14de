"""Whatever happens to streams: rules for a world of them, and what must be true of every answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from forecasting.streams.streamed import Streamed
from tests.forecasting.streams.oracle import Oracle, Row

HOUR = 3_600_000_000_000
START = 1_709_251_200_000_000_000
NAMES = ("north", "elsewhere")
"""A stream of a series that was trained on, and one of none."""

MOST_GAPS = 4
CELL = st.one_of(st.none(), st.floats(-20, 60, width=32))
ROW = st.tuples(CELL, CELL).map(lambda row: np.array([np.nan if x is None else x for x in row], np.float32))
ROWS = st.lists(ROW, min_size=1, max_size=3)
NAME = st.sampled_from(NAMES)


@dataclass
class Answer:
    """What a push or a correction was answered: a code, or where the stream stands and what is forecast."""

    code: str = "ok"
    seq: int = -1
    replayed: bool = False
    version: str = ""
    point: np.ndarray | None = None
    median: np.ndarray | None = None
    ends: np.ndarray | None = None
    asked: tuple[int, ...] | None = None
    """Which of all ends that are tracked `ends` are; None: all of them."""


class World(Protocol):
    """A service of streams, or its core."""

    def push(self, name: str, times: list[int], rows: list[np.ndarray]) -> Answer: ...

    def push_all(self, pushes: list[tuple[str, int, np.ndarray]]) -> list[Answer]: ...

    def add_history(self, name: str, times: list[int], rows: list[np.ndarray]) -> Answer: ...

    def correct(self, name: str, time: int, row: np.ndarray) -> Answer: ...

    def erase(self, name: str) -> str: ...

    def crash(self) -> None: ...

    def evict(self) -> None: ...

    def switch(self) -> None: ...

    def swap(self, version: str) -> None: ...

    def migrate(self) -> None: ...

    def origin(self, name: str, version: str) -> int | None: ...

    def open_versions(self) -> set[str]: ...

    def asked(self) -> str: ...

    def close(self) -> None: ...


class Machine(RuleBasedStateMachine):
    """A world under test beside oracles that know its streams by their definition alone."""

    models: dict[str, Streamed]

    def __init__(self) -> None:
        super().__init__()
        self.world = self.begin()
        self.oracles = {name: Oracle(self.models, "north" if name == "north" else None) for name in NAMES}

    def begin(self) -> World:
        raise NotImplementedError

    def teardown(self) -> None:
        self.world.close()

    @rule(name=NAME, rows=ROWS, gap=st.integers(0, MOST_GAPS))
    def push_what_comes_next(self, name: str, rows: list[np.ndarray], gap: int) -> None:
        times = self._next_times(name, len(rows), gap)
        self._accept(name, times, rows, self.world.push(name, times, rows))

    @rule(name=NAME, rows=st.lists(ROW, min_size=4, max_size=9))
    def push_many_rows(self, name: str, rows: list[np.ndarray]) -> None:
        times = self._next_times(name, len(rows), 0)
        self._accept(name, times, rows, self.world.push(name, times, rows))

    @rule(name=NAME, rows=st.tuples(ROWS, ROWS, ROWS), gap=st.integers(0, MOST_GAPS))
    def push_through_one_replica_and_the_other(self, name: str, rows: tuple[list[np.ndarray], ...], gap: int) -> None:
        for some in rows:
            times = self._next_times(name, len(some), gap)
            self._accept(name, times, some, self.world.push(name, times, some))
            self.world.switch()

    @rule(name=NAME, rows=ROWS, gap=st.integers(0, MOST_GAPS))
    def add_history(self, name: str, rows: list[np.ndarray], gap: int) -> None:
        oracle = self.oracles[name]
        times = self._next_times(name, len(rows), gap)
        answer = self.world.add_history(name, times, rows)
        if oracle.pushed:
            assert answer.code == "begun"
            return
        assert (answer.code, answer.replayed) == ("ok", False)
        self._fill_up_to(name, times[0])
        oracle.rows += [Row(time, row, None, history=True) for time, row in zip(times, rows, strict=True)]
        assert answer.seq == len(oracle.rows) - 1

    @rule(rows=st.tuples(ROW, ROW))
    def push_to_both_at_once(self, rows: tuple[np.ndarray, np.ndarray]) -> None:
        times = [self.oracles[name].rows[-1].time + HOUR if self.oracles[name].rows else START for name in NAMES]
        pushes = list(zip(NAMES, times, rows, strict=True))
        for (name, time, row), answer in zip(pushes, self.world.push_all(pushes), strict=True):
            self._accept(name, [time], [row], answer)

    @precondition(lambda self: any(oracle.rows for oracle in self.oracles.values()))
    @rule(data=st.data())
    def push_the_same_again(self, data: st.DataObject) -> None:
        name, seq = self._some_row(data)
        row = self.oracles[name].rows[seq]
        answer = self.world.push(name, [row.time], [row.values])
        if row.version is None:
            assert answer.code == ("stream" if row.history else "late")
            return
        assert (answer.code, answer.replayed, answer.seq, answer.version) == ("ok", True, seq, row.version)
        self._same(name, seq, answer)

    @precondition(lambda self: any(oracle.rows for oracle in self.oracles.values()))
    @rule(data=st.data(), row=ROW)
    def push_other_values_for_a_row(self, data: st.DataObject, row: np.ndarray) -> None:
        name, seq = self._some_row(data)
        was = self.oracles[name].rows[seq]
        if any(np.array_equal(row, one, equal_nan=True) for one in (was.values, *was.earlier)):
            return
        came = was.history or was.version is not None
        assert self.world.push(name, [was.time], [row]).code == ("changed" if came else "late")

    @rule(name=NAME, row=ROW)
    def push_what_leaves_out_too_much(self, name: str, row: np.ndarray) -> None:
        rows = self.oracles[name].rows
        if rows:
            answer = self.world.push(name, [rows[-1].time + HOUR * (MOST_GAPS + 2)], [row])
            assert answer.code == "window-rejected"

    @precondition(lambda self: any(oracle.rows for oracle in self.oracles.values()))
    @rule(data=st.data(), row=ROW)
    def correct_a_row(self, data: st.DataObject, row: np.ndarray) -> None:
        name, seq = self._some_row(data)
        oracle = self.oracles[name]
        was = oracle.rows[seq]
        answer = self.world.correct(name, was.time, row)
        self._note_origins(name)
        version = was.version or self._teller(name, seq)
        if answer.code == "no-such-observation":  # nobody can tell what the first forecast there would have been
            assert version is None
            assert any(one.version for one in oracle.rows[:seq])
            return
        assert answer.code == "ok"
        if np.array_equal(was.values, row, equal_nan=True):
            return
        assert version or not any(one.version for one in oracle.rows[:seq])
        oracle.freeze(seq, self.world.open_versions())
        oracle.rows[seq] = Row(was.time, row, version, was.stands, (*was.earlier, was.values), version is None)
        if oracle.pushed:
            self._same(name, len(oracle.rows) - 1, answer)

    @rule(name=NAME)
    def erase_a_stream(self, name: str) -> None:
        assert self.world.erase(name) == ("ok" if self.oracles[name].rows else "no-such-stream")
        self.oracles[name] = Oracle(self.models, self.oracles[name].series)

    @rule()
    def crash(self) -> None:
        self.world.crash()

    @rule()
    def ask_another_replica_from_now_on(self) -> None:
        self.world.switch()

    @rule()
    def forget_what_is_in_memory(self) -> None:
        self.world.evict()

    @rule(version=st.sampled_from(["1", "2"]))
    def swap_the_model(self, version: str) -> None:
        self.world.swap(version)

    @rule()
    def bring_streams_to_the_newest_model(self) -> None:
        self.world.migrate()

    def _some_row(self, data: st.DataObject) -> tuple[str, int]:
        name = data.draw(st.sampled_from([name for name in NAMES if self.oracles[name].rows]))
        return name, data.draw(st.integers(0, len(self.oracles[name].rows) - 1))

    def _teller(self, name: str, seq: int) -> str | None:
        """Return which version issues the first forecast at a row: the last one that did, else the one that is asked.

        None where neither is open and has begun, or where nothing was forecast yet.
        """
        oracle, served = self.oracles[name], self.world.open_versions()
        before = [one.version for one in oracle.rows[:seq] if one.version]
        wanted = [before[-1], self.world.asked()] if before else []
        return next((one for one in wanted if one in served and oracle.origins.get(one, seq + 1) <= seq), None)

    def _next_times(self, name: str, count: int, gap: int) -> list[int]:
        """Return times of rows that come next, the first of them behind some steps that are left out."""
        rows = self.oracles[name].rows
        first = (rows[-1].time + HOUR * (1 + gap)) if rows else START  # nothing can be left out before the first
        return [first + HOUR * place for place in range(count)]

    def _fill_up_to(self, name: str, time: int) -> None:
        """Note the rows that never came before a time."""
        rows, nothing = self.oracles[name].rows, np.full(2, np.nan, np.float32)
        last = rows[-1].time if rows else time - HOUR
        rows += [Row(at, nothing, None) for at in range(last + HOUR, time, HOUR)]

    def _accept(self, name: str, times: list[int], rows: list[np.ndarray], answer: Answer) -> None:
        """Note rows that were accepted, with the steps they leave out, and hold the answer against a cold replay."""
        assert answer.code == "ok", answer.code
        assert not answer.replayed
        oracle = self.oracles[name]
        self._fill_up_to(name, times[0])
        oracle.rows += [Row(time, row, answer.version) for time, row in zip(times, rows, strict=True)]
        assert answer.seq == len(oracle.rows) - 1
        self._note_origins(name)
        self._same(name, answer.seq, answer)

    def _note_origins(self, name: str) -> None:
        for version in self.models:
            origin = self.world.origin(name, version)
            if origin is not None:
                assert self.oracles[name].origins.setdefault(version, origin) == origin

    def _same(self, name: str, seq: int, answer: Answer) -> None:
        """Compare in z units."""
        oracle = self.oracles[name]
        told = oracle.told()[seq]
        assert told is not None
        version = oracle.rows[seq].version
        assert version is not None
        units = self.models[version].bundle.scaler.units(oracle.series).first(2)
        ends = told.ends if answer.asked is None else told.ends[list(answer.asked)]
        for ours, theirs in ((answer.point, told.point), (answer.median, told.median), (answer.ends, ends)):
            assert ours is not None
            np.testing.assert_allclose(
                (ours - units.mean) / units.std, (theirs - units.mean) / units.std, rtol=1e-5, atol=1e-5
            )

"""Whatever happens to a stream, its forecasts and intervals are those of a cold replay of what was accepted."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from forecasting.errors import (
    Begun,
    Changed,
    GatecastError,
    Late,
    NoSuchObservation,
    NoSuchStream,
    Outrun,
    StreamError,
    WindowRejected,
)
from forecasting.log.memory import MemoryLog
from forecasting.log.records import Commit, Key, Version
from forecasting.steadiness import Streaming
from forecasting.streams.keeper import Keeper, Policy
from forecasting.streams.pushes import Outcomes, Pushes
from forecasting.streams.streamed import Streamed
from tests.bundles import make_bundle
from tests.forecasting.streams.machine import HOUR, MOST_GAPS, START, Answer, Machine, World

POLICY = Policy(replay_rows=6, snapshot_rows=3, max_gap_rows=MOST_GAPS)
CODES: dict[type[GatecastError], str] = {
    Late: "late",
    Changed: "changed",
    Begun: "begun",
    Outrun: "outrun",
    StreamError: "stream",
    WindowRejected: "window-rejected",
}
UNSAFE = Streaming(window=4, origins=9, carried=99, ratio=1.5)


def models(**changes: Any) -> dict[str, Streamed]:
    """Return two versions of a model."""
    return {
        version: Streamed(Version("tiny", version, f"run-{version}"), make_bundle(seed=place, **changes))
        for place, version in enumerate(("1", "2"))
    }


MODELS, RESYNCED = models(), models(streaming=UNSAFE)


class Core:
    """Two keepers over one log in memory."""

    def __init__(self, models: dict[str, Streamed]) -> None:
        self.models = models
        self.log = MemoryLog()
        self.keeper, self.other = Keeper(self.log, POLICY), Keeper(self.log, POLICY)
        self.model = models["1"]
        self.now = 0

    def push(self, name: str, times: list[int], rows: list[np.ndarray]) -> Answer:
        return self._push([name], [0, len(times)], times, rows)[0]

    def push_all(self, pushes: list[tuple[str, int, np.ndarray]]) -> list[Answer]:
        names, times, rows = map(list, zip(*pushes, strict=True))
        return self._push(names, list(range(len(names) + 1)), times, rows)

    def correct(self, name: str, time: int, row: np.ndarray) -> Answer:
        try:
            return self._answer(self.keeper.correct(self.model, Key("p", "tiny", name), time, row), 0)
        except NoSuchObservation:
            return Answer("no-such-observation")

    def add_history(self, name: str, times: list[int], rows: list[np.ndarray]) -> Answer:
        return self._push([name], [0, len(times)], times, rows, history=True)[0]

    def erase(self, name: str) -> str:
        try:
            self.keeper.erase(Key("p", "tiny", name))
        except NoSuchStream:
            return "no-such-stream"
        return "ok"

    def crash(self) -> None:
        self.keeper = Keeper(self.log, POLICY)

    def switch(self) -> None:
        self.keeper, self.other = self.other, self.keeper

    def evict(self) -> None:
        for pool in self.keeper._pools.values():  # noqa: SLF001 - nobody but the cache decides what is held
            for name in ("north", "elsewhere"):
                pool.drop("p", [name])

    def swap(self, version: str) -> None:
        self.model = self.models[version]

    def migrate(self) -> None:
        while self.keeper.migrate(1.0):
            pass

    def origin(self, name: str, version: str) -> int | None:
        stream = self.log.find([Key("p", "tiny", name)])[0]
        return None if stream is None else self.log.origins([stream.id], self.models[version].version)[0]

    def open_versions(self) -> set[str]:
        return {version.version for version in self.keeper.versions} | {self.asked()}

    def asked(self) -> str:
        return self.model.version.version

    def close(self) -> None:
        self.log.close()

    def _push(
        self, names: list[str], starts: list[int], times: list[int], rows: list[np.ndarray], *, history: bool = False
    ) -> list[Answer]:
        self.now += 1
        pushes = Pushes("p", names, np.array(starts), np.array(times), np.stack(rows), history=history)
        out = self.keeper.push(self.model, pushes, self.now)
        return [self._answer(out, place) for place in range(len(names))]

    def _answer(self, out: Outcomes, place: int) -> Answer:
        if place in out.errors:
            return Answer(CODES[type(out.errors[place])])
        version = out.answered.get(place, self.model.version).version
        forecast = out.point[place], out.median[place], out.ends[place]
        return Answer("ok", int(out.seq[place]), bool(out.replayed[place]), version, *forecast)


class CoreMachine(Machine):
    """The rules, on the core."""

    models = MODELS

    def begin(self) -> World:
        return Core(self.models)


class ResyncedMachine(CoreMachine):
    """The same, with models whose states are unrolled anew every four rows."""

    models = RESYNCED


TestCore, TestResynced = CoreMachine.TestCase, ResyncedMachine.TestCase
TestCore.settings = TestResynced.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


CALM = np.array([9.0, 1000.0], np.float32)


def test_a_step_left_out_before_the_first_push_is_history_once_it_came() -> None:
    """No version has begun there, so that none could issue a forecast."""
    core, row = Core(MODELS), CALM
    core.add_history("north", [START, START + HOUR], [row, row])
    for hour in range(3, 12):
        core.push("north", [START + hour * HOUR], [row])
    core.swap("2")
    core.migrate()
    assert core.correct("north", START + 2 * HOUR, row).code == "ok"
    lines = core.keeper.ledger(Key("p", "tiny", "north"), 0, 20)
    assert [one.observation.seq for one in lines if one.issued] == list(range(3, 12))
    assert core.push("north", [START + 2 * HOUR], [row]).code == "stream"


@pytest.mark.parametrize(("rows", "issuer"), [(3, "2"), (20, None)])
def test_a_step_that_comes_when_its_version_is_gone_is_forecast_by_the_one_that_is_asked_or_by_nobody(
    rows: int, issuer: str | None
) -> None:
    """A forecast that nobody can make is not made up."""
    core = Core(MODELS)
    for hour in (0, 1, *range(3, 3 + rows)):
        core.push("north", [START + hour * HOUR], [CALM + hour])
    core.swap("2")
    core.crash()  # version 1 is not open any more
    core.push("north", [START + (3 + rows) * HOUR], [CALM])
    before = core.keeper.ledger(Key("p", "tiny", "north"), 0, 99)
    answer = core.correct("north", START + 2 * HOUR, CALM)
    after = core.keeper.ledger(Key("p", "tiny", "north"), 0, 99)
    if issuer is None:
        assert answer.code == "no-such-observation"
        assert after == before
        return
    assert answer.code == "ok"
    filled = next(one.issued for one in after if one.observation.seq == 2)
    assert filled is not None
    assert filled.version.version == issuer
    assert np.frombuffer(filled.values, np.float32).all()


def test_a_step_that_came_late_is_forecast_by_the_version_before_it_wherever_snapshots_are() -> None:
    core = Core(MODELS)
    core.keeper = Keeper(core.log, replace(POLICY, snapshot_rows=1))
    core.push("north", [START], [CALM])
    core.swap("2")
    for hour in (1, 3):
        assert core.push("north", [START + hour * HOUR], [CALM]).version == "1"
    core.correct("north", START + 2 * HOUR, CALM)
    lines = core.keeper.ledger(Key("p", "tiny", "north"), 0, 20)
    assert [one.issued.version.version for one in lines if one.issued] == ["1"] * 4


@pytest.mark.parametrize("again_and_again", [False, True])
def test_what_is_taken_stays_taken_where_the_rest_of_a_push_is_outrun(
    monkeypatch: pytest.MonkeyPatch, again_and_again: bool
) -> None:
    """Each version writes for itself: here the old one for a stream, then the new one for the other, too late."""
    core = Core(MODELS)
    core.push("north", [START], [CALM])
    core.swap("2")
    core.push("elsewhere", [START], [CALM])
    commit, place = core.log.commit, count()

    def commit_too_late(written: Commit) -> None:
        """Let the other one correct a row of the stream before it is written to."""
        value = next(place)
        if value and (again_and_again or value == 1):
            core.switch()
            core.correct("elsewhere", START, CALM + np.float32(value))
            core.switch()
        commit(written)

    with monkeypatch.context() as patch:
        patch.setattr(core.log, "commit", commit_too_late)
        north, elsewhere = core.push_all([("north", START + HOUR, CALM), ("elsewhere", START + HOUR, CALM)])
    assert (north.code, north.seq, north.replayed, north.version) == ("ok", 1, False, "1")
    if again_and_again:
        assert elsewhere.code == "outrun"
        elsewhere = core.push("elsewhere", [START + HOUR], [CALM])
    assert (elsewhere.code, elsewhere.seq, elsewhere.replayed, elsewhere.version) == ("ok", 1, False, "2")

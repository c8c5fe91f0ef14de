"""What the keeper takes and what it refuses, beside what `test_keeper_machine` does to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from forecasting.columns import Columns
from forecasting.errors import (
    Begun,
    NoSuchObservation,
    NoSuchStream,
    NotStreamable,
    Outrun,
    StreamError,
    TooManyStreams,
)
from forecasting.errors import WindowRejected as Rejected
from forecasting.log.memory import MemoryLog
from forecasting.log.records import Commit, Key, Version
from forecasting.steadiness import Streaming
from forecasting.streams.keeper import Keeper, Policy
from forecasting.streams.pool import LEAST
from forecasting.streams.pushes import Outcomes, Pushes
from forecasting.streams.streamed import Streamed
from tests.bundles import HOUR, make_bundle, make_rich_bundle

START = 1_709_251_200_000_000_000
KEY = Key("p", "tiny", "north")


def model(version: str = "1", **changes: Any) -> Streamed:
    return Streamed(Version("tiny", version, f"run-{version}"), make_bundle(**changes))


MODEL = model()


def keeper(log: MemoryLog | None = None, **policy: Any) -> Keeper:
    return Keeper(log or MemoryLog(), Policy(**{"cache_bytes": 0, **policy}))


def rows(names: list[str], hours: list[int], values: np.ndarray | None = None, **more: Any) -> Pushes:
    """Return a push of one row for each name."""
    drawn = np.random.default_rng(hours[0]).normal(size=(len(names), 2)).astype(np.float32)
    times = START + HOUR * np.array(hours)
    return Pushes("p", names, np.arange(len(names) + 1), times, drawn if values is None else values, **more)


def only(out: Outcomes) -> BaseException:
    return out.errors[0]


def test_a_stream_stays_the_series_it_began_as() -> None:
    one = keeper()
    assert not one.push(MODEL, rows(["s"], [0], series=["north"]), 1).errors
    assert not one.push(MODEL, rows(["s"], [1], series=["north"]), 1).errors
    refused = only(one.push(MODEL, rows(["s"], [2], series=["south"]), 1))
    assert isinstance(refused, Rejected)
    assert refused.pointer == "/series"


def test_history_that_is_known_is_a_replay_and_more_of_it_comes_too_late() -> None:
    one = keeper()
    first = rows(["north"], [0], history=True)
    assert not one.push(MODEL, first, 1).errors
    assert not one.push(MODEL, rows(["north"], [1]), 1).errors
    assert one.push(MODEL, first, 2).replayed.all()
    assert isinstance(only(one.push(MODEL, rows(["north"], [2], history=True), 2)), Begun)


def test_a_push_begins_from_history_as_if_it_had_been_unrolled() -> None:
    with_history, pushed = keeper(), keeper()
    for hour in range(5):
        with_history.push(MODEL, rows(["north"], [hour], history=True), 1)
        pushed.push(MODEL, rows(["north"], [hour]), 1)
    last = rows(["north"], [5])
    np.testing.assert_array_equal(with_history.push(MODEL, last, 1).point, pushed.push(MODEL, last, 1).point)


def test_more_streams_than_fit_into_memory_are_all_served() -> None:
    one, names = keeper(), [f"s{place}" for place in range(LEAST + 100)]
    for hour in range(3):
        assert not one.push(MODEL, rows(names, [hour] * len(names)), 1).errors
        assert one.cached <= LEAST
    alone = keeper()
    for hour in range(3):
        all_of_them = rows(names, [hour] * len(names)).values
        expected = alone.push(MODEL, rows(["s7"], [hour], all_of_them[7:8]), 1)
    again = one.push(MODEL, rows(["s7"], [2], all_of_them[7:8]), 1)
    np.testing.assert_allclose(again.point, expected.point, rtol=1e-6)


def test_a_principal_has_as_many_streams_as_it_may_have() -> None:
    one = keeper(max_streams=2)
    out = one.push(MODEL, rows(["a", "b", "c"], [0, 0, 0]), 1)
    assert [type(error) for error in out.errors.values()] == [TooManyStreams]
    assert one.log.count("p") == 2
    one.erase(Key("p", "tiny", "a"))
    assert not one.push(MODEL, rows(["c"], [0]), 1).errors


def test_a_model_that_is_worse_streamed_can_be_refused() -> None:
    unsafe = model(streaming=Streaming(window=6, origins=9, carried=99, ratio=1.5))
    with pytest.raises(NotStreamable, match="fresh windows"):
        keeper(unsafe="refuse").push(unsafe, rows(["a"], [0]), 1)
    out = keeper().push(unsafe, rows(["a"], [0]), 1)
    assert "resync" in {caution.code for caution in out.cautions[0]}


def test_a_model_whose_state_grows_without_bound_is_not_streamed() -> None:
    grown = Streaming(window=6, origins=9, carried=99, growth=((1000, 361.0), (5000, 1974.0)))
    with pytest.raises(NotStreamable, match="grows with every row"):
        keeper().push(model(streaming=grown), rows(["a"], [0]), 1)


def test_a_stream_does_not_go_on_under_a_model_of_other_columns() -> None:
    log = MemoryLog()
    keeper(log).push(MODEL, rows(["a"], [0]), 1)
    other = model("2", columns=Columns(("x", "y")))
    assert isinstance(only(keeper(log).push(other, rows(["a"], [1]), 1)), StreamError)


def test_an_absurd_row_is_refused_and_the_stream_stays_what_it_was() -> None:
    one = keeper()
    one.push(MODEL, rows(["north"], [0]), 1)
    absurd = np.array([[1.0, 1e30]], np.float32)
    out = one.push(
        MODEL, rows(["north", "south"], [1, 0], np.concatenate([absurd, [[10, 1000]]]).astype(np.float32)), 1
    )
    assert isinstance(only(out), Rejected)
    assert list(out.errors) == [0]
    assert one.look(KEY, MODEL).stream.seq == 0


def test_what_was_deleted_by_age_cannot_be_corrected() -> None:
    one = keeper(snapshot_rows=4, replay_rows=4)
    for hour in range(20):
        one.push(MODEL, rows(["north"], [hour]), hour)
    assert one.prune(before=12, keep=4)
    with pytest.raises(NoSuchObservation):
        one.correct(MODEL, KEY, START, np.zeros(2, np.float32))
    expected = keeper()
    for hour in range(20):
        expected.push(MODEL, rows(["north"], [hour]), hour)
    last = rows(["north"], [20])
    one._pools.clear()  # noqa: SLF001 - what is in memory shall not help
    np.testing.assert_array_equal(one.push(MODEL, last, 30).ends, expected.push(MODEL, last, 30).ends)


def test_erased_is_erased() -> None:
    one = keeper()
    one.push(MODEL, rows(["north"], [0]), 1)
    one.erase(KEY)
    with pytest.raises(NoSuchStream):
        one.look(KEY, MODEL)
    with pytest.raises(NoSuchStream):
        one.erase(KEY)
    assert one.push(MODEL, rows(["north"], [0]), 1).seq.tolist() == [0]


def test_rows_pushed_together_are_what_they_are_one_by_one_with_covariates_too() -> None:
    rich = Streamed(Version("rich", "1", "r"), make_rich_bundle())
    draw = np.random.default_rng(0)
    values = draw.uniform([0, 0, 0, 20, 0], [20, 9, 3, 40, 1], size=(8, 5)).astype(np.float32)
    times = START + HOUR * np.arange(6)
    together = keeper().push(rich, Pushes("p", ["north"], np.array([0, 6]), times, values[:6], values[None, 6:, 3:]), 1)
    one = keeper()
    for hour in range(6):
        ahead = values[None, hour + 1 : hour + 3, 3:]
        alone = one.push(rich, Pushes("p", ["north"], np.arange(2), times[[hour]], values[[hour]], ahead), 1)
    for part in ("point", "median", "ends", "score"):
        np.testing.assert_array_equal(getattr(together, part), getattr(alone, part))


class Overtaken(MemoryLog):
    """A log in which somebody else is always quicker with the streams of one version."""

    quicker: Version | None = None

    def commit(self, commit: Commit) -> None:
        versions = {one.version for one in commit.issued} | ({commit.onward.version} if commit.onward else set())
        if self.quicker in versions:
            message = "another writer was quicker with one of these streams"
            raise Outrun(message)
        super().commit(commit)


def test_who_is_outrun_for_good_is_told_so_and_what_the_older_version_wrote_stands() -> None:
    log, newer = Overtaken(), model("2")
    one = keeper(log)
    for hour in range(8):
        one.push(MODEL, rows(["north"], [hour]), 1)
        one.push(newer, rows(["south"], [hour]), 1)
    log.quicker = newer.version
    out = one.push(newer, rows(["north", "south"], [8, 8]), 1)
    assert list(out.errors) == [1]
    assert isinstance(out.errors[1], Outrun)
    assert out.answered == {0: MODEL.version}
    assert (out.seq[0], out.accepted[0]) == (8, 1)
    assert [stream.seq for stream in log.streams("p", "tiny", "", 9)] == [8, 7]

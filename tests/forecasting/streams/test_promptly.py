"""The quick way of usual pushes: the same to the bit as the long one, and nothing but usual pushes goes it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.log.memory import MemoryLog
from forecasting.log.records import Version
from forecasting.steadiness import Streaming
from forecasting.streams.keeper import Keeper, Policy
from forecasting.streams.promptly import Prompt
from forecasting.streams.pushes import Outcomes, Pushes
from forecasting.streams.streamed import Streamed
from forecasting.transforms import PLAIN
from tests.bundles import HOUR, LOG, make_bundle

START, SNAPSHOTS = 1_709_251_200_000_000_000, 5
NAMES = ("north", "south", "elsewhere")
LOOKBACK = 6


def model(**changes: Any) -> Streamed:
    return Streamed(Version("tiny", "1", "run"), make_bundle(**changes))


MODEL = model()


def bound() -> Streamed:
    """Return a model that learns one column as its logarithm."""
    scaler = MODEL.bundle.scaler
    scale = msgspec.structs.replace(scaler.overall, mean=(2.4, 1000.0), std=(0.2, 50.0), lower=(0.0, None))
    series = dict.fromkeys(scaler.series, scale)
    learnt = msgspec.structs.replace(scaler, series=series, overall=scale, transforms=(LOG, PLAIN))
    return Streamed(MODEL.version, replace(MODEL.bundle, scaler=learnt))


BOUND = bound()
UNSAFE = model(streaming=Streaming(window=6, origins=9, carried=99, ratio=1.5))


def rows(names: list[str], hours: list[int], values: np.ndarray | None = None, **more: Any) -> Pushes:
    """Return a push of one row for each name."""
    drawn = np.random.default_rng(hours[0]).normal((10, 1000), (2, 50), (len(names), 2)).astype(np.float32)
    times = START + HOUR * np.array(hours)
    return Pushes("p", names, np.arange(len(names) + 1), times, drawn if values is None else values, **more)


def grown(of: Streamed, hours: int, names: tuple[str, ...] = NAMES) -> Keeper:
    keeper = Keeper(MemoryLog(), Policy(snapshot_rows=SNAPSHOTS, cache_bytes=0))
    for hour in range(hours):
        assert not keeper.push(of, rows(list(names), [hour] * len(names)), hour).errors
    return keeper


def prompt(keeper: Keeper, of: Streamed) -> Prompt:
    return Prompt(keeper._pools[of.version], keeper.log, SNAPSHOTS)  # noqa: SLF001 - it is asked past the keeper


def written(keeper: Keeper) -> list[object]:
    log = keeper.log
    streams = log.streams("p", "tiny", "", 99)
    spans = [(one.id, 0, 999) for one in streams]
    # ids are random, and with them where snapshots are taken
    told = [[one._replace(stream=0) for one in lines] for lines in (*log.rows(spans), *log.issued(spans))]
    return [[one._replace(id=0) for one in streams], told]


def same(one: Outcomes, other: Outcomes) -> bool:
    arrays = ("seq", "time", "accepted", "replayed", "point", "median", "ends", "score")
    good = [place for place in range(len(one.seq)) if place not in one.errors]
    bits = all(getattr(one, name)[good].tobytes() == getattr(other, name)[good].tobytes() for name in arrays)
    return bits and one.errors.keys() == other.errors.keys() and one.cautions == other.cautions


CELL = st.one_of(st.floats(5, 15, width=32), st.sampled_from([np.nan, 109.0, 200.0, 1e30]))
PUSH = st.tuples(st.sampled_from(NAMES), st.sampled_from([1, 1, 1, 1, 0, 2]), CELL)


@pytest.mark.parametrize("of", [MODEL, BOUND], ids=["plain", "bounds"])
@given(batches=st.lists(st.lists(PUSH, min_size=1, max_size=3), min_size=1, max_size=8))
def test_what_is_answered_and_written_is_the_same_to_the_bit(of: Streamed, batches: list[list[Any]]) -> None:
    quick, long = grown(of, LOOKBACK - 3), grown(of, LOOKBACK - 3)
    newest = dict.fromkeys(NAMES, LOOKBACK - 4)
    rng = np.random.default_rng(0)
    for now, batch in enumerate(batches):
        names, hours = [name for name, _, _ in batch], [newest[name] + step for name, step, _ in batch]
        values = np.array([[cell, rng.normal(1000, 50)] for *_, cell in batch], np.float32)
        pushes = rows(names, hours, values)
        out = quick.push(of, pushes, now)
        assert same(out, long.push(of, pushes._replace(series=[None] * len(names)), now))
        taken = (place for place in range(len(names)) if place not in out.errors)
        newest.update({names[place]: max(newest[names[place]], hours[place]) for place in taken})
    assert written(quick) == written(long)
    for keeper in (quick, long):
        keeper._pools.clear()  # noqa: SLF001 - what is rebuilt from snapshots is the same, too
    last = rows(list(NAMES), [newest[name] + 1 for name in NAMES])
    assert same(quick.push(of, last, 99), long.push(of, last, 99))


def test_usual_pushes_go_the_quick_way() -> None:
    keeper = grown(MODEL, LOOKBACK)
    way = prompt(keeper, MODEL)
    for hour in range(LOOKBACK, LOOKBACK + 2 * SNAPSHOTS):
        for names in (["north"], ["south"]):
            out = way.take(rows(names, [hour]), 1)
            assert out is not None
            assert out.seq.tolist() == [hour]
    both = way.take(rows(["south", "north"], [hour + 1] * 2), 1)
    assert both is not None
    assert both.seq.tolist() == [hour + 1] * 2


NEXT = LOOKBACK
MISSING, IMPLAUSIBLE, ABSURD = ([[np.nan, 1000.0]], [[200.0, 1000.0]], [[10.0, 1e30]])


@pytest.mark.parametrize(
    "pushes",
    [
        rows(["north"], [NEXT + 1]),
        rows(["north"], [NEXT - 1]),
        rows(["north"], [NEXT - 2]),
        rows(["new"], [NEXT]),
        rows(["north", "new"], [NEXT, NEXT]),
        rows(["north", "south"], [NEXT, NEXT + 1]),
        rows(["north", "north"], [NEXT, NEXT + 1]),
        rows(["north"], [NEXT], np.array(IMPLAUSIBLE, np.float32)),
        rows(["north"], [NEXT], np.array(ABSURD, np.float32)),
        rows(["north"], [NEXT], series=["north"]),
        rows(["north"], [NEXT], static=[{}]),
        rows(["north"], [NEXT])._replace(principal="somebody else"),
        Pushes(
            "p", ["north"], np.array([0, 2]), START + HOUR * np.array([NEXT, NEXT + 1]), np.ones((2, 2), np.float32)
        ),
    ],
    ids=[
        *("gap", "again", "late", "new", "one is new", "one has a gap", "two of one"),
        *("implausible", "absurd", "series", "static", "principal", "two rows"),
    ],
)
def test_others_are_left_to_the_long_way_untouched(pushes: Pushes) -> None:
    keeper, untouched = grown(MODEL, LOOKBACK), grown(MODEL, LOOKBACK)
    assert prompt(keeper, MODEL).take(pushes, 1) is None
    assert written(keeper) == written(untouched)
    last = rows(["north", "south"], [NEXT, NEXT])
    assert same(keeper.push(MODEL, last, 2), untouched.push(MODEL, last, 2))


def test_a_missing_value_is_usual() -> None:
    keeper = grown(MODEL, LOOKBACK)
    assert prompt(keeper, MODEL).take(rows(["north"], [NEXT], np.array(MISSING, np.float32)), 1) is not None


@pytest.mark.parametrize(
    ("name", "hours", "told"),
    [
        ("north", LOOKBACK, []),
        ("north", LOOKBACK - 2, ["short-history"]),
        ("elsewhere", LOOKBACK, ["unknown-series"]),
        ("elsewhere", 2, ["short-history", "unknown-series"]),
    ],
)
def test_readers_are_told_of_short_streams_and_of_those_of_no_series(name: str, hours: int, told: list[str]) -> None:
    out = prompt(grown(MODEL, hours), MODEL).take(rows([name], [hours]), 1)
    assert out is not None
    assert [caution.code for caution in out.cautions.get(0, ())] == told


def test_streams_of_a_model_that_is_re_synchronised_are_left_to_the_long_way() -> None:
    assert prompt(grown(UNSAFE, LOOKBACK), UNSAFE).take(rows(["north"], [LOOKBACK]), 1) is None


def test_who_is_outrun_holds_what_it_held() -> None:
    keeper = grown(MODEL, LOOKBACK)
    other = Keeper(keeper.log, Policy(snapshot_rows=SNAPSHOTS, cache_bytes=0))
    first = other.push(MODEL, rows(["north"], [NEXT]), 1)
    again = keeper.push(MODEL, rows(["north"], [NEXT]), 1)
    assert again.replayed.all()
    assert not first.replayed.any()
    on = rows(["north", "south"], [NEXT + 1, NEXT])
    assert not keeper.push(MODEL, on, 1).errors

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.bundle import Bundle
from forecasting.engines import ZForecast
from forecasting.prediction import forecast, predict_z
from forecasting.scaling import Units
from forecasting.streams.tracking import Tracked, Tracking, drift_of
from tests.bundles import make_bundle, make_rich_bundle, rich_window, window
from tests.forecasting.panels import own_units
from tests.forecasting.streams.tracks import LEVELS, Slow, calibrated

NAN = np.nan
BUNDLES = pytest.mark.parametrize("make", [make_bundle, make_rich_bundle])


class Stream:
    """Streams of one bundle, a row at a time."""

    def __init__(self, bundle: Bundle, streams: int = 1) -> None:
        self.tracking = Tracking(bundle.calibration, bundle.spec.horizon, 2)
        self.units, self.shift = bundle.scaler.target_units("north", 2), bundle.calibration.shift
        self.tracker, self.pending = self.tracking.start(streams), self.tracking.nothing(streams)

    def push(self, actual: Any, said: ZForecast, *, arrived: bool = True) -> Tracked:
        rows = np.asarray(actual, np.float32).reshape(len(self.tracker), 2)
        came = np.full(len(rows), arrived)
        tracked = self.tracking.advance(self.tracker, self.pending, rows, came, said, self.units, self.shift)
        self.tracker, self.pending = tracked.tracker, tracked.pending
        return tracked


def drawn(seed: int, streams: int = 1, horizon: int = 2) -> ZForecast:
    draw = np.random.default_rng(seed)
    point, median, scale = draw.normal(size=(3, streams, horizon, 2)).astype(np.float32)
    return ZForecast(point, median, np.exp(scale / 2))


def rows_like(units: Units, count: int, seed: int, missing: float = 0.2) -> np.ndarray:
    """Draw rows that could be of these units, a few cells missing."""
    draw = np.random.default_rng(seed)
    rows = units.from_z(draw.normal(size=(count, 2)).astype(np.float32))
    rows[draw.random(rows.shape) < missing] = NAN
    return rows


@pytest.mark.parametrize(("make", "draw"), [(make_bundle, window), (make_rich_bundle, rich_window)])
def test_a_new_stream_is_told_what_a_window_is_told(make: Any, draw: Any) -> None:
    bundle, one = make(), draw()
    answer = forecast(bundle, one, levels=LEVELS)
    said = ZForecast(*(part[None] for part in predict_z(bundle, one)))
    tracked = Stream(bundle).push([NAN, NAN], said)
    expected = [answer.point, answer.median, *(end for level in LEVELS for end in answer.intervals[level])]
    np.testing.assert_allclose(tracked.values[0], expected, rtol=1e-5, atol=1e-5)
    assert tracked.finite.all()


@BUNDLES
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), horizon=st.integers(1, 3), rows=st.integers(1, 60), spread=st.floats(0.1, 10))
def test_every_row_does_what_the_equations_say(make: Any, seed: int, horizon: int, rows: int, spread: float) -> None:
    bundle = make(horizon=horizon)
    stream, slow = Stream(bundle), Slow(bundle.calibration, horizon, 2)
    came = np.random.default_rng(seed).random(rows) > 0.1
    for i, actual in enumerate(rows_like(stream.units, rows, seed)):
        said = drawn(seed + i, horizon=horizon)
        said = said._replace(scale=said.scale * np.float32(spread))
        tracked = stream.push(actual, said, arrived=came[i])
        expected = slow.take(actual, came[i], ZForecast(*(part[0] for part in said)), stream.units)
        np.testing.assert_allclose(tracked.values[0], expected, rtol=1e-5, atol=1e-5)
    score = stream.tracking.current(stream.tracker[0])
    np.testing.assert_allclose(score.skills, slow.skills, rtol=1e-5)
    if score.coverage_ever:
        np.testing.assert_allclose(list(score.coverage_ever.values()), slow.covered_ever, rtol=1e-6)
        np.testing.assert_array_equal(
            np.stack(list(tracked_covered(stream, tracked).values()), axis=1), last(slow, came)
        )
    assert drift_of(stream.tracker)[0] // 2 == (slow.alarms[1] > 0)


def tracked_covered(stream: Stream, tracked: Tracked) -> dict[int, np.ndarray]:
    return stream.tracking.read(tracked.score[0]).covered


def last(slow: Slow, came: np.ndarray) -> np.ndarray:
    return slow.held[-1] if came[-1] else np.full((2, len(LEVELS)), NAN)


@BUNDLES
def test_what_comes_of_a_stream_does_not_depend_on_those_beside_it_to_the_bit(make: Any) -> None:
    together, alone = Stream(make(), 7), [Stream(make()) for _ in range(7)]
    for i in range(20):
        rows, said = rows_like(together.units, 7, i), drawn(i, 7)
        of_all = together.push(rows, said)
        for place, one in enumerate(alone):
            mine = one.push(rows[place], ZForecast(*(part[place : place + 1] for part in said)))
            for found, expected in zip(mine[:-1], of_all[:-1], strict=True):
                assert found[0].tobytes() == expected[place].tobytes()


def test_streams_of_different_scales_are_each_told_in_their_own() -> None:
    bundle = make_bundle()
    stream, said = Stream(bundle, 2), drawn(0, 2)
    both = [bundle.scaler.target_units(name, 2) for name in ("north", "south")]
    stream.units = Units._make([*(np.stack(parts) for parts in zip(*(one[:-1] for one in both), strict=True)), True])
    tracked = stream.push(np.full((2, 2), NAN), said)
    for place, units in enumerate(both):
        np.testing.assert_allclose(tracked.median[place], units.from_z(said.median[place]), rtol=1e-6)


def test_nothing_that_comes_in_is_changed_and_it_may_be_read_only() -> None:
    stream = Stream(make_bundle())
    stream.push([10, 1000], drawn(0))
    stream.tracker, stream.pending = (
        np.frombuffer(part.tobytes(), part.dtype).reshape(part.shape) for part in (stream.tracker, stream.pending)
    )
    kept = stream.tracker.tobytes(), stream.pending.tobytes()
    before = stream.tracker, stream.pending
    stream.push([11, 1010], drawn(1))
    assert tuple(part.tobytes() for part in before) == kept
    assert stream.tracker.flags.writeable


def test_a_missing_value_moves_no_interval_and_scores_nothing() -> None:
    stream = Stream(make_bundle())
    first = stream.push([10, 1000], drawn(0))
    second = stream.push([NAN, NAN], drawn(0))
    np.testing.assert_array_equal(first.ends, second.ends)
    assert stream.tracking.read(second.score[0]).count == 0


def test_a_row_that_never_came_scores_nothing_and_no_forecast_is_issued_after_it() -> None:
    stream = Stream(make_bundle())
    stream.push([10, 1000], drawn(0))
    issued = stream.pending[0, 0].copy()
    gap = stream.push([10, 1000], drawn(1), arrived=False)
    assert np.isnan(gap.pending[0, 0]).all()
    np.testing.assert_array_equal(gap.pending[0, 1], issued)
    after = stream.push([12, 1020], drawn(2))
    assert stream.tracking.read(after.score[0]).count == 0  # the next step was forecast at the gap
    assert not np.array_equal(after.ends[0, :, 1], gap.ends[0, :, 1])  # step 2 was forecast before it


def test_pending_holds_median_and_scale_in_the_units_that_are_learnt() -> None:
    bundle, said = make_rich_bundle(), drawn(0)
    stream = Stream(bundle)
    tracked = stream.push([5, 5], said)
    units = stream.units
    np.testing.assert_allclose(tracked.pending[0, 0, ..., 0], said.median[0] * units.std + units.mean, rtol=1e-6)
    np.testing.assert_allclose(tracked.pending[0, 0, ..., 1], said.scale[0] * units.std, rtol=1e-6)


def test_the_score_of_a_row_says_what_was_said_and_what_came() -> None:
    stream = Stream(make_bundle())
    said = stream.push([10, 1000], drawn(0))
    score = stream.tracking.read(stream.push([12, NAN], drawn(1)).score[0])
    assert (score.actual[0], score.naive[0], score.count) == (12, 10, 1)
    assert (score.point[0], score.median[0]) == (said.point[0, 0, 0], said.median[0, 0, 0])
    assert score.scored.tolist() == [True, False]
    low, high = said.ends[0, 2:4, 0, 0]
    assert score.covered[90][0] == (low <= 12 <= high)
    missed = high - low + 20 * (max(low - 12, 0) + max(12 - high, 0))
    assert score.interval[0] == pytest.approx(missed, rel=1e-5)
    assert score.skill == pytest.approx(1 - abs(12 - said.median[0, 0, 0]) / 2, rel=1e-5)
    assert (score.drift, np.isnan(score.skills[1])) == (0, True)


def test_errors_are_means_over_what_was_scored() -> None:
    stream, came, points, medians = Stream(make_bundle()), [[10, 1000], [12, 1010], [9, NAN], [11, 990]], [], []
    for i, row in enumerate(came):
        tracked = stream.push(row, drawn(i))
        points.append(tracked.point[0, 0, 0])
        medians.append(tracked.median[0, 0, 0])
    errors = stream.tracking.errors(stream.tracker)
    actual = np.array(came)[1:, 0]
    assert errors.cells.tolist() == [[3, 2]]
    assert errors.mae[0, 0] == pytest.approx(np.abs(actual - medians[:3]).mean())
    assert errors.rmse[0, 0] == pytest.approx(np.sqrt(np.square(actual - points[:3]).mean()))
    assert errors.naive_mae[0].tolist() == pytest.approx([(2 + 3 + 2) / 3, (10 + 20) / 2])
    assert errors.naive_rmse[0, 0] == pytest.approx(np.sqrt((4 + 9 + 4) / 3))


def test_before_anything_is_scored_there_is_no_skill_and_no_coverage() -> None:
    score = Stream(make_bundle()).tracking.current(Stream(make_bundle()).tracker[0])
    assert (score.count, score.skill, score.coverage, score.coverage_ever) == (0, None, None, None)


def test_without_a_calibration_there_are_scores_and_no_intervals() -> None:
    tracking, said = Tracking(None, 2, 2), drawn(0)
    tracker, pending, units = tracking.start(1), tracking.nothing(1), own_units(2)
    for value in (1, 2):
        rows = np.full((1, 2), value, np.float32)
        tracked = tracking.advance(tracker, pending, rows, np.ones(1, bool), said, units, np.zeros((2, 2), np.float32))
        tracker, pending = tracked.tracker, tracked.pending
    score = tracking.read(tracked.score[0])
    assert (tracked.ends.shape, score.coverage, score.count) == ((1, 0, 2, 2), None, 1)


@BUNDLES
@pytest.mark.parametrize("part", ["point", "median", "scale"])
@pytest.mark.parametrize("wrong", [np.inf, -np.inf, NAN, 3e38])
def test_a_forecast_that_is_not_finite_is_said_to_be_and_never_scored(make: Any, part: str, wrong: float) -> None:
    stream, said = Stream(make(), 2), drawn(0, 2)
    getattr(said, part)[1, 0, 1] = wrong
    tracked = stream.push([[5, 5], [5, 5]], said)
    finite = bool(np.isfinite(np.float32(wrong)) and np.isfinite(tracked.values[1]).all())
    assert tracked.finite.tolist() == [True, finite and part != "scale"]
    after = stream.push([[6, 6], [6, 6]], drawn(1, 2))
    assert stream.tracking.split(after.score).count.tolist() == [1, float(tracked.finite[1])]
    assert np.isfinite(after.ends).all()


@settings(max_examples=40, deadline=None)
@given(
    actual=st.lists(st.floats(-1e30, 1e30) | st.just(NAN) | st.floats(-3, 3), min_size=1, max_size=300),
    repeats=st.integers(1, 20),
)
def test_whatever_comes_the_ends_stay_ordered_apart_and_bounded(actual: list[float], repeats: int) -> None:
    stream, said = Stream(make_bundle(horizon=1)), drawn(0, horizon=1)
    first = stream.push([NAN, NAN], said)
    width = first.ends[0, 1::2] - first.ends[0, ::2]
    for value in actual * repeats:
        tracked = stream.push(stream.units.from_z(np.array([value, -value])), said)
        by_size = np.stack([*tracked.ends[0, 4::-2], tracked.median[0], *tracked.ends[0, 1::2]])
        assert (np.diff(by_size, axis=0) >= 0).all()
    now = tracked.ends[0, 1::2] - tracked.ends[0, ::2]
    assert (now > 0).all()
    assert (now < 64 * 9.1 * width).all()


def test_one_absurd_value_moves_an_interval_no_farther_than_a_large_one() -> None:
    widths = []
    for value in (20.0, 1e30):
        stream, said = Stream(make_bundle(horizon=1)), drawn(0, horizon=1)
        before = stream.push([NAN, NAN], said).ends
        after = stream.push(stream.units.from_z(np.array([value, 0.0])), said).ends
        widths.append(float((after[0, 3] - after[0, 2])[0, 0] / (before[0, 3] - before[0, 2])[0, 0]))
    assert widths[0] == widths[1]
    assert 1.1 < widths[0] < 1.25


def test_what_was_tracked_under_one_calibration_goes_on_under_another() -> None:
    """Twice as wide as calibrated stays twice as wide as calibrated."""
    draw = np.random.default_rng(0).normal(size=(500, 1, 1))
    zero, units, came = np.zeros((1, 1, 1), np.float32), own_units(1), np.ones(1, bool)
    old, new = calibrated(draw), calibrated(3 * draw)
    first, second = (Tracking(one, 1, 1) for one in (old, new))
    assert first.shape == second.shape
    tracker, pending = first.start(1), first.nothing(1)
    for value in 2 * np.random.default_rng(1).normal(size=400):
        row = np.array([[value]], np.float32)
        tracked = first.advance(tracker, pending, row, came, ZForecast(zero, zero, zero + 1), units, zero[0])
        tracker, pending = tracked.tracker, tracked.pending
    after = second.advance(
        tracker, pending, np.full((1, 1), NAN, np.float32), came, ZForecast(zero, zero, zero + 1), units, zero[0]
    )
    np.testing.assert_allclose(after.ends / tracked.ends, 3, rtol=1e-5)
    assert tracked.ends[0, 3, 0, 0] > 1.6 * old.interval(90, zero[0], zero[0] + 1)[1]


@pytest.mark.parametrize("other", [(None, 2, 2), ("levels", 1, 2), ("levels", 2, 3)])
def test_the_shape_tells_layouts_apart(other: Any) -> None:
    calibration = None if other[0] is None else calibrated(np.random.default_rng(0).normal(size=(50, *other[1:])))
    assert Tracking(calibration, *other[1:]).shape != Stream(make_bundle()).tracking.shape

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.scaled import Part, origins, targets
from tests.forecasting.panels import START, panel, plain, scaled, series, walk


@given(start=st.integers(0, 9), length=st.integers(0, 12), horizon=st.integers(1, 4))
@settings(deadline=None)
def test_a_row_is_an_origin_when_it_is_known_and_all_its_targets_lie_in_the_part(
    start: int, length: int, horizon: int
) -> None:
    part = Part(start, start + length)
    wanted = [
        row for row in range(part.stop) if all(part.start <= row + step < part.stop for step in range(1, horizon + 1))
    ]
    assert list(origins(part, horizon)) == wanted


@given(start=st.integers(0, 5), count=st.integers(0, 5), horizon=st.integers(1, 4))
@settings(deadline=None)
def test_targets_are_the_rows_after_each_origin(start: int, count: int, horizon: int) -> None:
    one = plain(np.arange(40).reshape(20, 2), 10, 15)
    came = targets(one, range(start, start + count), horizon)
    assert came.shape == (count, horizon, 2)
    for i, origin in enumerate(range(start, start + count)):
        np.testing.assert_array_equal(came[i], one.series.values[origin + 1 : origin + 1 + horizon])


def test_series_are_cut_at_common_times_wherever_they_start_and_end() -> None:
    whole, late, gone = scaled(series("whole", walk(100)), series("late", walk(30), late=70), series("gone", walk(20)))
    assert (whole.train, whole.valid, whole.test) == (Part(0, 60), Part(60, 80), Part(80, 100))
    assert (late.train, late.valid, late.test) == (Part(0, 0), Part(0, 10), Part(10, 30))
    assert (gone.train, gone.valid, gone.test) == (Part(0, 20), Part(20, 20), Part(20, 20))
    assert len(origins(gone.test, 1)) == 0


def test_rows_behind_the_last_one_asked_for_are_in_no_part() -> None:
    (one,) = scaled(series("a", walk(100)), split=(50, 20, 10))
    assert one.test == Part(70, 80)


def test_a_series_keeps_its_values_and_copies_none() -> None:
    values = series("a", walk(100))
    (one,) = scaled(values)
    assert np.shares_memory(one.series.values, values.values)
    assert np.shares_memory(panel(values).between(START, None).series[0].values, values.values)


def test_times_are_nanoseconds() -> None:
    (one,) = scaled(series("a", walk(100)))
    assert one.times[0] == START.value
    assert one.times[1] - one.times[0] == 3600 * 10**9

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.scaled import Part, ScaledSeries, actuals, origins, static_of, targets
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


def covered() -> ScaledSeries:
    """Build a series of 20 rows: two targets, a past and a known covariate, of values 0, 1, 2, ... row by row."""
    return plain(np.arange(80).reshape(20, 4), 10, 15, past=1, known=1)


def test_a_row_holds_targets_and_past_covariates_and_known_ones_beside() -> None:
    one = covered()
    assert one.z(3, 4).tolist() == [[12.0, 13.0, 14.0]]
    assert one.target_z(3, 4).tolist() == one.actual(3, 4).tolist() == [[12.0, 13.0]]
    assert one.known(3, 4).tolist() == [[15.0]]


@given(start=st.integers(-30, 50), rows=st.integers(0, 30))
@settings(deadline=None)
def test_known_covariates_outside_the_series_are_missing(start: int, rows: int) -> None:
    said = covered().known(start, start + rows)
    assert said.shape == (rows, 1)
    for row, (value,) in enumerate(said, start):
        assert value == 4 * row + 3 if 0 <= row < 20 else np.isnan(value)


def test_known_covariates_are_scaled_as_the_others_are_and_rare_events_are_kept() -> None:
    values = np.concatenate([walk(100), np.zeros((100, 1))], axis=1)
    values[::50, 2] = 1.0
    (one,) = scaled(series("a", values), known=1)
    train = values[:60, 2]
    np.testing.assert_allclose(one.known(0, 100)[:, 0], (values[:, 2] - train.mean()) / train.std(), rtol=1e-5)


def test_what_is_implausible_is_missing_in_rows_and_actuals() -> None:
    values = walk(100)
    values[50, 0] = 1e9
    (one,) = scaled(series("a", values))
    for part in (one.z(50, 51), one.target_z(50, 51), one.actual(50, 51)):
        assert np.isnan(part).tolist() == [[True, False]]
    np.testing.assert_array_equal(one.actual(0, 50), values[:50])


@given(start=st.integers(0, 5), count=st.integers(0, 5), horizon=st.integers(1, 4))
@settings(deadline=None)
def test_actuals_are_targets_in_the_units_of_the_data(start: int, count: int, horizon: int) -> None:
    (one,) = scaled(series("a", walk(30, missing=0.2)))
    at = range(start, start + count)
    z, actual = targets(one, at, horizon), actuals(one, at, horizon)
    np.testing.assert_allclose(one.target_units.from_z(z), actual, rtol=1e-4, atol=1e-5)


def test_static_covariates_stand_side_by_side_in_the_order_of_the_series() -> None:
    panel = scaled(*(series(name, walk(60), kind=name, size=float(i)) for i, name in enumerate("xyz")))
    static = static_of([panel[2], panel[0]])
    assert static.codes.tolist() == [[3], [1]]
    assert static.numbers[:, 1].tolist() == [1.0, 1.0]
    assert static.numbers[0, 0] > 0 > static.numbers[1, 0]

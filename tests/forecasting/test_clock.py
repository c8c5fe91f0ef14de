from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.calendar import SECOND, Calendar, clock_of, nanoseconds

ZONES = ("Europe/Berlin", "Africa/Casablanca", "Australia/Lord_Howe", "Pacific/Apia", "Etc/GMT-3")
FIRST, LAST = (pd.Timestamp(day, tz="UTC").value for day in ("1800-01-02", "2199-12-30"))


def as_pandas_has_it(times: np.ndarray, zone: str) -> np.ndarray:
    index = pd.DatetimeIndex(times, tz="UTC").tz_convert(zone)
    return nanoseconds(index.tz_localize(None)) - times


def offsets(times: np.ndarray, zone: str) -> np.ndarray:
    clock = clock_of(zone)
    return clock.offsets[np.searchsorted(clock.changes, times, side="right")]


@pytest.mark.parametrize("zone", ZONES)
def test_the_clock_changes_at_the_nanosecond_that_pandas_has(zone: str) -> None:
    changes = clock_of(zone).changes
    times = np.sort(np.concatenate([changes + shift for shift in (-SECOND, -1, 0, 1, SECOND)]))
    np.testing.assert_array_equal(offsets(times, zone), as_pandas_has_it(times, zone))


@settings(max_examples=30)
@given(st.sampled_from(ZONES), st.lists(st.integers(FIRST, LAST), min_size=1))
def test_at_any_time_the_clock_shows_what_pandas_has(zone: str, times: list[int]) -> None:
    array = np.array(times, dtype=np.int64)
    np.testing.assert_array_equal(offsets(array, zone), as_pandas_has_it(array, zone))


def test_a_zone_without_changes_is_an_offset() -> None:
    clock = clock_of("Etc/GMT-3")
    assert not len(clock.changes)
    assert clock.offsets.tolist() == [3 * 3600 * SECOND]
    noon = np.array([pd.Timestamp("2024-06-01T12:00", tz="UTC").value])
    shifted = Calendar(freq="h").features(noon + 3 * 3600 * SECOND)
    np.testing.assert_array_equal(Calendar(freq="h", timezone="Etc/GMT-3").features(noon), shifted)

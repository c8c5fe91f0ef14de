from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.calendar import Calendar, calendar_for, nanoseconds
from forecasting.stepping import times_after


def times(start: str, periods: int, freq: str, timezone: str = "UTC") -> np.ndarray:
    return nanoseconds(pd.date_range(start, periods=periods, freq=freq, tz=timezone))


@pytest.mark.parametrize(
    ("freq", "season", "width", "yearly"),
    [
        ("min", 1440, 14, 18),
        ("15min", 96, 14, 18),
        ("h", 24, 14, 18),
        ("6h", 4, 10, 14),
        ("D", 7, 6, 10),
        ("B", 5, 4, 8),
        ("W-MON", 52, 0, 4),
        ("MS", 12, 0, 4),
        ("ME", 12, 0, 4),
        ("QS", 4, 0, 4),
        ("YS", 1, 0, 0),
    ],
)
def test_season_and_features_come_from_the_frequency(freq: str, season: int, width: int, yearly: int) -> None:
    assert Calendar(freq=freq).season == season
    assert Calendar(freq=freq).width == width
    assert Calendar(freq=freq, yearly=True).width == yearly


@pytest.mark.parametrize("yearly", [False, True])
@pytest.mark.parametrize("freq", ["h", "D", "MS", "YS"])
def test_a_row_has_as_many_features_as_the_width_says(freq: str, yearly: bool) -> None:
    calendar = Calendar(freq=freq, yearly=yearly, timezone="Europe/Berlin")
    features = calendar.features(times("2024-01-01", 6, freq))
    assert features.shape == (6, calendar.width)
    assert features.dtype == np.float32
    assert calendar.features(times("2024-01-01", 6, freq).reshape(2, 3)).shape == (2, 3, calendar.width)


def test_features_come_round_after_a_week_and_not_before() -> None:
    features = Calendar(freq="h").features(times("2024-01-01", 24 * 8, "h"))
    np.testing.assert_allclose(features[168:], features[:24], atol=1e-5)
    assert all(np.abs(features[hours] - features[0]).max() > 0.1 for hours in range(1, 168))


def test_features_before_1970_fit_onto_those_after() -> None:
    features = Calendar(freq="h").features(times("1969-12-28", 24 * 14, "h"))
    np.testing.assert_allclose(features[:168], features[168:], atol=1e-5)


def test_the_local_hour_keeps_its_features_through_a_change_of_clocks() -> None:
    calendar = Calendar(freq="h", timezone="Europe/Berlin")
    noons = pd.DatetimeIndex(["2024-03-30 12:00", "2024-03-31 12:00", "2024-04-06 12:00"], tz="Europe/Berlin")
    before, after, week_later = calendar.features(nanoseconds(noons))
    daily = [i for i in range(14) if i % 7 < 4]
    np.testing.assert_allclose(before[daily], after[daily], atol=1e-5)
    np.testing.assert_allclose(before, week_later, atol=1e-5)


def test_an_hour_that_comes_twice_has_the_same_features_twice() -> None:
    calendar = Calendar(freq="h", timezone="Europe/Berlin")
    hours = calendar.features(times("2024-10-27T00:00", 4, "h"))  # 02:00, 02:00, 03:00, 04:00 local
    np.testing.assert_array_equal(hours[0], hours[1])
    assert np.abs(hours[2] - hours[1]).max() > 0.1


def test_utc_and_local_features_differ_by_the_offset() -> None:
    utc = Calendar(freq="h").features(times("2024-01-10T13:00", 3, "h"))
    berlin = Calendar(freq="h", timezone="Europe/Berlin").features(times("2024-01-10T12:00", 3, "h"))
    np.testing.assert_allclose(utc, berlin, atol=1e-6)


@pytest.mark.parametrize(
    "timezone",
    [
        "Europe/Berlin",
        "America/Sao_Paulo",
        "Asia/Kathmandu",
        "Africa/Casablanca",
        "Australia/Lord_Howe",
        "Pacific/Apia",
    ],
)
@given(seconds=st.lists(st.integers(-5_364_662_400, 7_258_118_399), min_size=1, max_size=50))
@settings(max_examples=20)
def test_features_are_those_of_the_zones_own_clock(timezone: str, seconds: list[int]) -> None:
    utc = np.array(seconds) * 10**9
    local = pd.DatetimeIndex(utc, tz="UTC").tz_convert(timezone).tz_localize(None)
    ours, theirs = Calendar(freq="h", timezone=timezone).features(utc), Calendar(freq="h").features(nanoseconds(local))
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("timezone", ["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu"])
@pytest.mark.parametrize("freq", ["h", "15min", "D", "MS"])
@pytest.mark.parametrize("yearly", [False, True])
@given(steps=st.integers(-5_364_662_400 // 900, 7_258_118_399 // 900), beside=st.sampled_from([0, 0, 1]))
@settings(max_examples=10)
def test_the_features_of_one_time_are_those_of_it_among_others(
    timezone: str, freq: str, yearly: bool, steps: int, beside: int
) -> None:
    calendar = Calendar(freq=freq, timezone=timezone, yearly=yearly)
    time = (steps * 900 + beside) * 1_000_000_000
    among = calendar.features(np.array([time, 0]))[:1]
    assert calendar.features_at(time).tobytes() == among.tobytes()


@pytest.mark.parametrize(("freq", "hours"), [("h", [1, 1, 1]), ("D", [23, 24, 24])])
def test_hours_step_over_a_change_of_clocks_and_days_keep_midnight(freq: str, hours: list[int]) -> None:
    midnight = pd.Timestamp("2024-03-31", tz="Europe/Berlin").value
    after = times_after(Calendar(freq=freq, timezone="Europe/Berlin"), midnight, 3)
    assert (np.diff([midnight, *after]) // (3600 * 10**9)).tolist() == hours


@pytest.mark.parametrize(("days", "yearly"), [(729, False), (730, True)])
def test_the_time_of_year_is_used_when_training_saw_two_years(days: int, yearly: bool) -> None:
    index = pd.date_range("2022-01-01", periods=days + 1, freq="D", tz="UTC")
    assert calendar_for(index, "D", "Europe/Berlin") == Calendar(freq="D", timezone="Europe/Berlin", yearly=yearly)

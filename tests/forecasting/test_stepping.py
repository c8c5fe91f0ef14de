import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.calendar import Calendar
from forecasting.errors import WindowRejected
from forecasting.stepping import times_after, times_between, times_until

HOUR = 3_600_000_000_000
BERLIN = "Europe/Berlin"


def utc(text: str) -> int:
    return pd.Timestamp(text, tz="UTC").as_unit("ns").value


@given(st.integers(0, 10**18), st.integers(1, 50), st.sampled_from(["h", "15min", "24h", "s", "250ms"]))
def test_fixed_steps_are_equally_far_apart_on_both_sides(last: int, rows: int, freq: str) -> None:
    calendar = Calendar(freq=freq)
    both = np.concatenate([times_until(calendar, last, rows), times_after(calendar, last, rows)])
    assert both[rows - 1] == last
    assert set(np.diff(both)) == {pd.Timedelta(pd.tseries.frequencies.to_offset(freq)).as_unit("ns").value}


@given(st.sampled_from(["D", "MS", "W-MON", "QS", "YS", "ME", "B"]), st.integers(1, 30))
def test_going_forward_and_back_on_a_calendar_meet(freq: str, rows: int) -> None:
    calendar = Calendar(freq=freq, timezone=BERLIN)
    first = pd.date_range("2021-03-01", periods=1, freq=freq, tz=BERLIN)[0].tz_convert("UTC").as_unit("ns").value
    after = times_after(calendar, first, rows)
    assert times_until(calendar, int(after[-1]), rows + 1).tolist() == [first, *after]
    assert times_between(calendar, first, int(after[-1])).tolist() == [first, *after]


def test_a_day_keeps_local_midnight_through_a_change_of_clocks() -> None:
    midnight = utc("2024-03-30T23:00")  # 2024-03-31 00:00 in Berlin, a day of 23 hours
    assert times_after(Calendar(freq="D", timezone=BERLIN), midnight, 2).tolist() == [
        midnight + 23 * HOUR,
        midnight + 47 * HOUR,
    ]


def test_a_day_whose_midnight_was_skipped_is_still_that_day() -> None:
    calendar = Calendar(freq="D", timezone="America/Santiago")
    skipped = utc("2024-09-08T04:00")  # clocks went from 00:00 to 01:00
    assert times_after(calendar, skipped, 1).tolist() == [utc("2024-09-09T03:00")]
    assert times_until(calendar, skipped, 2).tolist() == [utc("2024-09-07T04:00"), skipped]
    assert times_between(calendar, skipped, utc("2024-09-09T03:00")).tolist() == [skipped, utc("2024-09-09T03:00")]


def test_a_last_time_off_the_calendar_is_refused() -> None:
    with pytest.raises(WindowRejected, match="no time of the model's grid, freq 'MS' in UTC") as caught:
        times_until(Calendar(freq="MS"), utc("2024-03-15"), 3)
    assert caught.value.pointer == "/last_timestamp"


@pytest.mark.parametrize("freq", ["h", "D", "YS"])
def test_times_beyond_the_years_1800_to_2199_are_refused(freq: str) -> None:
    calendar = Calendar(freq=freq)
    with pytest.raises(WindowRejected, match="1800 to 2199"):
        times_until(calendar, utc("1801-01-01"), 10_000)
    with pytest.raises(WindowRejected, match="1800 to 2199"):
        times_after(calendar, utc("2199-01-01"), 10_000)

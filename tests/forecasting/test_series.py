from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forecasting.columns import Columns
from forecasting.errors import DataError
from forecasting.series import Panel, Series, cut, is_calendar, localize, regular_index, rfc3339


def series(start: str, count: int, name: str = "a") -> Series:
    index = pd.date_range(start, periods=count, freq="h", tz="UTC")
    return Series(name, index, np.arange(count * 2, dtype=np.float32).reshape(count, 2))


def panel(*parts: Series) -> Panel:
    return Panel(Columns(("x", "y")), "h", "UTC", parts)


def utc(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def test_a_part_of_a_series_is_half_open_and_a_view() -> None:
    whole = series("2013-01-01", 10)
    part = whole.between(utc("2013-01-01 02:00"), utc("2013-01-01 05:00"))
    assert part.index.hour.tolist() == [2, 3, 4]
    assert np.array_equal(part.values, np.take(whole.values, [2, 3, 4], axis=0))
    assert np.shares_memory(part.values, whole.values)


def test_a_part_of_a_series_has_its_static_values() -> None:
    whole = replace(series("2013-01-01", 10), static={"region": "north", "area": None})
    assert whole.between(None, utc("2013-01-01 05:00")).static == {"region": "north", "area": None}


def test_a_side_left_out_is_open() -> None:
    whole = series("2013-01-01", 10)
    assert len(whole.between(None, utc("2013-01-01 05:00"))) == 5
    assert len(whole.between(utc("2013-01-01 05:00"), None)) == 5


def test_a_panel_is_cut_at_common_times_and_keeps_series_without_rows() -> None:
    both = panel(series("2013-01-01", 10), series("2013-01-01 08:00", 10, "b"))
    early = both.between(None, utc("2013-01-01 08:00"))
    assert [(one.id, len(one)) for one in early] == [("a", 8), ("b", 0)]
    assert (len(both), both.rows, early.rows) == (2, 20, 8)


def test_the_grid_of_a_panel_runs_from_the_earliest_to_the_latest_row() -> None:
    both = panel(series("2013-01-01 08:00", 10), series("2013-01-01", 10, "b"), series("2013-01-01", 0, "c"))
    assert both.grid().equals(pd.date_range("2013-01-01", periods=18, freq="h", tz="UTC"))


def test_a_panel_is_cut_by_fractions() -> None:
    split = cut(panel(series("2013-01-01", 100)), (0.7, 0.1, 0.2))
    assert (split.valid, split.test, split.end, split.unused) == (
        utc("2013-01-01") + pd.Timedelta(hours=70),
        utc("2013-01-01") + pd.Timedelta(hours=80),
        None,
        0,
    )


@pytest.mark.parametrize("rows", [30, 97, 100, 1000, 8730, 17420])
def test_fractions_that_add_up_to_one_use_every_row(rows: int) -> None:
    assert cut(panel(series("2013-01-01", rows)), (0.7, 0.1, 0.2)).unused == 0


def test_fractions_below_one_leave_the_end_unused() -> None:
    split = cut(panel(series("2013-01-01", 100)), (0.5, 0.1, 0.1))
    assert split.end == utc("2013-01-01") + pd.Timedelta(hours=70)
    assert split.unused == 30


def test_a_panel_is_cut_by_row_counts() -> None:
    whole = panel(series("2013-01-01", 100))
    split = cut(whole, (50, 20, 20))
    assert split.unused == 10
    assert split.train(whole).rows == 50
    assert whole.between(split.valid, split.test).rows == 20
    assert whole.between(split.test, split.end).rows == 20


@pytest.mark.parametrize("parts", [(90, 10, 1), (0.02, 0.2, 0.5), (0.99, 0.005, 0.005)])
def test_a_split_with_too_few_rows_is_refused(parts: tuple[float, float, float]) -> None:
    with pytest.raises(DataError, match=r"the data have 100 time steps: give more data or a smaller split"):
        cut(panel(series("2013-01-01", 100)), parts)


@pytest.mark.parametrize(("freq", "calendar"), [("min", False), ("15min", False), ("h", False), ("D", True)])
def test_steps_of_a_day_and_longer_follow_the_calendar(freq: str, calendar: bool) -> None:
    assert is_calendar(freq) is calendar
    assert is_calendar("W-MON")
    assert is_calendar("MS")


def test_a_daily_grid_keeps_local_midnight_through_a_change_of_clocks() -> None:
    first, last = utc("2013-03-29T23:00"), utc("2013-04-01T22:00")
    grid = regular_index(first, last, "D", "Europe/Berlin")
    assert grid.tz_convert("Europe/Berlin").strftime("%d %H").tolist() == ["30 00", "31 00", "01 00", "02 00"]
    assert (grid[1:] - grid[:-1]).tolist() == [pd.Timedelta(hours=hours) for hours in (24, 23, 24)]


def test_an_hourly_grid_takes_no_notice_of_a_change_of_clocks() -> None:
    grid = regular_index(utc("2013-03-30T23:00"), utc("2013-03-31T04:00"), "h", "Europe/Berlin")
    assert len(grid) == 6


def test_a_midnight_that_the_clocks_skip_is_the_moment_of_the_change() -> None:
    days = localize(pd.date_range("2018-11-03", periods=3, freq="D"), "America/Sao_Paulo")
    assert days.tz_convert("America/Sao_Paulo").hour.tolist() == [0, 1, 0]
    assert regular_index(days[0], days[-1], "D", "America/Sao_Paulo").equals(days)


def test_a_midnight_that_comes_twice_is_its_first() -> None:
    days = localize(pd.date_range("2013-11-02", periods=3, freq="D"), "America/Havana")
    assert (days[1:] - days[:-1]).tolist() == [pd.Timedelta(hours=24), pd.Timedelta(hours=25)]


def test_times_are_written_in_utc_with_z() -> None:
    assert rfc3339(utc("2013-01-01 06:00")) == "2013-01-01T06:00:00Z"
    assert rfc3339(utc("2013-01-01 06:00:00.25")) == "2013-01-01T06:00:00.250000Z"

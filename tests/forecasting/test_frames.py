"""Tables of one series or several, in every form in which their times come, and the cell that is at fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecasting.bundle import Bundle
from forecasting.errors import WindowRejected
from forecasting.frames import columns_of, table_windows
from tests.bundles import make_rich_bundle

TIMES = pd.date_range("2024-03-01", periods=3, freq="h", tz="UTC")


def table(**columns: Any) -> pd.DataFrame:
    rows = {"timestamp": [time.isoformat() for time in TIMES], "a": [9.5, 10.0, 10.5], "b": [1010.0, 1005.0, 1000.0]}
    return pd.DataFrame({name: values for name, values in (rows | columns).items() if values is not None})


@pytest.fixture(scope="module")
def rich() -> Bundle:
    return make_rich_bundle()


@pytest.mark.parametrize(
    "times",
    [
        TIMES,
        TIMES.tz_convert("Asia/Tokyo"),
        TIMES.tz_localize(None),
        list(TIMES),
        [time.to_pydatetime() for time in TIMES],
        ["2024-03-01T00:00:00Z", "2024-03-01T01:00:00Z", "2024-03-01T02:00:00Z"],
        ["2024-03-01", "2024-03-01 01:00", "2024-03-01T04:00:00.000+02:00"],
        ["2024-03-01T00:00:00Z", pd.Timestamp("2024-03-01T01:00Z"), "2024-03-01T02:00:00"],
    ],
)
def test_times_are_taken_in_every_usual_form(tiny_bundle: Bundle, times: Any) -> None:
    (window,) = table_windows(tiny_bundle.spec, table(timestamp=times))
    assert window.times is not None
    assert pd.DatetimeIndex(window.times, tz="UTC").equals(TIMES)
    assert window.series is None


@pytest.mark.parametrize("time", ["now", "today", "", "2024", "1", "01/03/2024", "20240301T020000", "nan", None])
def test_what_only_looks_like_a_time_is_refused_with_its_place(tiny_bundle: Bundle, time: str | None) -> None:
    with pytest.raises(WindowRejected, match="row 1 has no time") as caught:
        table_windows(tiny_bundle.spec, table(timestamp=["2024-03-01T00:00:00Z", time, "2024-03-01T02:00:00Z"]))
    assert caught.value.pointer == "/1/timestamp"


@pytest.mark.parametrize("time", ["2024-13-01", "9999-12-31T00:00:00Z", "2024-01-01T24:00:00Z", "0000-01-01"])
def test_times_that_no_calendar_has_are_refused(tiny_bundle: Bundle, time: str) -> None:
    with pytest.raises(WindowRejected, match="a timestamp is none"):
        table_windows(tiny_bundle.spec, table(timestamp=["2024-03-01T00:00:00Z", time, "2024-03-01T02:00:00Z"]))


def test_times_as_numbers_are_refused_for_their_unit_is_a_guess(tiny_bundle: Bundle) -> None:
    for times in ([1709251200, 1709254800, 1709258400], [1.0, 2.0, 3.0]):
        with pytest.raises(WindowRejected, match="came as numbers"):
            table_windows(tiny_bundle.spec, table(timestamp=times))


def test_series_keep_the_order_in_which_they_come_and_their_rows(tiny_bundle: Bundle) -> None:
    rows = pd.concat([table(series="south"), table(series="north", a=[1.0, 2.0, 3.0])]).sort_values("timestamp")
    south, north = table_windows(tiny_bundle.spec, rows)
    assert (south.series, north.series) == ("south", "north")
    assert north.values[:, 0].tolist() == [1.0, 2.0, 3.0]


def test_a_fault_is_told_with_its_place_in_the_whole_table(tiny_bundle: Bundle) -> None:
    rows = pd.concat([table(series="south"), table(series="north", b=[1.0, 1e300, 1.0])])
    with pytest.raises(WindowRejected, match="series 2 of 2: row 1, column 1 is beyond") as caught:
        table_windows(tiny_bundle.spec, rows)
    assert caught.value.pointer == "/4/b"
    times = ["2024-03-01T00:00:00Z", "2024-03-01T02:00:00Z", "2024-03-01T01:00:00Z"]
    with pytest.raises(WindowRejected, match="timestamp 2 is not after") as caught:
        table_windows(tiny_bundle.spec, table(timestamp=times))
    assert caught.value.pointer == "/2/timestamp"


@pytest.mark.parametrize(
    ("columns", "said", "pointer"),
    [
        ({"b": None}, "column 'b' is missing", ""),
        ({"series": ["north", None, "north"]}, "row 1 names no series", "/1/series"),
        ({"a": [None] * 3, "b": [None] * 3}, "no row has a value", ""),
        ({"timestamp": None}, "give timestamps", ""),
    ],
)
def test_what_makes_no_window_is_refused(tiny_bundle: Bundle, columns: dict[str, Any], said: str, pointer: str) -> None:
    with pytest.raises(WindowRejected, match=said) as caught:
        table_windows(tiny_bundle.spec, table(**columns))
    assert caught.value.pointer == pointer


def test_a_table_without_rows_is_refused(tiny_bundle: Bundle) -> None:
    with pytest.raises(WindowRejected, match="no rows came"):
        table_windows(tiny_bundle.spec, table()[:0])


def test_a_column_of_a_series_is_refused_where_the_model_has_one_series_only(
    make_bundle: Callable[..., Bundle],
) -> None:
    with pytest.raises(WindowRejected, match="leave series out"):
        table_windows(make_bundle(panel=False).spec, table(series="north"))


def test_rows_behind_the_last_target_are_the_known_future(rich: Bundle) -> None:
    hours = pd.date_range("2024-03-01", periods=5, freq="h", tz="UTC")
    none = [None, None]
    rows = pd.DataFrame(
        {
            "timestamp": hours,
            "a": [3.5, 4.5, 5.0, *none],
            "b": [4, 3, 4, *none],
            "rain": [0.0, None, 1.0, *none],
            "price": [30.0, 31.0, 30.0, 32.0, 33.0],
            "holiday": [0, 0, 0, 1, 0],
            "size": [4.0, None, None, None, None],
            "region": ["hill", "coast", None, None, None],
        }
    )
    (window,) = table_windows(rich.spec, rows)
    assert window.ahead is not None
    np.testing.assert_array_equal(window.ahead, [[32, 1], [33, 0]])
    assert window.static == {"size": 4.0, "region": "coast"}
    rows.loc[4, "price"] = 1e300
    with pytest.raises(WindowRejected) as caught:
        table_windows(rich.spec, rows)
    assert caught.value.pointer == "/4/price"


def test_the_columns_a_table_can_have_are_known(rich: Bundle) -> None:
    names = ("timestamp", "series", "a", "b", "rain", "price", "holiday", "size", "region")
    assert columns_of(rich.spec) == names

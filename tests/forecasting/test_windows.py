from collections.abc import Callable
from typing import Any, ClassVar

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.bundle import Bundle, Spec
from forecasting.calendar import Calendar
from forecasting.errors import WindowRejected
from forecasting.windows import RawWindow, build_window
from tests.bundles import make_rich_bundle

HOUR = 3_600_000_000_000
NOON = pd.Timestamp("2024-03-01T12:00", tz="UTC").as_unit("ns").value
ROWS = [[1.0, 2.0], [3.0, None], [5.0, 6.0]]


@pytest.fixture(scope="session")
def spec(tiny_bundle: Bundle) -> Spec:
    return tiny_bundle.spec


@pytest.fixture(scope="module")
def rich() -> Spec:
    return make_rich_bundle(horizon=3).spec


def rejected(spec: Spec, **raw: Any) -> tuple[str, str]:
    with pytest.raises(WindowRejected) as caught:
        build_window(spec, RawWindow(**{"rows": ROWS, **raw}))
    return caught.value.pointer, str(caught.value)


def test_rows_become_float32_and_none_becomes_nan(spec: Spec) -> None:
    window = build_window(spec, RawWindow(ROWS, last_timestamp=NOON, series="north"))
    assert window.values.dtype == np.float32
    np.testing.assert_array_equal(window.values, np.float32([[1, 2], [3, np.nan], [5, 6]]))
    assert window.series == "north"


def test_an_array_is_taken_as_rows_are(spec: Spec) -> None:
    array = np.float32([[1, 2], [3, np.nan]])
    window = build_window(spec, RawWindow(array, last_timestamp=NOON))
    np.testing.assert_array_equal(window.values, array)


def test_times_before_the_last_one_are_computed_back(spec: Spec) -> None:
    window = build_window(spec, RawWindow(ROWS, last_timestamp=NOON))
    assert window.times is not None
    assert window.times.tolist() == [NOON - 2 * HOUR, NOON - HOUR, NOON]


def test_columns_may_come_in_any_order(spec: Spec) -> None:
    window = build_window(spec, RawWindow([[2.0, 1.0]], columns=("b", "a"), last_timestamp=NOON))
    assert window.values.tolist() == [[1.0, 2.0]]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=20))
def test_gaps_become_missing_rows_and_are_said(tiny_bundle: Bundle, steps: list[int]) -> None:
    times = (NOON + HOUR * np.cumsum([0, *steps])).tolist()
    rows = [[float(place), 0.0] for place in range(len(times))]
    window = build_window(tiny_bundle.spec, RawWindow(rows, timestamps=times))
    assert window.times is not None
    assert set(np.diff(window.times)) == {HOUR}
    seen = ~np.isnan(window.values[:, 0])
    assert window.times[seen].tolist() == times
    assert window.values[seen].tolist() == rows
    assert [caution.code for caution in window.cautions] == (["gap"] if sum(steps) > len(steps) else [])


def test_a_daily_gap_is_filled_on_the_local_calendar(make_bundle: Callable[..., Bundle]) -> None:
    spec = make_bundle(calendar=Calendar(freq="D", timezone="Europe/Berlin")).spec
    days = pd.date_range("2024-03-29", "2024-04-02", freq="D", tz="Europe/Berlin").as_unit("ns").asi8
    window = build_window(spec, RawWindow([[1.0, 1.0], [2.0, 2.0]], timestamps=[int(days[0]), int(days[-1])]))
    assert window.times is not None
    assert window.times.tolist() == days.tolist()


@pytest.mark.parametrize(
    ("raw", "pointer", "said"),
    [
        ({"rows": [[1.0, 2.0], [3.0]]}, "/observations/1", "row 1 has 1 values; expected 2"),
        ({"rows": [[1.0, 2.0, 3.0]]}, "/observations/0", "row 0 has 3 values; expected 2"),
        ({"rows": [[], []]}, "/observations/0", "row 0 has 0 values"),
        ({"rows": []}, "/observations", "no rows came"),
        ({"rows": [[1.0, 2.0], [1.0, 1e39]]}, "/observations/1/1", "row 1, column 1 is beyond"),
        ({"rows": [[1.0, -np.inf]]}, "/observations/0/1", "row 0, column 1 is beyond"),
        ({"columns": ("a", "bb")}, "/columns/1", "did you mean 'b'?"),
        ({"columns": ("a", "zzz")}, "/columns/1", "it takes a, b"),
        ({"columns": ("a", "a")}, "/columns/1", "named twice"),
        ({"rows": [[1.0]], "columns": ("a",)}, "/columns", "column 'b' is missing"),
        ({"rows": [[1.0]], "columns": ("a", "b")}, "/data/0", "row 0 has 1 values"),
        ({}, "/last_timestamp", "give timestamps, or last_timestamp"),
        ({"timestamps": [0], "last_timestamp": 0}, "/last_timestamp", "not both"),
        ({"timestamps": [0, HOUR]}, "/timestamps", "2 timestamps came for 3 rows"),
        ({"timestamps": [0, HOUR, HOUR]}, "/timestamps/2", "not after the one before"),
        ({"timestamps": [0, -HOUR, HOUR]}, "/timestamps/1", "not after the one before"),
        ({"timestamps": [0, HOUR, 2 * HOUR + 1]}, "/timestamps/2", "not on the model's grid, freq 'h' in UTC"),
        ({"timestamps": [0, HOUR, 5000 * HOUR]}, "/timestamps", "leave out more than 1000 steps"),
        ({"timestamps": [-(5 * 10**18), 0, 7 * 10**18]}, "/timestamps", "leave out more than 1000 steps"),
        ({"timestamps": [0, HOUR, 10**30]}, "/timestamps/2", "outside the years 1800 to 2199"),
        ({"last_timestamp": -(10**19)}, "/last_timestamp", "outside the years 1800 to 2199"),
    ],
)
def test_a_window_that_cannot_be_used_is_refused_with_a_pointer(
    spec: Spec, raw: dict[str, Any], pointer: str, said: str
) -> None:
    found, text = rejected(spec, **raw)
    assert found == pointer
    assert said in text


def test_a_missing_cell_is_refused_where_none_was_learned_from(spec: Spec) -> None:
    complete = msgspec.structs.replace(spec, missing=False)
    assert rejected(complete, last_timestamp=0)[0] == "/observations/1/1"


def test_a_gap_is_refused_where_none_was_learned_from(spec: Spec) -> None:
    complete = msgspec.structs.replace(spec, missing=False)
    pointer, text = rejected(complete, rows=[[1.0, 1.0], [2.0, 2.0]], timestamps=[0, 2 * HOUR])
    assert (pointer, "needs every one" in text) == ("/timestamps", True)


def test_a_series_is_refused_by_a_model_of_one(spec: Spec) -> None:
    assert rejected(msgspec.structs.replace(spec, panel=False), series="north")[0] == "/series"


def test_times_may_be_absent_where_the_calendar_is_not_used(make_bundle: Callable[..., Bundle]) -> None:
    spec = make_bundle(calendar=Calendar(freq="YS")).spec
    assert build_window(spec, RawWindow(ROWS)).times is None


def test_a_calendar_time_off_the_grid_is_refused(make_bundle: Callable[..., Bundle]) -> None:
    spec = make_bundle(calendar=Calendar(freq="MS")).spec
    days = [pd.Timestamp(day, tz="UTC").as_unit("ns").value for day in ("2024-01-01", "2024-02-02", "2024-03-01")]
    assert rejected(spec, timestamps=days)[0] == "/timestamps/1"
    assert rejected(spec, timestamps=[days[1], days[1] + 24 * HOUR, days[1] + 48 * HOUR])[0] == "/timestamps/0"


class TestCovariates:
    ROW: ClassVar = [1.0, 2.0, 0.5, 30.0, 1.0]
    AHEAD: ClassVar = [[31.0, 0.0], [None, 1.0], [33.0, 0.0]]

    def rejected(self, spec: Spec, **raw: Any) -> tuple[str, str]:
        return rejected(spec, **{"rows": [self.ROW], "last_timestamp": NOON, "known_future": self.AHEAD, **raw})

    def test_come_with_the_row_and_with_the_steps_ahead(self, rich: Spec) -> None:
        static = {"size": 3, "region": None}
        raw = RawWindow([self.ROW], last_timestamp=NOON, known_future=self.AHEAD, static=static)
        window = build_window(rich, raw)
        assert window.values.tolist() == [self.ROW]
        assert window.ahead is not None
        assert window.ahead.dtype == np.float32
        np.testing.assert_array_equal(window.ahead, np.float32([[31, 0], [np.nan, 1], [33, 0]]))
        assert window.static == static

    def test_stand_in_any_order_in_named_columns_and_in_the_models_order_ahead(self, rich: Spec) -> None:
        names = ("holiday", "a", "rain", "b", "price")
        row = [dict(zip(rich.columns.row, self.ROW, strict=True))[name] for name in names]
        window = build_window(rich, RawWindow([row], names, last_timestamp=NOON, known_future=self.AHEAD))
        assert window.values.tolist() == [self.ROW]
        assert window.ahead is not None
        assert window.ahead[0].tolist() == self.AHEAD[0]

    def test_stay_where_gaps_are_filled(self, rich: Spec) -> None:
        rows, times, static = [self.ROW, self.ROW], [NOON, NOON + 2 * HOUR], {"size": 1.0}
        window = build_window(rich, RawWindow(rows, timestamps=times, known_future=self.AHEAD, static=static))
        assert np.isnan(window.values[1]).all()
        assert window.ahead is not None
        assert (len(window.ahead), window.static) == (3, static)

    @pytest.mark.parametrize("given_", [1, 2, 3])
    def test_ahead_are_needed_for_the_steps_asked_for(self, rich: Spec, given_: int) -> None:
        raw = RawWindow([self.ROW], last_timestamp=NOON, known_future=self.AHEAD[:given_], horizon=1)
        window = build_window(rich, raw)
        assert window.ahead is not None
        assert len(window.ahead) == given_

    @pytest.mark.parametrize(
        ("raw", "pointer", "said"),
        [
            (
                {"known_future": None},
                "/known_future",
                "nothing came as known_future; this model needs 3 rows of [price",
            ),
            ({"known_future": []}, "/known_future", "0 rows came as known_future"),
            ({"known_future": AHEAD[:2]}, "/known_future", "2 rows came as known_future; this model needs 3 rows"),
            ({"known_future": AHEAD * 2}, "/known_future", "6 rows came"),
            ({"known_future": AHEAD[:1], "horizon": 2}, "/known_future", "needs 2 to 3 rows of [price, holiday]"),
            ({"known_future": [[1.0]] * 3}, "/known_future/0", "row 0 has 1 values; expected 2"),
            ({"known_future": [[1.0, 2.0], [1.0], [1.0]]}, "/known_future/1", "row 1 has 1 values; expected 2"),
            ({"known_future": [[1.0, 2.0], [1.0, 2.0], [1e39, 1.0]]}, "/known_future/2/0", "row 2, column 0 is beyond"),
            ({"static": {"sise": 1.0}}, "/static", "did you mean 'size'?"),
            ({"static": {"zzz": 1.0}}, "/static", "it takes size, region"),
            ({"horizon": 4}, "/horizon", "this model forecasts 3 steps"),
            ({"horizon": 0}, "/horizon", "ask for at least 1"),
            ({"rows": [[1.0, 2.0]]}, "/observations/0", "row 0 has 2 values; expected 5"),
            ({"columns": ("a", "b", "rain", "price"), "rows": [[1.0] * 4]}, "/columns", "'holiday' is missing"),
        ],
    )
    def test_that_cannot_be_used_are_refused_with_a_pointer(
        self, rich: Spec, raw: dict[str, Any], pointer: str, said: str
    ) -> None:
        found, text = self.rejected(rich, **raw)
        assert found == pointer
        assert said in text

    def test_that_are_missing_ahead_are_refused_where_none_was_learned_from(self, rich: Spec) -> None:
        complete = msgspec.structs.replace(rich, missing=False)
        pointer, text = self.rejected(complete)
        assert (pointer, "trained on complete rows" in text) == ("/known_future/1/0", True)

    def test_are_refused_by_a_model_without(self, spec: Spec) -> None:
        alone = {"rows": ROWS, "last_timestamp": NOON}
        assert rejected(spec, **alone, known_future=[[1.0]])[0] == "/known_future"
        pointer, text = rejected(spec, **alone, static={"size": 1.0})
        assert (pointer, text) == ("/static", "a name in static is no static column of the model; it takes none")

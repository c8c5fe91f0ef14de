from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.bundle import Bundle
from forecasting.calendar import Calendar
from forecasting.errors import NotFinite, WindowRejected
from forecasting.prediction import (
    Caution,
    Window,
    default_levels,
    forecast,
    forecast_frame,
    predict_z,
)
from tests.bundles import HOUR, LEVELS, make_bundle, make_rich_bundle, rich_window, window
from tests.forecasting.panels import START, close, forecaster

NAN = np.nan


def test_the_window_is_stepped_through_in_z_units_and_brought_back(tiny_bundle: Bundle) -> None:
    given_window = window(missing=0.2)
    answer = forecast(tiny_bundle, given_window)
    units, network = tiny_bundle.scaler.units("north"), tiny_bundle.forecaster
    z = torch.from_numpy(units.to_z(given_window.values))
    calendar = torch.from_numpy(tiny_bundle.spec.calendar.features(given_window.times))
    state = network.initial_state(1)
    for row, features in zip(z, calendar, strict=True):
        said, state = network.step(row[None], features[None], torch.zeros(1, 3, 0), state)
    close(answer.point, units.from_z(said.point[0].numpy()))
    close(answer.median, units.from_z(said.median[0].numpy()))


def test_the_answer_names_the_times_that_follow(tiny_bundle: Bundle) -> None:
    answer = forecast(tiny_bundle, window(8))
    assert answer.instants is not None
    assert answer.instants.tolist() == [START.value + 8 * HOUR, START.value + 9 * HOUR]
    assert answer.times is not None
    assert [str(time) for time in answer.times] == ["2024-01-01 08:00:00+00:00", "2024-01-01 09:00:00+00:00"]


def test_a_model_without_a_calendar_needs_no_times() -> None:
    bundle = make_bundle(calendar=Calendar(freq="YS"))
    answer = forecast(bundle, Window(window().values, None, "north"))
    assert answer.instants is None
    assert answer.times is None
    assert np.isfinite(answer.point).all()


@given(rows=st.integers(1, 12), seed=st.integers(0, 99), missing=st.sampled_from([0.0, 0.4]))
@settings(max_examples=20, deadline=None)
def test_every_answer_is_finite_and_leaves_the_window_as_it_was(
    tiny_bundle: Bundle, rows: int, seed: int, missing: float
) -> None:
    asked = window(rows, seed, missing=missing)
    asked.values[-1, 0] = 10.0
    kept = asked.values.copy()
    answer = forecast(tiny_bundle, asked)
    low, high = answer.intervals[90]
    assert answer.point.shape == answer.median.shape == low.shape == high.shape == (2, 2)
    assert np.isfinite([answer.point, answer.median, low, high]).all()
    np.testing.assert_array_equal(asked.values, kept)


def test_calls_on_four_threads_equal_calls_one_after_another(tiny_bundle: Bundle) -> None:
    windows = [window(6 + i % 5, seed=i, missing=0.1) for i in range(24)]
    alone = [forecast(tiny_bundle, one) for one in windows]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda one: forecast(tiny_bundle, one), windows))
    assert [one.point.tobytes() for one in together] == [one.point.tobytes() for one in alone]
    assert [one.median.tobytes() for one in together] == [one.median.tobytes() for one in alone]


def test_the_newest_row_moves_the_answer(tiny_bundle: Bundle) -> None:
    first, second = window(), window()
    second.values[-1] += 1
    assert (forecast(tiny_bundle, first).point != forecast(tiny_bundle, second).point).all()


def test_an_ordinary_window_has_no_cautions(tiny_bundle: Bundle) -> None:
    assert forecast(tiny_bundle, window()).cautions == ()


def test_cautions_that_came_with_the_window_stay_in_front(tiny_bundle: Bundle) -> None:
    gap = forecast(tiny_bundle, replace(window(3), cautions=(Caution("gap", "x"),)))
    assert [code for code, _ in gap.cautions] == ["gap", "short-window"]


@pytest.mark.parametrize(
    ("change", "code", "detail"),
    [
        ({"rows": 5}, "short-window", "5 rows came; this model is trained to look back on 6"),
        (
            {"series": "west"},
            "unknown-series",
            "no such series in training; scaled by the statistics of all series together",
        ),
        (
            {"series": None},
            "unknown-series",
            "no such series in training; scaled by the statistics of all series together",
        ),
    ],
)
def test_what_a_reader_should_know_is_said(tiny_bundle: Bundle, change: dict[str, Any], code: str, detail: str) -> None:
    assert forecast(tiny_bundle, window(**change)).cautions == ((code, detail),)


def test_an_implausible_value_is_taken_as_missing_and_said(tiny_bundle: Bundle) -> None:
    wild, missing = window(), window()
    wild.values[3, 0], missing.values[3, 0] = 1048.0, NAN
    answer = forecast(tiny_bundle, wild)
    assert answer.cautions == (
        ("implausible", "1 values far outside the training range were taken as missing, first: row 3, column a"),
    )
    np.testing.assert_array_equal(answer.point, forecast(tiny_bundle, missing).point)


def test_a_column_without_a_value_is_said(tiny_bundle: Bundle) -> None:
    asked = window()
    asked.values[:, 1] = NAN
    detail = "no value of b in the window; the training mean stands in"
    assert forecast(tiny_bundle, asked).cautions == (("never-observed", detail),)


@pytest.mark.parametrize(
    ("values", "message", "pointer"),
    [
        (np.zeros((3, 1)), "a row has the 2 values a, b; came an array of shape (3, 1)", ""),
        (
            np.zeros((0, 2)),
            "the window has no observed value of a target; send at least one row with a number in it",
            "",
        ),
        (
            np.full((3, 2), NAN),
            "the window has no observed value of a target; send at least one row with a number in it",
            "",
        ),
        (
            np.array([[1, 2], [np.inf, 2]]),
            "row 1, column a is infinite; send a finite number, or null for missing",
            "/1/0",
        ),
        (
            np.array([[10, 1e14]]),
            "row 0, column b is more than 1e+09 standard deviations from what the model was trained on; check its unit",
            "",
        ),
    ],
)
def test_a_window_that_cannot_be_used_is_refused(
    tiny_bundle: Bundle, values: np.ndarray, message: str, pointer: str
) -> None:
    asked = Window(values.astype(np.float32), START.value + HOUR * np.arange(len(values)), "north")
    with pytest.raises(WindowRejected) as caught:
        forecast(tiny_bundle, asked)
    assert (str(caught.value), caught.value.pointer) == (message, pointer)


def test_a_calendar_needs_times(tiny_bundle: Bundle) -> None:
    message = r"^this model uses the calendar: give timestamps, or last_timestamp$"
    with pytest.raises(WindowRejected, match=message):
        forecast(tiny_bundle, Window(window().values, None, "north"))


@pytest.mark.parametrize("value", [NAN, np.inf])
@pytest.mark.parametrize("maker", [make_bundle, make_rich_bundle])
def test_an_answer_that_is_no_number_is_withheld_even_inside_bounds(maker: Callable[[], Bundle], value: float) -> None:
    bundle = maker()
    bundle.forecaster.linear.bias[3] = value
    asked = rich_window() if bundle.spec.columns.known else window()
    with pytest.raises(NotFinite, match=r"^the model's forecast is not finite; look at the window's values, then"):
        forecast(bundle, asked)


def test_an_answer_beyond_32_bits_is_withheld(tiny_bundle: Bundle) -> None:
    scale = msgspec.structs.replace(
        tiny_bundle.scaler.overall, std=(3e38, 3e38), lower=(None, None), upper=(None, None)
    )
    scaler = msgspec.structs.replace(tiny_bundle.scaler, series={}, overall=scale)
    network = forecaster(calendar=tiny_bundle.spec.calendar.width, lags=4, hidden=8, seed=1)
    network.linear.bias[:] = 100.0
    with pytest.raises(NotFinite):
        forecast(replace(tiny_bundle, scaler=scaler, forecaster=network), window())


def test_values_in_z_units_need_no_scale(tiny_bundle: Bundle) -> None:
    asked = window()
    said = predict_z(tiny_bundle, asked)
    answer, units = forecast(tiny_bundle, asked), tiny_bundle.scaler.units("north")
    np.testing.assert_array_equal(units.from_z(said.point), answer.point)
    np.testing.assert_array_equal(units.from_z(said.median), answer.median)
    assert (said.scale > 0).all()


class TestIntervals:
    @given(seed=st.integers(0, 999), missing=st.sampled_from([0.0, 0.4]), levels=st.permutations(LEVELS))
    @settings(max_examples=30)
    def test_hold_the_median_and_one_another(
        self, rich_bundle: Bundle, seed: int, missing: float, levels: list[int]
    ) -> None:
        asked = rich_window(seed=seed)
        asked.values[:-1][np.random.default_rng(seed).random((7, 5)) < missing] = NAN
        answer = forecast(rich_bundle, asked, levels)
        assert list(answer.intervals) == levels
        rows = [answer.intervals[level].low for level in sorted(levels, reverse=True)]
        rows += [answer.median, *(answer.intervals[level].high for level in sorted(levels))]
        assert (np.diff(rows, axis=0) >= 0).all()

    def test_are_the_calibrated_quantiles(self, tiny_bundle: Bundle) -> None:
        asked = window()
        said, units = predict_z(tiny_bundle, asked), tiny_bundle.scaler.units("north")
        assert tiny_bundle.calibration is not None
        for level, found in forecast(tiny_bundle, asked, LEVELS).intervals.items():
            for ours, theirs in zip(found, tiny_bundle.calibration.interval(level, *said[1:]), strict=True):
                close(ours, units.from_z(theirs))

    def test_are_of_90_percent_unless_asked_for(self, tiny_bundle: Bundle) -> None:
        assert list(forecast(tiny_bundle, window()).intervals) == [90]
        assert forecast(tiny_bundle, window(), []).intervals == {}
        calibration = msgspec.structs.replace(tiny_bundle.calibration, levels=(50, 80))
        assert default_levels(calibration) == (50,)

    def test_are_refused_where_the_level_was_not_calibrated(self, tiny_bundle: Bundle) -> None:
        with pytest.raises(WindowRejected, match=r"^level 85 is not calibrated; this model has 80, 90, 95$") as caught:
            forecast(tiny_bundle, window(), [80, 85])
        assert caught.value.pointer == "/levels/1"

    def test_are_not_there_without_a_calibration(self) -> None:
        bare = make_bundle(calibration=None)
        assert forecast(bare, window()).intervals == {}
        with pytest.raises(WindowRejected, match=r"^this model has no calibrated intervals; leave levels out"):
            forecast(bare, window(), [90])


class TestTransforms:
    @given(seed=st.integers(0, 999))
    def test_answers_are_possible(self, rich_bundle: Bundle, seed: int) -> None:
        answer = forecast(rich_bundle, rich_window(seed=seed), LEVELS)
        rows = [answer.point, answer.median, *(end for interval in answer.intervals.values() for end in interval)]
        a, b = np.moveaxis(np.stack(rows), -1, 0)
        assert (a >= 0).all()
        assert ((b >= 0) & (b <= 9) & (b == b.round())).all()

    def test_the_point_alone_is_moved_from_the_mean_of_logarithms_to_the_mean(self, rich_bundle: Bundle) -> None:
        asked, calibration = rich_window(), rich_bundle.calibration
        said, units = predict_z(rich_bundle, asked), rich_bundle.scaler.units("north").first(2)
        answer = forecast(rich_bundle, asked)
        assert calibration is not None
        assert (calibration.shift[:, 0] != 0).all()
        np.testing.assert_array_equal(answer.point, units.from_z(said.point, calibration.shift))
        np.testing.assert_array_equal(answer.median, units.from_z(said.median))


@pytest.mark.parametrize(
    ("series", "rows", "status"), [("north", 3, "ready"), ("west", 3, "cold"), ("west", 6, "ready"), (None, 5, "cold")]
)
def test_a_series_of_which_nothing_is_known_is_cold(
    tiny_bundle: Bundle, series: str | None, rows: int, status: str
) -> None:
    assert forecast(tiny_bundle, window(rows, series=series)).status == status


def test_a_model_of_one_series_is_never_cold() -> None:
    assert forecast(make_bundle(panel=False), window(2, series=None)).status == "ready"


@pytest.mark.parametrize("steps", [0, 3])
def test_steps_that_the_model_has_not_are_refused(tiny_bundle: Bundle, steps: int) -> None:
    with pytest.raises(WindowRejected, match=r"^this model forecasts 2 steps; ask for at least 1 and at most"):
        forecast(tiny_bundle, window(), steps=steps)


def test_a_forecast_as_a_table_has_a_row_a_step(tiny_bundle: Bundle) -> None:
    answer = forecast(tiny_bundle, window(), [80, 95])
    table = forecast_frame(answer, tiny_bundle.spec.targets, "north")
    ends = [f"{name}-{end}-{level}" for level in (80, 95) for name in "ab" for end in ("lo", "hi")]
    assert list(table.columns) == ["series", "timestamp", "step", "a", "b", "a-median", "b-median", *ends]
    assert table["step"].tolist() == [1, 2]
    np.testing.assert_array_equal(table[["a", "b"]].to_numpy(), answer.point)
    np.testing.assert_array_equal(table[["a-median", "b-median"]].to_numpy(), answer.median)
    np.testing.assert_array_equal(table[["a-lo-95", "b-lo-95"]].to_numpy(), answer.intervals[95].low)

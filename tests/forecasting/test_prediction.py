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
from forecasting.network import Forecaster
from forecasting.prediction import Caution, Window, WindowForecast, forecast, forecast_frame, predict_z
from forecasting.scaling import Scaler
from tests.forecasting.panels import START, close, forecaster

HOUR = 3_600_000_000_000
NAN = np.nan


def window(rows: int = 8, seed: int = 0, series: str | None = "north", missing: float = 0.0) -> Window:
    draw = np.random.default_rng(seed)
    values = draw.normal(size=(rows, 2)) * [2.0, 50.0] + [10.0, 1000.0]
    values[draw.random(values.shape) < missing] = NAN
    return Window(values.astype(np.float32), START.value + HOUR * np.arange(rows), series)


def with_forecaster(bundle: Bundle, network: Forecaster) -> Bundle:
    return replace(bundle, forecaster=network)


def codes(answer: WindowForecast) -> list[str]:
    return [caution.code for caution in answer.cautions]


def test_the_window_is_stepped_through_in_z_units_and_brought_back(tiny_bundle: Bundle) -> None:
    given_window = window(missing=0.2)
    answer = forecast(tiny_bundle, given_window)
    units, network = tiny_bundle.scaler.units("north"), tiny_bundle.forecaster
    z = torch.from_numpy(units.to_z(given_window.values))
    calendar = torch.from_numpy(tiny_bundle.spec.calendar.features(given_window.times))
    state = network.initial_state(1)
    for row, features in zip(z, calendar, strict=True):
        said, state = network.step(row[None], features[None], state)
    close(answer.point, units.from_z(said.point[0].numpy()))
    close(answer.median, units.from_z(said.median[0].numpy()))


def test_the_answer_names_the_times_that_follow(tiny_bundle: Bundle) -> None:
    answer = forecast(tiny_bundle, window(8))
    assert answer.instants is not None
    assert answer.instants.tolist() == [START.value + 8 * HOUR, START.value + 9 * HOUR]
    assert answer.times is not None
    assert [str(time) for time in answer.times] == ["2024-01-01 08:00:00+00:00", "2024-01-01 09:00:00+00:00"]


def test_a_model_without_a_calendar_needs_no_times(make_bundle: Callable[..., Bundle]) -> None:
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
    assert answer.point.shape == answer.median.shape == (2, 2)
    assert np.isfinite([answer.point, answer.median]).all()
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
        ("implausible", "1 values far outside the training range were taken as missing, first: row 3, a"),
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
        (np.zeros((0, 2)), "the window has no observed value; send at least one row with a number in it", ""),
        (np.full((3, 2), NAN), "the window has no observed value; send at least one row with a number in it", ""),
        (
            np.array([[1, 2], [np.inf, 2]]),
            "row 1, column a is infinite; send a finite number, or null where missing",
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
def test_an_answer_that_is_no_number_is_withheld(tiny_bundle: Bundle, value: float) -> None:
    broken = forecaster(calendar=tiny_bundle.spec.calendar.width)
    broken.heads[0].bias[0] = value
    with pytest.raises(NotFinite, match=r"^the model's forecast is not finite; look at the window's values, then"):
        forecast(with_forecaster(tiny_bundle, broken), window())


def test_an_answer_beyond_32_bits_is_withheld(tiny_bundle: Bundle) -> None:
    scale = msgspec.structs.replace(
        tiny_bundle.scaler.overall, std=(3e38, 3e38), lower=(None, None), upper=(None, None)
    )
    bundle = replace(tiny_bundle, scaler=Scaler(series={}, overall=scale), forecaster=forecaster(calendar=14, seed=1))
    bundle.forecaster.heads[0].bias[:] = 100.0
    with pytest.raises(NotFinite):
        forecast(bundle, window())


def test_values_in_z_units_need_no_scale(tiny_bundle: Bundle) -> None:
    asked = window()
    point, median = predict_z(tiny_bundle, tiny_bundle.scaler.units("north").to_z(asked.values), asked.times)
    answer, units = forecast(tiny_bundle, asked), tiny_bundle.scaler.units("north")
    np.testing.assert_array_equal(units.from_z(point), answer.point)
    np.testing.assert_array_equal(units.from_z(median), answer.median)


def test_a_forecast_as_a_table_has_a_row_a_step(tiny_bundle: Bundle) -> None:
    answer = forecast(tiny_bundle, window())
    table = forecast_frame(answer, tiny_bundle.spec.targets, "north")
    assert list(table.columns) == ["series", "timestamp", "step", "a", "b", "a-median", "b-median"]
    assert table["step"].tolist() == [1, 2]
    np.testing.assert_array_equal(table[["a", "b"]].to_numpy(), answer.point)
    np.testing.assert_array_equal(table[["a-median", "b-median"]].to_numpy(), answer.median)

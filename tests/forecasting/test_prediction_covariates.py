"""What covariates of every kind do to a forecast, and what they may not do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.bundle import Bundle
from forecasting.errors import WindowRejected
from forecasting.members import Static
from forecasting.prediction import forecast, predict_z
from tests.bundles import codes, make_rich_bundle, rich_window, window
from tests.forecasting.panels import close

NAN = np.nan


@pytest.fixture(scope="module")
def three_steps() -> Bundle:
    return make_rich_bundle(horizon=3)


def test_covariates_of_every_kind_reach_the_network_in_z_units(rich_bundle: Bundle) -> None:
    asked = rich_window()
    whole = np.concatenate([asked.values, np.column_stack([np.full((2, 3), NAN), asked.ahead])]).astype(np.float32)
    z = torch.from_numpy(rich_bundle.scaler.units("north").to_z(whole))
    calendar = torch.from_numpy(rich_bundle.spec.calendar.features(asked.times))
    coded = rich_bundle.statics.encode("north")
    static = Static(torch.from_numpy(coded.numbers)[None], torch.from_numpy(coded.codes)[None])
    state = rich_bundle.forecaster.initial_state(1, static)
    for row in range(8):
        known = z[None, row : row + 3, 3:]
        said, state = rich_bundle.forecaster.step(z[None, row, :3], calendar[None, row], known, state)
    for ours, theirs in zip(predict_z(rich_bundle, asked), said, strict=True):
        close(ours, theirs[0].numpy())


class TestKnownFuture:
    @given(step=st.integers(0, 2), column=st.integers(0, 1), seed=st.integers(0, 99), value=st.floats(-50, 50))
    @settings(max_examples=30)
    def test_of_a_step_moves_that_step_alone(
        self, three_steps: Bundle, step: int, column: int, seed: int, value: float
    ) -> None:
        asked = rich_window(seed=seed)
        ahead = np.concatenate([asked.ahead, asked.ahead[:1]])
        other = ahead.copy()
        other[step, column] += np.float32(value)
        said, moved = (predict_z(three_steps, replace(asked, ahead=one)) for one in (ahead, other))
        for ours, theirs in zip(said, moved, strict=True):
            different = (ours != theirs).any(axis=1)
            assert not np.delete(different, step).any()
            assert different[step] or abs(value) < 1

    def test_fewer_rows_are_enough_for_fewer_steps(self, rich_bundle: Bundle) -> None:
        asked = rich_window()
        whole = forecast(rich_bundle, asked)
        first = forecast(rich_bundle, replace(asked, ahead=asked.ahead[:1]), steps=1)
        np.testing.assert_array_equal(first.point, whole.point[:1])
        np.testing.assert_array_equal(first.intervals[90], np.stack(whole.intervals[90])[:, :1])
        assert first.instants.tolist() == whole.instants[:1].tolist()

    def test_is_told_where_it_is_lacking_or_not_wanted(self, tiny_bundle: Bundle, rich_bundle: Bundle) -> None:
        message = r"^nothing came as known_future; this model needs 2 rows of \[price, holiday\], one a step to come$"
        with pytest.raises(WindowRejected, match=message):
            forecast(rich_bundle, replace(rich_window(), ahead=None))
        with pytest.raises(WindowRejected, match=r"^this model has no covariates that are known in advance"):
            forecast(tiny_bundle, replace(window(), ahead=np.zeros((2, 2), np.float32)))

    def test_that_is_absurd_or_impossible_is_told_by_its_row(self, rich_bundle: Bundle) -> None:
        asked = rich_window()
        asked.ahead[1, 0] = 1e12
        with pytest.raises(WindowRejected, match=r"^known_future row 1, column price is more than 1e\+09 standard"):
            forecast(rich_bundle, asked)


class TestStatics:
    def test_of_a_known_series_need_not_be_repeated(self, rich_bundle: Bundle) -> None:
        left_out, given_again = rich_window(), rich_window(size=4.0, region="coast")
        np.testing.assert_array_equal(forecast(rich_bundle, left_out).point, forecast(rich_bundle, given_again).point)
        assert codes(forecast(rich_bundle, left_out)) == []

    def test_that_are_given_move_the_answer(self, rich_bundle: Bundle) -> None:
        points = [
            predict_z(rich_bundle, rich_window(series="west", **given_)).point
            for given_ in ({}, {"size": 9.0}, {"region": "hill"}, {"size": 9.0, "region": "hill"})
        ]
        assert len({point.tobytes() for point in points}) == 4

    @pytest.mark.parametrize(
        ("series", "static", "names"),
        [
            ("north", {"region": "moon"}, "region"),
            ("north", {"size": None}, "size"),
            ("west", {}, "size, region"),
            ("west", {"size": 3.0}, "region"),
            ("west", {"size": "wide", "region": "hill"}, "size"),
        ],
    )
    def test_that_training_never_saw_are_said(
        self, rich_bundle: Bundle, series: str, static: dict[str, Any], names: str
    ) -> None:
        found = [
            one for one in forecast(rich_bundle, rich_window(series=series, **static)).cautions if "static" in one.code
        ]
        assert found == [("unknown-static", f"no value of {names} that training saw; taken as unknown")]

    @pytest.mark.parametrize("value", [1e9, -1e308])
    def test_that_are_absurdly_far_are_held_and_said(self, rich_bundle: Bundle, value: float) -> None:
        answer = forecast(rich_bundle, rich_window(size=value))
        detail = "size is far outside the training range; taken as 1000 standard deviations"
        assert answer.cautions == (("implausible", detail),)

    def test_of_a_known_series_that_were_unknown_in_training_are_no_news(self, rich_bundle: Bundle) -> None:
        assert codes(forecast(rich_bundle, rich_window(series="south"))) == []


def test_a_past_covariate_may_be_late(rich_bundle: Bundle) -> None:
    asked = rich_window()
    asked.values[-3:, 2] = NAN
    assert codes(forecast(rich_bundle, asked)) == []

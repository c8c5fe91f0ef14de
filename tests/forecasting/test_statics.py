from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.series import Series
from forecasting.statics import FARTHEST, Statics, StaticValue, fit_statics
from tests.forecasting.panels import panel, series, walk


def fitted(*values: dict[str, StaticValue]) -> Statics:
    return fit_statics(panel(*(series(f"s{at}", walk(20), **one) for at, one in enumerate(values))))


def test_numbers_are_scaled_by_the_series_of_training_and_say_that_they_are_known() -> None:
    statics = fitted({"area": 10.0}, {"area": 30.0}, {"area": None})
    assert (statics.numbers, statics.categories) == (2, ())
    assert statics.encode("s0").numbers.tolist() == [-1.0, 1.0]
    assert statics.encode("s1").numbers.tolist() == [1.0, 1.0]
    assert statics.encode("s2").numbers.tolist() == [0.0, 0.0]
    assert statics.encode("elsewhere").numbers.tolist() == [0.0, 0.0]


def test_categories_have_codes_and_what_training_never_saw_has_the_code_0() -> None:
    statics = fitted({"region": "south"}, {"region": "north"}, {"region": None}, {"region": "south"})
    assert (statics.numbers, statics.categories) == (0, (3,))
    codes = [int(statics.encode(f"s{at}").codes[0]) for at in range(4)]
    assert codes == [2, 1, 0, 2]
    assert statics.encode(None, {"region": "east"}).codes.tolist() == [0]


def test_what_is_given_goes_before_what_training_saw() -> None:
    statics = fitted({"region": "south", "area": 10.0}, {"region": "north", "area": 30.0})
    given = statics.encode("s0", {"region": "north"})
    assert given.codes.tolist() == [1]
    assert given.numbers.tolist() == [-1.0, 1.0]


@pytest.mark.parametrize(("value", "code"), [("7", 1), (7.0, 1), (7, 1), ("07", 0), (8.0, 0), (None, 0), ("b", 2)])
def test_a_category_written_as_a_number_is_found_by_the_number(value: StaticValue, code: int) -> None:
    statics = fitted({"line": "7"}, {"line": "b"})
    assert statics.encode(None, {"line": value}).codes.tolist() == [code]


def test_a_word_where_training_had_numbers_is_unknown() -> None:
    assert fitted({"area": 1.0}, {"area": 2.0}).encode(None, {"area": "large"}).numbers.tolist() == [0.0, 0.0]


@given(st.floats())
@settings(max_examples=50, deadline=None)
def test_whatever_number_is_given_the_code_is_finite(value: float) -> None:
    numbers = fitted({"area": 1.0}, {"area": 2.0}).encode(None, {"area": value}).numbers
    assert np.isfinite(numbers).all()
    assert abs(numbers[0]) <= FARTHEST


@pytest.mark.parametrize("count", [1, 3, 1000])
def test_a_number_that_all_series_share_says_nothing(count: int) -> None:
    whole = panel(*(series(f"s{at}", np.zeros((1, 1)), area=0.1) for at in range(count)))
    assert abs(fit_statics(whole).encode("s0").numbers[0]) < 1e-9


def test_a_series_without_a_target_in_training_teaches_nothing() -> None:
    unseen = Series("late", series("x", walk(20)).index, np.full((20, 2), np.nan, np.float32), {"area": 99.0})
    unseen.values[:, 1] = 1.0
    statics = fit_statics(panel(series("a", walk(20), area=1.0), unseen, known=1))
    assert set(statics.series) == {"a"}


def test_a_panel_without_static_columns_has_none() -> None:
    statics = fitted({}, {})
    assert (statics.columns, statics.series) == ((), {})
    coded = statics.encode("s0")
    assert (coded.numbers.shape, coded.codes.shape) == ((0,), (0,))


def test_statics_survive_json() -> None:
    statics = fitted({"area": 1.5, "region": "a"}, {"area": None, "region": "b"})
    again = msgspec.json.decode(msgspec.json.encode(statics), type=Statics)
    assert again == statics
    for name in ("s0", "s1", None):
        for ours, theirs in zip(statics.encode(name), again.encode(name), strict=True):
            assert ours.tobytes() == theirs.tobytes()

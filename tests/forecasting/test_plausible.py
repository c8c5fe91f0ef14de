from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecasting.plausible import learn_limits, screen

CELLS = st.floats(width=32, allow_infinity=False)


def column(*cells: float) -> np.ndarray:
    return np.array(cells, dtype=np.float32).reshape(-1, 1)


def test_limits_lie_ten_trimmed_ranges_beyond_the_trimmed_range() -> None:
    lower, upper = learn_limits(column(*range(2001)))
    low, high, trimmed_range = 3, 1997, 1994
    assert lower.tolist() == [low - 10 * trimmed_range]
    assert upper.tolist() == [high + 10 * trimmed_range]
    assert (lower.dtype, upper.dtype) == (np.float32, np.float32)


def test_columns_have_limits_of_their_own_and_pass_over_missing_cells() -> None:
    values = np.column_stack([np.arange(100), np.arange(100) * 1000]).astype(np.float32)
    holes = np.vstack([values, np.full((50, 2), np.nan, dtype=np.float32)])
    assert np.array_equal(learn_limits(holes), learn_limits(values))
    assert learn_limits(values)[1].tolist() == [98 + 970, 98_000 + 970_000]


@pytest.mark.parametrize(
    "values",
    [column(*range(18), 1e9), column(*([5.0] * 100)), column(*([0.0] * 2000), 1.0), column(*([np.nan] * 50))],
    ids=["few", "still", "almost still", "empty"],
)
def test_rows_that_cannot_tell_set_no_limit(values: np.ndarray) -> None:
    lower, upper = learn_limits(values)
    assert lower.tolist() == [-np.inf]
    assert upper.tolist() == [np.inf]


def test_a_wild_cell_does_not_widen_the_limits_that_catch_it() -> None:
    calm = learn_limits(column(*range(100)))
    wild = column(*range(100), 1e6)
    assert np.allclose(learn_limits(wild), calm, rtol=0.05)
    assert np.isnan(screen(wild, *learn_limits(wild)))[:, 0].nonzero()[0].tolist() == [100]


def test_screening_takes_cells_outside_and_leaves_the_rest_alone() -> None:
    values = np.array([[1, 2], [30, np.nan], [-1, 40]], dtype=np.float32)
    before = values.copy()
    clean = screen(values, np.array([0, -np.inf], np.float32), np.array([10, 20], np.float32))
    assert np.array_equal(clean, np.array([[1, 2], [np.nan, np.nan], [np.nan, np.nan]]), equal_nan=True)
    assert np.array_equal(values, before, equal_nan=True)
    assert clean.dtype == np.float32


def test_screening_copies_nothing_where_all_is_inside() -> None:
    values = column(1, np.nan, 3)
    assert screen(values, np.float32([0]), np.float32([9])) is values


@given(arrays(np.float32, (40, 2), elements=CELLS))
@settings(max_examples=100, deadline=None)
def test_screened_rows_teach_the_same_limits(values: np.ndarray) -> None:
    limits = learn_limits(values)
    assert np.array_equal(learn_limits(screen(values, *limits)), limits)


@given(arrays(np.float32, (40, 1), elements=CELLS), st.floats(2**-6, 2**6, width=32).map(np.float32))
@settings(max_examples=50, deadline=None)
def test_limits_are_never_inside_out(values: np.ndarray, scale: np.float32) -> None:
    with np.errstate(over="ignore", under="ignore"):
        lower, upper = learn_limits(np.clip(values * scale, -3e38, 3e38))
    assert (lower <= upper).all()

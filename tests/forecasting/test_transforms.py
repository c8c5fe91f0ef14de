from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.columns import Columns
from forecasting.transforms import PLAIN, Bounds, Transform

EDGES = st.one_of(st.none(), st.floats(-1e9, 1e9))


def test_a_row_holds_targets_past_and_known_in_this_order_and_no_static() -> None:
    columns = Columns(("x", "y"), ("p",), ("k", "l"), ("s",))
    assert columns.row == ("x", "y", "p", "k", "l")
    assert columns.row[: columns.seen] == ("x", "y", "p")


@pytest.mark.parametrize(
    ("transform", "limits"),
    [
        (PLAIN, (None, None)),
        (Transform(log1p=True), (0.0, None)),
        (Transform(log1p=True, bounds=(-5.0, 9.0)), (0.0, 9.0)),
        (Transform(log1p=True, bounds=(2.0, None)), (2.0, None)),
        (Transform(bounds=(-1.0, None)), (-1.0, None)),
        (Transform(bounds=(-math.inf, math.inf)), (None, None)),
        (Transform(integer=True, bounds=(0.5, 9.5)), (1.0, 9.0)),
        (Transform(integer=True, log1p=True), (0.0, None)),
    ],
)
def test_the_limits_are_what_log1p_bounds_and_integer_leave(transform: Transform, limits: Bounds) -> None:
    assert transform.limits == limits


@given(st.booleans(), st.booleans(), EDGES, EDGES)
def test_limits_only_narrow_the_bounds(log1p: bool, integer: bool, low: float | None, high: float | None) -> None:
    lowest, highest = Transform(log1p=log1p, integer=integer, bounds=(low, high)).limits
    assert low is None or (lowest is not None and lowest >= low)
    assert (high is None) == (highest is None)
    assert high is None or (highest is not None and highest <= high)


def test_a_transform_survives_json() -> None:
    one = Transform(log1p=True, bounds=(None, 0.1), integer=True)
    assert msgspec.json.decode(msgspec.json.encode(one), type=Transform) == one

"""Rows as files and frames hold them: where history ends, and what is known behind it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.bundle import Spec
from forecasting.calendar import Calendar, nanoseconds
from forecasting.errors import WindowRejected
from forecasting.history import History, history_window
from tests.bundles import make_bundle, make_rich_bundle

HOUR = 3_600_000_000_000
NAN = np.nan


@pytest.fixture(scope="module")
def spec() -> Spec:
    return make_rich_bundle(horizon=3).spec


def history(rows: int, behind: int, **static: float | str | None) -> History:
    """Return rows numbered from 0, of which the last ones hold known covariates alone."""
    values = np.repeat(np.arange(rows + behind, dtype=np.float32)[:, None], 5, axis=1)
    values[rows:, :3] = NAN
    return History(values, HOUR * np.arange(rows + behind), "north", static)


@given(rows=st.integers(1, 6), behind=st.integers(3, 5), most=st.none() | st.integers(1, 9))
def test_what_is_known_behind_the_newest_row_is_of_the_next_steps(rows: int, behind: int, most: int | None) -> None:
    raw = history_window(make_rich_bundle(horizon=3).spec, history(rows, behind), most)
    kept = list(range(rows))[-(most or rows) :]
    assert np.asarray(raw.rows)[:, 0].tolist() == kept
    assert raw.timestamps == [HOUR * row for row in kept]
    assert np.asarray(raw.known_future).tolist() == [[float(rows + step)] * 2 for step in range(3)]
    assert raw.series == "north"


def test_a_past_covariate_alone_makes_a_row_history(spec: Spec) -> None:
    late = history(4, 3)
    late.values[3, :2] = NAN
    assert len(history_window(spec, late).rows) == 4


def test_static_values_that_are_not_known_are_left_to_training(spec: Spec) -> None:
    assert history_window(spec, history(4, 3, size=None, region="hill")).static == {"region": "hill"}


def test_empty_rows_at_the_end_are_no_history_of_a_model_without_covariates_either() -> None:
    rows = History(np.array([[1.0, NAN], [NAN, 2.0], [NAN, NAN]]), HOUR * np.arange(3))
    raw = history_window(make_bundle().spec, rows)
    assert (len(raw.rows), raw.known_future) == (2, None)


def test_too_few_rows_of_known_covariates_are_told_with_their_number(spec: Spec) -> None:
    message = (
        r"^2 rows of known covariates follow the last row with a target; this model needs 3, "
        r"one a step to come, with price, holiday$"
    )
    with pytest.raises(WindowRejected, match=message):
        history_window(spec, history(4, 2))


def test_known_covariates_of_other_steps_are_told(spec: Spec) -> None:
    skipping = history(4, 3)
    assert skipping.times is not None
    skipping.times[-1] += HOUR
    with pytest.raises(WindowRejected, match=r"are not those of the next steps$"):
        history_window(spec, skipping)


def test_the_next_steps_follow_the_local_calendar() -> None:
    spec = make_rich_bundle(calendar=Calendar(freq="D", timezone="Europe/Berlin")).spec
    days = pd.date_range("2024-03-29", periods=5, freq="D", tz="Europe/Berlin")  # clocks change on the 31st
    raw = history_window(spec, History(history(3, 2).values, nanoseconds(days)))
    assert np.asarray(raw.known_future)[:, 0].tolist() == [3.0, 4.0]


def test_rows_without_any_value_are_told(spec: Spec) -> None:
    with pytest.raises(WindowRejected, match=r"^no row has a value of a, b; give at least one$"):
        history_window(spec, history(0, 3))

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from forecasting.bundle import Bundle
from forecasting.calendar import Calendar
from forecasting.errors import DataError
from forecasting.evaluation import backtest, champion_mse_z
from forecasting.network import Forecaster
from forecasting.scaled import scale_panel
from forecasting.scaling import Scaler, fit_scaler
from forecasting.series import cut
from tests.forecasting.panels import HOURLY, START, architecture, forecaster, panel, scaled, series, walk

COLUMNS = ("a", "b")


def persistent(horizon: int) -> Forecaster:
    """An untrained forecaster, which is persistence."""
    return Forecaster(architecture(calendar=HOURLY.width, horizon=horizon)).eval()


def hour(row: int) -> str:
    return str((START + pd.Timedelta(hours=row)).isoformat()).replace("+00:00", "Z")


def test_every_row_of_the_test_part_is_forecast_once_by_the_next_step() -> None:
    panel = scaled(series("x", walk(100)))
    tested = backtest(persistent(1), panel, COLUMNS)
    assert tested.at == (range(79, 99),)
    assert tested.scorecard.origins == 20
    assert (tested.scorecard.start, tested.scorecard.end) == (hour(80), hour(99))
    assert tested.scorecard.model.cells == 40
    np.testing.assert_array_equal(tested.actual[0][:, 0], panel[0].z(80, 100))


@given(
    rows=st.integers(30, 60),
    late=st.integers(0, 25),
    short=st.integers(1, 40),
    horizon=st.sampled_from([1, 3]),
)
@settings(max_examples=5, deadline=None)
def test_a_counted_row_has_all_its_targets_inside_the_test_part(rows: int, late: int, short: int, horizon: int) -> None:
    panel = scaled(series("x", walk(rows)), series("y", walk(short), late=late))
    tested = backtest(persistent(horizon), panel, COLUMNS)
    for one, at, actual in zip(panel, tested.at, tested.actual, strict=True):
        assert actual.shape == (len(at), horizon, 2)
        for origin in at:
            assert one.test.start <= origin + 1
            assert origin + horizon < one.test.stop
    start, end = pd.Timestamp(tested.scorecard.start), pd.Timestamp(tested.scorecard.end)
    cut = min(one.series.index[one.test.start] for one in panel if len(one.series) > one.test.start)
    assert cut <= start <= end <= max(one.series.index[-1] for one in panel)


def test_an_untrained_forecaster_scores_like_persistence() -> None:
    panel = scaled(series("x", walk(200, missing=0.1)), series("y", walk(120, seed=1), late=80))
    card = backtest(persistent(3), panel, COLUMNS).scorecard
    theirs = card.baselines["persistence"]
    assert theirs is not None
    assert card.model.mse_z == pytest.approx(theirs.mse_z)
    assert card.model.cells == theirs.cells
    assert [step.cells for step in card.model.by_step] == [step.cells for step in theirs.by_step]


def test_series_that_start_in_the_test_part_end_before_it_or_are_empty_are_taken_as_they_are() -> None:
    parts = (
        series("whole", walk(100)),
        series("late", walk(15), late=85),
        series("gone", walk(40)),
        series("empty", walk(0), late=3),
    )
    tested = backtest(persistent(3), scaled(*parts), COLUMNS)
    assert [len(at) for at in tested.at] == [18, 12, 0, 0]
    assert [told.point.shape for told in tested.told] == [(18, 3, 2), (12, 3, 2), (0, 3, 2), (0, 3, 2)]
    assert tested.scorecard.baselines["persistence"] is not None
    assert tested.scorecard.baselines["linear"] is None
    assert tested.scorecard.reasons["linear"] == "series late has fewer than 10 training rows"


def test_a_series_that_ends_before_the_test_part_spoils_no_baseline() -> None:
    panel = scaled(series("whole", walk(200)), series("gone", walk(8)))
    assert not backtest(persistent(1), panel, COLUMNS).scorecard.reasons


def test_a_horizon_longer_than_the_test_part_is_refused() -> None:
    panel = scaled(series("x", walk(40)), split=(30, 5, 5))
    message = r"^no series has the 6 rows in the test part that a forecast needs; give more data or another split$"
    with pytest.raises(DataError, match=message):
        backtest(persistent(6), panel, COLUMNS)


def test_a_test_part_without_a_value_scores_none() -> None:
    values = walk(100)
    values[80:] = np.nan
    card = backtest(persistent(1), scaled(series("x", values)), COLUMNS).scorecard
    assert (card.origins, card.model.cells, card.model.mse_z) == (20, 0, None)


def test_the_backtest_is_the_same_twice() -> None:
    panel = scaled(series("x", walk(150, missing=0.1)))
    network = forecaster(calendar=HOURLY.width, horizon=2)
    first, second = (backtest(network, panel, COLUMNS) for _ in range(2))
    assert first.scorecard == second.scorecard
    np.testing.assert_array_equal(first.told[0].point, second.told[0].point)


@pytest.mark.parametrize("shift", [0.0, 5.0])
def test_a_champion_is_scored_in_the_z_units_of_the_backtest(tiny_bundle: Bundle, shift: float) -> None:
    """A champion scaled by other statistics says the same in other z units; an exact copy scores like the model."""
    whole, cuts = panel(series("x", walk(150))), cut(panel(series("x", walk(150))), (0.6, 0.2, 0.2))
    scaler = fit_scaler(cuts.train(whole))
    network = persistent(2)
    tested = backtest(network, scale_panel(whole, scaler, HOURLY, cuts), COLUMNS)
    moved = replace(scaler.series["x"], mean=tuple(mean + shift for mean in scaler.series["x"].mean))
    spec = replace(tiny_bundle.spec, architecture=network.architecture)
    champion = Bundle(spec, network, Scaler(series={"x": moved}, overall=moved))
    found = champion_mse_z(champion, tested, whole, cuts)
    assert found == pytest.approx(tested.scorecard.model.mse_z, rel=1e-4)


@pytest.mark.parametrize("change", [{"targets": ("a", "c")}, {"calendar": Calendar(freq="D")}])
def test_a_champion_of_another_schema_is_not_compared(tiny_bundle: Bundle, change: dict[str, Any]) -> None:
    whole, cuts = panel(series("x", walk(150))), cut(panel(series("x", walk(150))), (0.6, 0.2, 0.2))
    tested = backtest(persistent(2), scale_panel(whole, fit_scaler(cuts.train(whole)), HOURLY, cuts), COLUMNS)
    champion = Bundle(replace(tiny_bundle.spec, **change), tiny_bundle.forecaster, tiny_bundle.scaler)
    assert champion_mse_z(champion, tested, whole, cuts) is None

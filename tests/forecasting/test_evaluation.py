from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting import evaluation
from forecasting.baselines import persistence
from forecasting.errors import DataError
from forecasting.evaluation import _calibrated_baseline, backtest
from forecasting.scaled import Scales, scale_panel
from forecasting.scaling import fit_scaler
from forecasting.series import Panel, cut
from forecasting.statics import Statics
from forecasting.transforms import Transform
from tests.forecasting.panels import (
    HOURLY,
    START,
    forecaster,
    judged,
    panel,
    persistent,
    scaled,
    series,
    walk,
)

COLUMNS = ("a", "b")
SPLIT = (0.6, 0.2, 0.2)


def hour(row: int) -> str:
    return str((START + pd.Timedelta(hours=row)).isoformat()).replace("+00:00", "Z")


def test_every_row_of_the_test_part_is_forecast_once_by_the_next_step() -> None:
    panel = scaled(series("x", walk(100)))
    tested = judged(persistent(1), panel)
    assert tested.at == (range(79, 99),)
    assert tested.scorecard.origins == 20
    assert (tested.scorecard.start, tested.scorecard.end) == (hour(80), hour(99))
    assert tested.scorecard.model.cells == 40
    np.testing.assert_array_equal(tested.actual[0][:, 0], panel[0].actual(80, 100))


@given(
    rows=st.integers(30, 60),
    late=st.integers(0, 25),
    short=st.integers(1, 40),
    horizon=st.sampled_from([1, 3]),
)
@settings(max_examples=5, deadline=None)
def test_a_counted_row_has_all_its_targets_inside_the_test_part(rows: int, late: int, short: int, horizon: int) -> None:
    panel = scaled(series("x", walk(rows)), series("y", walk(short), late=late))
    tested = backtest(persistent(horizon), None, panel, COLUMNS)
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
    card = judged(persistent(3), panel).scorecard
    theirs = card.baselines["persistence"]
    assert theirs is not None
    for key in ("mse_z", "mae_z", "mae", "rmse", "mase", "mql", "coverage", "width", "width_z", "interval_score"):
        assert getattr(card.model, key) == pytest.approx(getattr(theirs, key), abs=2e-3)
    assert card.model.cells == theirs.cells
    assert [step.cells for step in card.model.by_step] == [step.cells for step in theirs.by_step]


def test_series_that_start_in_the_test_part_end_before_it_or_are_empty_are_taken_as_they_are() -> None:
    parts = (
        series("whole", walk(100)),
        series("late", walk(15), late=85),
        series("gone", walk(40)),
        series("empty", walk(0), late=3),
    )
    tested = judged(persistent(3), scaled(*parts))
    assert [len(at) for at in tested.at] == [18, 12, 0, 0]
    assert [told.point.shape for told in tested.told] == [(18, 3, 2), (12, 3, 2), (0, 3, 2), (0, 3, 2)]
    assert tested.scorecard.baselines["persistence"] is not None
    assert [answered.low.shape for answered in tested.answered] == [told.point.shape for told in tested.told]
    assert tested.scorecard.baselines["linear"] is not None
    assert tested.scorecard.reasons["linear"] == (
        "for 1 of 2 series persistence stands in: series late has fewer than 10 training rows"
    )


def test_a_series_that_ends_before_the_test_part_spoils_no_baseline() -> None:
    panel = scaled(series("whole", walk(200)), series("gone", walk(8)))
    assert not judged(persistent(1), panel).scorecard.reasons


def test_a_horizon_longer_than_the_test_part_is_refused() -> None:
    panel = scaled(series("x", walk(40)), split=(30, 5, 5))
    message = r"^no series has the 6 rows in the test part that a forecast needs; give more data or another split$"
    with pytest.raises(DataError, match=message):
        backtest(persistent(6), None, panel, COLUMNS)


def test_a_test_part_without_a_value_scores_none() -> None:
    values = walk(100)
    values[80:] = np.nan
    card = judged(persistent(1), scaled(series("x", values))).scorecard
    assert (card.origins, card.model.cells, card.model.mse_z, card.model.coverage) == (20, 0, None, None)


def test_the_backtest_is_the_same_twice() -> None:
    panel = scaled(series("x", walk(150, missing=0.1)))
    network = forecaster(calendar=HOURLY.width, horizon=2)
    first, second = (judged(network, panel) for _ in range(2))
    assert first.scorecard == second.scorecard
    np.testing.assert_array_equal(first.told[0].point, second.told[0].point)


def test_scores_are_those_of_a_loop_over_what_is_answered() -> None:
    """Bounds, whole numbers and logarithms: every score of the model, from the answers, in plain Python."""
    kinds = (Transform(log1p=True, integer=True), Transform(bounds=(-0.5, 0.5)))
    whole, cuts = counts(), cut(counts(), SPLIT)
    scales = Scales(fit_scaler(cuts.train(whole), kinds), Statics(), HOURLY)
    panel = scale_panel(whole, scales, cuts)
    network = forecaster(calendar=HOURLY.width, horizon=2)
    tested = judged(network, panel)
    cells = [
        (float(part.point[i]), float(part.median[i]), float(part.low[i]), float(part.high[i]), float(came[i]), spread)
        for part, came, one in zip(tested.answered, tested.actual, panel, strict=True)
        for i in np.ndindex(came.shape)
        if not np.isnan(came[i])
        for spread in [float(one.units.spread[i[2]])]
    ]
    model = tested.scorecard.model
    assert model.cells == len(cells)
    assert model.mse_z == pytest.approx(np.mean([((p - y) / s) ** 2 for p, _, _, _, y, s in cells]), rel=1e-4)
    assert model.mae_z == pytest.approx(np.mean([abs(m - y) / s for _, m, _, _, y, s in cells]), rel=1e-4)
    assert model.coverage == sum(low <= y <= high for _, _, low, high, y, _ in cells) / len(cells)
    assert model.width_z == pytest.approx(np.mean([(high - low) / s for _, _, low, high, _, s in cells]), rel=1e-4)
    missed = [(max(low - y, 0) + max(y - high, 0)) / s for _, _, low, high, y, s in cells]
    assert model.interval_score == pytest.approx(model.width_z + 20 * np.mean(missed), rel=1e-4)
    for part in tested.answered:
        assert all((answer[:, :, 0] == np.rint(answer[:, :, 0])).all() for answer in (part.point, part.low, part.high))
        assert all((answer[:, :, 0] >= 0).all() for answer in (part.point, part.low))
        assert all((np.abs(answer[:, :, 1]) <= 0.5).all() for answer in (part.point, part.low, part.high))


def counts() -> Panel:
    """Build two series of a count that is often 0 and a number within bounds, with holes."""
    draw = np.random.default_rng(0)
    values = np.stack([draw.poisson(draw.gamma(1.0, 4.0, size=300)), np.clip(walk(300)[:, 0], -0.5, 0.5)], axis=1)
    values[draw.random(values.shape) < 0.1] = np.nan
    return panel(series("x", values), series("y", values[80:] * [3, 1], late=80))


def test_memory_is_bounded_by_stretches_that_change_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    panel, network = scaled(series("x", walk(150, missing=0.1))), forecaster(calendar=HOURLY.width, horizon=2)
    whole = judged(network, panel).scorecard.model
    monkeypatch.setattr(evaluation, "MOST_NUMBERS", 300)
    parts = judged(network, panel).scorecard.model
    for key in ("cells", "mse_z", "mae_z", "mae", "rmse", "mql", "coverage", "width", "interval_score"):
        assert getattr(parts, key) == pytest.approx(getattr(whole, key))


def test_reliability_counts_what_each_interval_held() -> None:
    panel = scaled(series("x", walk(400, missing=0.1)), series("y", walk(200, seed=1), late=200))
    tested = judged(persistent(2), panel)
    cells, inside = tested.reliability
    assert cells.shape == (2, 2)
    assert cells.sum() == tested.scorecard.model.cells
    assert inside[90].sum() / cells.sum() == pytest.approx(tested.scorecard.model.coverage)
    assert sorted(inside) == [20, 40, 60, 80, 90]
    for level, held in inside.items():
        assert held.sum() / cells.sum() == pytest.approx(level / 100, abs=0.12)


def test_a_baseline_is_calibrated_by_its_own_errors() -> None:
    """Of a daily cycle persistence errs more than the seasonal naive forecast: wider intervals, that hold as much."""
    noise = np.random.default_rng(0).normal(size=(3000, 1))
    cycle = 6 * np.sin(np.arange(3000)[:, None] * 2 * np.pi / 24) + noise
    cards = judged(persistent(1, columns=1), scaled(series("x", cycle))).scorecard.baselines
    wide, narrow = cards["persistence"], cards["seasonal_naive"]
    assert wide is not None
    assert narrow is not None
    assert wide.width > 1.2 * narrow.width  # type: ignore[operator]
    assert wide.coverage == pytest.approx(0.9, abs=0.05)
    assert narrow.coverage == pytest.approx(0.9, abs=0.05)


def test_without_a_calibration_points_are_scored_alone() -> None:
    panel = scaled(series("x", walk(150)))
    tested = backtest(persistent(1), None, panel, COLUMNS)
    model = tested.scorecard.model
    assert (model.mql, model.coverage, model.width, model.interval_score) == (None,) * 4
    assert model.mse_z == judged(persistent(1), panel).scorecard.model.mse_z
    assert tested.reliability.inside == {}
    assert np.isnan(tested.answered[0].low).all()


def test_without_a_value_in_validation_a_baseline_has_no_interval() -> None:
    values = walk(150)
    values[90:120] = np.nan
    card = backtest(persistent(1), None, scaled(series("x", values)), COLUMNS).scorecard.baselines["persistence"]
    assert card is not None
    assert card.mse_z is not None
    assert card.coverage is None


def test_a_calibration_takes_the_newest_of_very_many_validation_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = scaled(series("x", walk(500)))
    monkeypatch.setattr(evaluation, "MOST_RESIDUALS", 2 * 2 * 30)
    calibration = _calibrated_baseline([lambda at: persistence(panel[0], at, 2)], panel, 2)
    assert calibration is not None
    assert calibration.cells == ((30, 30), (30, 30))

"""The losses of two models at the same origins: each as it would answer, in the same units, on the same cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from msgspec.structs import replace

from forecasting.bundle import FORMAT, Bundle, Spec
from forecasting.calendar import Calendar
from forecasting.columns import Columns
from forecasting.evaluation import Backtest
from forecasting.network import Forecaster
from forecasting.pairing import losses_beside, seen_by
from forecasting.scaled import Scales, scale_panel
from forecasting.scaling import Scaler, fit_scaler
from forecasting.series import Panel, Split, cut
from forecasting.statics import Statics
from forecasting.transforms import PLAIN, Transform
from tests.forecasting.panels import HOURLY, judged, panel, persistent, series, walk

SPLIT = (0.6, 0.2, 0.2)


def rival(network: Forecaster, scaler: Scaler, columns: Columns, calendar: Calendar = HOURLY) -> Bundle:
    """Build a bundle of a forecaster and its scales."""
    spec = Spec(
        format=FORMAT, name="rival", architecture=network.architecture, columns=columns, calendar=calendar, lookback=9,
        missing=True, panel=True,
    )  # fmt: skip
    return Bundle(spec, network, scaler)


def split_panel(*rows: np.ndarray) -> tuple[Panel, Split]:
    whole = panel(*(series(f"s{i}", values) for i, values in enumerate(rows)))
    return whole, cut(whole, SPLIT)


def losses(champion: Bundle, tested: Backtest, whole: Panel, cuts: Split) -> tuple[float, float]:
    found = losses_beside(champion, tested, whole, cuts)
    assert found is not None
    assert (np.diff(found.times) > 0).all()
    return float(found.ours.mean()), float(found.theirs.mean())


@pytest.mark.parametrize("shift", [0.0, 5.0])
def test_a_champion_is_scored_in_the_z_units_of_the_backtest(shift: float) -> None:
    """A champion scaled by other statistics says the same in other z units; an exact copy scores like the model."""
    whole, cuts = split_panel(walk(150))
    scaler, network = fit_scaler(cuts.train(whole)), persistent(2)
    tested = judged(network, scale_panel(whole, Scales(scaler, Statics(), HOURLY), cuts))
    moved = replace(scaler.series["s0"], mean=tuple(mean + shift for mean in scaler.series["s0"].mean))
    scaler = Scaler(series={"s0": moved}, overall=moved, transforms=scaler.transforms, ids=scaler.ids)
    found = losses(rival(network, scaler, whole.columns), tested, whole, cuts)
    assert found == pytest.approx((tested.scorecard.model.mse_z,) * 2, rel=1e-4)


def test_a_champion_answers_by_its_own_transforms() -> None:
    """What the champion moves inside its bounds is scored as it would be answered."""
    whole, cuts = split_panel(walk(150))
    tested = judged(persistent(2), scale_panel(whole, Scales(fit_scaler(cuts.train(whole)), Statics(), HOURLY), cuts))
    bounded = fit_scaler(cuts.train(whole), (Transform(bounds=(0.1, 0.2)), PLAIN))
    _, found = losses(rival(persistent(2), bounded, whole.columns), tested, whole, cuts)
    came, spread = tested.actual[0][:, :, 0], tested.panel[0].units.spread
    other = (tested.answered[0].point - tested.actual[0])[:, :, 1] / spread[1]
    least = np.maximum(0.1 - came, 0.0) + np.maximum(came - 0.2, 0.0)
    low = np.concatenate([np.square(least / spread[0]), np.square(other)]).mean()
    high = np.concatenate([np.square((least + 0.1) / spread[0]), np.square(other)]).mean()
    assert low <= found <= high


@pytest.mark.parametrize("change", [{"columns": Columns(("a", "c"))}, {"calendar": Calendar(freq="D")}])
def test_a_champion_of_another_schema_is_not_compared(change: dict[str, Any]) -> None:
    whole, cuts = split_panel(walk(150))
    scaler, network = fit_scaler(cuts.train(whole)), persistent(2)
    tested = judged(network, scale_panel(whole, Scales(scaler, Statics(), HOURLY), cuts))
    champion = rival(network, scaler, **{"columns": whole.columns} | change)
    assert losses_beside(champion, tested, whole, cuts) is None


def test_a_champion_that_knows_fewer_columns_is_compared_by_those_it_knows() -> None:
    whole, cuts = split_panel(walk(150, columns=4))
    wide = Panel(Columns(("a", "b"), ("c",), ("d",)), "h", "UTC", whole.series)
    narrow = seen_by(Columns(("a", "b")), wide)
    assert narrow is not None
    scaler = fit_scaler(cuts.train(narrow))
    tested = judged(persistent(2), scale_panel(narrow, Scales(scaler, Statics(), HOURLY), cuts))
    found = losses(rival(persistent(2), scaler, narrow.columns), tested, wide, cuts)
    assert found == pytest.approx((tested.scorecard.model.mse_z,) * 2, rel=1e-6)


def test_a_panel_has_one_loss_at_each_time_over_the_cells_that_came() -> None:
    one, two = walk(150), walk(150)
    two[140:, 1] = np.nan
    whole, cuts = split_panel(one, two)
    scaler, network = fit_scaler(cuts.train(whole)), persistent(1)
    tested = judged(network, scale_panel(whole, Scales(scaler, Statics(), HOURLY), cuts))
    found = losses_beside(rival(network, scaler, whole.columns), tested, whole, cuts)
    assert found is not None
    errors = [
        np.square((answered.point - came) / of.units.spread)[:, 0]
        for answered, came, of in zip(tested.answered, tested.actual, tested.panel, strict=True)
    ]
    np.testing.assert_allclose(found.ours, np.nanmean(np.concatenate(errors, axis=1), axis=1), rtol=1e-6)
    assert found.times.tolist() == tested.panel[0].times[tested.at[0].start : tested.at[0].stop].tolist()


def test_who_says_what_is_no_number_errs_without_end() -> None:
    whole, cuts = split_panel(walk(150))
    scaler, network, mad = fit_scaler(cuts.train(whole)), persistent(1), persistent(1)
    with torch.no_grad():
        mad.linear.bias.fill_(float("nan"))
    tested = judged(network, scale_panel(whole, Scales(scaler, Statics(), HOURLY), cuts))
    found = losses_beside(rival(mad, scaler, whole.columns), tested, whole, cuts)
    assert found is not None
    assert np.isinf(found.theirs).all()
    assert np.isfinite(found.ours).all()


class TestSeenBy:
    WHOLE = Columns(("a", "b"), ("c",), ("d",), ("kind",))

    def of(self, columns: Columns) -> Panel | None:
        return seen_by(columns, Panel(self.WHOLE, "h", "UTC", (series("x", np.arange(8.0).reshape(2, 4)),)))

    def test_takes_columns_by_name(self) -> None:
        found = self.of(Columns(("a", "b"), ("d", "c")))
        assert found is not None
        assert found.columns == Columns(("a", "b"), ("d", "c"))
        np.testing.assert_array_equal(found.series[0].values, [[0, 1, 3, 2], [4, 5, 7, 6]])

    @pytest.mark.parametrize(
        "columns",
        [
            Columns(("a",)),
            Columns(("b", "a")),
            Columns(("a", "b"), ("e",)),
            Columns(("a", "b"), ("kind",)),
            Columns(("a", "b"), (), (), ("d",)),
        ],
    )
    def test_is_none_with_other_targets_or_a_column_that_is_not_there(self, columns: Columns) -> None:
        assert self.of(columns) is None

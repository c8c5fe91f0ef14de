from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from forecasting.assembly import Prepared, prepare
from forecasting.card import Card
from forecasting.describing import Judged, write_card
from forecasting.project import Project
from forecasting.scores import FullScores, Scorecard
from tests.bundles import make_bundle
from tests.forecasting.panels import architecture, panel, project, series

ROWS = 200


def counts() -> np.ndarray:
    """Draw counts with a long tail, beside a column with many holes."""
    draw = np.random.default_rng(0)
    values = np.stack([np.floor(draw.lognormal(2.0, 1.0, ROWS)), draw.normal(size=ROWS)], axis=1)
    values[::2, 1] = np.nan
    return values


def prepared(**data: Any) -> tuple[Project, Prepared]:
    of = project(data={"units": {"a": "kW"}, **data})
    return of, prepare(panel(series("x", counts())), of)


def written(judged: Judged | None = None, **data: Any) -> Card:
    of, ready = prepared(**data)
    return write_card(of, ready.panel, ready.split, ready.scales, judged or Judged(architecture(), "none", 0.5))


def scorecard(model: float | None, **baselines: float | None) -> Scorecard:
    def scores(loss: float | None) -> FullScores:
        empty = dict.fromkeys(("mse_z", "mae_z", "mae", "rmse", "mase", "rmsse"), loss)
        return FullScores(cells=9, by_step=(), by_column={}, **empty)

    others = {name: None if loss is None else scores(loss) for name, loss in baselines.items()}
    return Scorecard(start="a", end="b", origins=9, model=scores(model), baselines=others)


@pytest.mark.parametrize("nature", ["none", "log1p"])
def test_numbers_of_a_column_are_in_the_units_of_the_data_whatever_it_is_learnt_as(nature: str) -> None:
    first, second = written(transform={"a": nature}).columns
    train = counts()[:140]
    assert (first.mean, first.std) == (pytest.approx(train[:, 0].mean()), pytest.approx(train[:, 0].std(), rel=1e-5))
    assert (first.name, first.role, first.unit, first.log1p) == ("a", "target", "kW", nature == "log1p")
    assert (first.missing, second.missing) == (0.0, 0.5)
    assert second.unit is None


def test_a_column_says_what_is_possible_and_what_was_plausible() -> None:
    first, _ = written(transform={"a": {"bounds": [0, 900], "integer": True}}).columns
    assert (first.possible, first.integer) == ((0.0, 900.0), True)
    low, high = first.plausible
    assert low == 0.0
    assert high is not None
    assert counts()[:, 0].max() < high <= 900.0


def test_the_card_says_where_the_parts_of_the_data_lie() -> None:
    data = written().data
    assert (data.series, data.rows, data.freq, data.scaling) == (1, ROWS, "h", "series")
    assert data.start < data.valid < data.test < data.end
    assert data.start == "2024-01-01T00:00:00Z"


def test_no_password_is_in_a_card() -> None:
    data = written(source="postgresql+psycopg://me:secret@db/plant", query="select 1").data
    assert "secret" not in data.source
    assert data.source.startswith("postgresql+psycopg://me")


def test_limits_name_a_baseline_that_was_not_beaten_and_a_column_that_is_mostly_missing() -> None:
    lost = Judged(architecture(), "none", 0.5, scorecard=scorecard(0.5, persistence=0.4, linear=0.6, var=None))
    assert written(lost).limits[:2] == (
        "b: 50% of the training cells were missing",
        "on test rows it did not beat persistence",
    )
    unseen = Judged(architecture(), "none", 0.5, scorecard=scorecard(None, persistence=None))
    assert not any("did not beat" in limit for limit in written(unseen).limits)


def test_limits_say_where_too_few_rows_stand_behind_an_interval() -> None:
    calibration = make_bundle().calibration
    assert calibration is not None
    judged = Judged(architecture(), "none", 0.5, calibration)
    assert not any("too few validation rows" in limit for limit in written(judged).limits)
    few = replace(judged, calibration=replace_cells(calibration, 12))
    said = [limit for limit in written(few).limits if "too few validation rows" in limit]
    assert [limit[:16] for limit in said] == ["the 90 % interva", "the 95 % interva"]


def replace_cells(calibration: Any, cells: int) -> Any:
    """Return a calibration as if it had seen so many residuals of each step and column."""
    return msgspec.structs.replace(calibration, cells=tuple((cells,) * len(row) for row in calibration.cells))

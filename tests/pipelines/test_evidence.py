"""What people are shown of a backtest: the card of a run, and the table in the terminal."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from forecasting.evaluation import backtest
from forecasting.network import Forecaster
from forecasting.scores import FullScores, Scorecard
from pipelines.display import show_scorecard
from pipelines.evidence import card_of, trace_of
from tests.forecasting.panels import HOURLY, architecture, calibrated, scaled, series, walk


def scores(loss: float, **others: Any) -> FullScores:
    empty = dict.fromkeys(("mse_z", "mae_z", "mae", "rmse", "mase", "rmsse"), loss)
    return FullScores(cells=9, by_step=(), by_column={}, **empty | others)


def card(**baselines: FullScores | None) -> Scorecard:
    model = scores(0.5, mql=0.1, coverage=0.93, width=1234.5678)
    reasons = {name: "steps of YS have no season" for name, found in baselines.items() if found is None}
    when = {"start": "2024-01-01T00:00:00Z", "end": "2024-02-01T00:00:00Z", "origins": 1234}
    return Scorecard(**when, model=model, baselines=baselines, reasons=reasons)


def printed(shown: Scorecard, *, styled: bool = False) -> str:
    """Print into a terminal of 80 columns."""
    system = "standard" if styled else None
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=system)  # type: ignore[arg-type]
    show_scorecard(shown, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


BOLD = "\x1b[1m"
NAIVE = scores(0.7, mql=0.2, coverage=0.91, width=3.0)


def test_the_table_has_room_for_every_score_in_a_terminal_of_eighty_columns() -> None:
    lines = printed(card(persistence=NAIVE, seasonal_naive=None)).splitlines()
    head = next(line for line in lines if "mse_z" in line)
    assert head.split() == ["mse_z", "mae_z", "mae", "rmse", "mase", "mql", "coverage", "width"]
    model = next(line for line in lines if line.startswith("model"))
    assert model.split() == ["model", *["0.5000"] * 5, "0.1000", "0.9300", "1234.57"]
    assert "  seasonal_naive does not apply: steps of YS have no season" in "\n".join(lines)


def test_the_best_coverage_is_the_one_nearest_to_what_was_promised() -> None:
    lines = printed(card(persistence=NAIVE), styled=True).splitlines()
    model, naive = (next(line for line in lines if name in line) for name in ("model", "persistence"))
    assert f"{BOLD}0.5000" in model
    assert f"{BOLD}0.9100" in naive
    assert f"{BOLD}0.9300" not in model
    assert f"{BOLD}3.0000" not in naive


def test_the_table_says_for_which_series_persistence_stands_in() -> None:
    shown = card(linear=NAIVE)
    shown.reasons["linear"] = "for 2 of 40 series persistence stands in: too few"
    assert "  linear: for 2 of 40 series persistence stands in: too few" in printed(shown)


def test_the_card_of_a_run_is_a_table_of_those_that_apply_with_the_reasons_of_the_others() -> None:
    written = card_of(card(persistence=NAIVE, seasonal_naive=None)).splitlines()
    assert written[2] == "| | mse_z | mae_z | mae | rmse | mase | mql | coverage | width |"
    assert written[4].startswith("| **model** | 0.5000 |")
    assert written[5].endswith("| 0.2000 | 0.9100 | 3.0000 |")
    assert written[-1] == "seasonal_naive: steps of YS have no season"


@pytest.mark.parametrize("horizon", [1, 3])
def test_a_trace_lays_next_step_answers_beside_what_came(horizon: int) -> None:
    panel = scaled(series("x", walk(200, missing=0.1)))
    network = Forecaster(architecture(calendar=HOURLY.width, horizon=horizon)).eval()
    trace = trace_of(backtest(network, calibrated(network, panel, [90]), panel, ("a", "b")), 0)
    values = panel[0].series.values[panel[0].series.index.isin(trace.times)]
    np.testing.assert_array_equal(trace.actual, values)
    assert (trace.low <= trace.median).all()
    assert (trace.median <= trace.high).all()
    assert len(trace.times) == 41 - horizon

"""Pictures are drawn from plain numbers, in any thread, and say what they show."""

from __future__ import annotations

import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.figure import Figure

from forecasting.pictures import (
    Trace,
    autocorrelation,
    calibration_figure,
    curves_figure,
    error_by_step_figure,
    forecast_figure,
    residual_figure,
)
from forecasting.scores import FullScores, Scorecard, Scores, StepScores

COLUMNS = ("temp", "humid")
UNITS = {"temp": "degF"}


def png(figure: Figure) -> bytes:
    """Draw for real: layout and fonts fail here or nowhere."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def trace(rows: int = 300, columns: int = 2) -> Trace:
    values = np.random.default_rng(0).normal(size=(rows, columns)).cumsum(axis=0)
    values[100:120, 0] = np.nan
    times = pd.date_range("2024-01-01", periods=rows, freq="h", tz="Europe/Berlin")
    return Trace(times, values, values + 0.1, values + 0.2, values - 1, values + 1)


def scores(error: float | None) -> dict[str, float | int | None]:
    return {"cells": 9, "mse_z": error, "mae_z": error, "mae": error, "rmse": error, "mase": None, "rmsse": None}


def full(error: float | None, horizon: int) -> FullScores:
    steps = tuple(StepScores(step=step + 1, **scores(error)) for step in range(horizon))
    return FullScores(**scores(error), by_step=steps, by_column={name: Scores(**scores(error)) for name in COLUMNS})


def scorecard(horizon: int) -> Scorecard:
    return Scorecard(
        start="2024-01-01T00:00:00Z",
        end="2024-02-01T00:00:00Z",
        origins=1234,
        model=full(0.2, horizon),
        baselines={"persistence": full(0.3, horizon), "seasonal_naive": full(None, horizon), "var": None},
        reasons={"var": "too wide"},
    )


def legend_of(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


class TestForecastFigure:
    def test_shows_each_column_with_its_unit_and_a_legend_outside(self) -> None:
        figure = forecast_figure(trace(), COLUMNS, UNITS, "tiny: next step")
        assert [panel.get_ylabel() for panel in figure.axes] == ["temp\n(degF)", "humid"]
        assert legend_of(figure) == ["90 % interval", "actual", "point forecast", "median forecast"]
        assert figure.get_suptitle() == "tiny: next step"
        assert png(figure).startswith(b"\x89PNG")

    def test_shows_the_newest_rows_with_holes_as_holes_in_utc(self) -> None:
        figure = forecast_figure(trace(), COLUMNS, UNITS, "", newest=250)
        actual = figure.axes[0].lines[0]
        assert np.isnan(np.asarray(actual.get_ydata(), dtype=float)).sum() == 20
        assert len(actual.get_xdata()) == 250
        assert actual.get_xdata()[-1] == np.datetime64("2024-01-13T10:00")

    def test_has_no_band_where_nothing_was_calibrated(self) -> None:
        none = np.full((300, 2), np.nan)
        figure = forecast_figure(trace()._replace(low=none, high=none), COLUMNS, UNITS, "")
        assert legend_of(figure) == ["actual", "point forecast", "median forecast"]
        assert png(figure)

    def test_says_how_many_of_many_columns_it_shows(self) -> None:
        names = tuple(f"c{place}" for place in range(40))
        figure = forecast_figure(trace(columns=40), names, {}, "wide")
        assert len(figure.axes) == 12
        assert figure.get_suptitle() == "wide (12 of 40 columns)"


class TestErrorByStepFigure:
    def test_of_one_step_compares_the_columns(self) -> None:
        figure = error_by_step_figure(scorecard(horizon=1))
        assert len(figure.axes) == 2
        assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == list(COLUMNS)
        assert png(figure)

    def test_of_several_steps_also_draws_them(self) -> None:
        figure = error_by_step_figure(scorecard(horizon=4))
        assert len(figure.axes) == 4
        assert list(figure.axes[0].lines[0].get_xdata()) == [1, 2, 3, 4]
        assert list(figure.axes[0].lines[0].get_ydata()) == pytest.approx([0.2**0.5] * 4)
        assert png(figure)

    def test_leaves_out_a_baseline_that_does_not_apply(self) -> None:
        assert legend_of(error_by_step_figure(scorecard(1))) == ["model", "persistence", "seasonal naive"]


class TestCalibrationFigure:
    def test_draws_nominal_against_observed_by_column_and_the_scored_level_by_step(self) -> None:
        cells = np.full((3, 2), 200)
        inside = {90: np.array([[180, 190]] * 3), 50: np.array([[100, 60]] * 3)}
        figure = calibration_figure(cells, inside, COLUMNS)
        promised, first, second = figure.axes[0].lines
        assert legend_of(figure) == ["as promised", *COLUMNS]
        assert list(promised.get_xdata()) == list(promised.get_ydata())
        assert list(first.get_xdata()) == [50, 90]
        assert list(first.get_ydata()) == [50, 90]
        assert list(second.get_ydata()) == [30, 95]
        assert list(figure.axes[1].lines[1].get_ydata()) == [95] * 3
        assert png(figure)

    def test_leaves_a_hole_where_nothing_was_observed(self) -> None:
        cells = np.array([[10, 0], [0, 0]])
        figure = calibration_figure(cells, {90: cells}, COLUMNS)
        assert np.isnan(figure.axes[0].lines[2].get_ydata()).all()
        assert np.isnan(figure.axes[1].lines[0].get_ydata()).tolist() == [False, True]
        assert png(figure)

    def test_says_how_many_of_many_columns_it_shows(self) -> None:
        cells = np.full((1, 40), 10)
        figure = calibration_figure(cells, {90: cells}, tuple(f"c{place}" for place in range(40)))
        assert figure.get_suptitle() == "Intervals in the backtest (12 of 40 columns)"
        assert len(legend_of(figure)) == 13


class TestResidualFigure:
    def test_has_spread_and_autocorrelation_of_each_column(self) -> None:
        residuals = np.random.default_rng(0).normal(size=(500, 2))
        residuals[3, 0] = 1e6
        figure = residual_figure(residuals, COLUMNS, UNITS)
        assert len(figure.axes) == 4
        assert figure.axes[0].get_xlim()[1] < 10
        assert png(figure)

    @pytest.mark.parametrize("value", [np.nan, 0.0])
    def test_draws_a_column_without_errors_too(self, value: float) -> None:
        assert png(residual_figure(np.full((50, 2), value), COLUMNS, UNITS))


class TestCurvesFigure:
    def test_marks_the_step_that_was_kept(self) -> None:
        curves = [{"step": step, "train_loss": 1 / (step + 1)} for step in range(5)]
        curves[2]["valid_mse_z"] = 0.3
        figure = curves_figure(curves, best=2)
        assert [panel.get_ylabel() for panel in figure.axes] == ["train_loss", "valid_mse_z"]
        assert legend_of(figure) == ["kept: step 2"]
        assert list(figure.axes[1].lines[0].get_xdata()) == [2]
        assert png(figure)


class TestAutocorrelation:
    def test_finds_the_period(self) -> None:
        found = autocorrelation(np.sin(np.arange(480) * 2 * np.pi / 24), 30)
        assert found[23] == pytest.approx(1, abs=1e-6)
        assert found[11] == pytest.approx(-1, abs=1e-6)

    @settings(max_examples=50, deadline=None)
    @given(arrays(np.float64, st.integers(0, 40), elements=st.floats(-1e3, 1e3) | st.just(np.nan)))
    def test_takes_any_holes(self, values: np.ndarray) -> None:
        assert autocorrelation(values, 10).shape == (10,)


def test_threads_draw_the_same_picture() -> None:
    alone = png(residual_figure(trace().actual, COLUMNS, UNITS))
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda _: png(residual_figure(trace().actual, COLUMNS, UNITS)), range(4)))
    assert together == [alone] * 4


def test_pyplot_and_its_global_state_are_not_touched() -> None:
    code = "import forecasting.pictures, sys; sys.exit('matplotlib.pyplot' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

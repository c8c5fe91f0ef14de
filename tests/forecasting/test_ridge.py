from __future__ import annotations

import numpy as np
import pytest
import torch

from forecasting import ridge
from forecasting.network import fill_alone
from forecasting.ridge import Candidate, LinearFit, fit_linear
from forecasting.scaled import ScaledSeries, origins, targets
from tests.forecasting.panels import HOURLY, NO_CALENDAR, plain, walk


def simulated(matrix: np.ndarray, rows: int = 3000, noise: float = 0.1) -> np.ndarray:
    draw, z = np.random.default_rng(3), np.zeros((rows, len(matrix)))
    for row in range(1, rows):
        z[row] = matrix @ z[row - 1] + noise * draw.normal(size=len(matrix))
    return z


def said_by(fit: LinearFit, one: ScaledSeries, at: range) -> np.ndarray:
    filled = fill_alone(torch.from_numpy(one.z(0, at.stop)), fit.road.lags)
    added = fit.road(filled.changes, filled.level, torch.from_numpy(one.features(0, at.stop))[None])
    return (filled.level[0, :, None] + added[0]).numpy()[at.start :]


def valid_mse(fit: LinearFit, one: ScaledSeries, horizon: int) -> float:
    at = origins(one.valid, horizon)
    return float(np.nanmean((said_by(fit, one, at) - targets(one, at, horizon)) ** 2))


def test_an_autoregression_is_recovered() -> None:
    one = plain(simulated(np.array([[0.8]])), 2000, 2500)
    fit = fit_linear([one], horizon=3)
    at = range(1990, 1999)
    wanted = one.z(1990, 1999)[:, None] * (0.8 ** np.arange(1, 4))[:, None]
    assert np.abs(said_by(fit, one, at) - wanted).max() < 0.02


def test_a_column_that_drives_another_is_found() -> None:
    matrix = np.array([[0.5, 0.8], [0.0, 0.5]])
    one = plain(simulated(matrix), 2000, 2500)
    fit = fit_linear([one], horizon=1)
    wanted = one.z(1990, 1999) @ matrix.T
    assert np.abs(said_by(fit, one, range(1990, 1999))[:, 0] - wanted).max() < 0.03
    assert min(fit.tried, key=lambda choice: choice.valid_mse_z).candidate.others > 0


@pytest.mark.parametrize("missing", [0.0, 0.2])
@pytest.mark.parametrize("horizon", [1, 3])
def test_the_road_is_the_one_of_least_error_on_validation_rows(horizon: int, missing: float) -> None:
    one = plain(walk(500, missing=missing), 350, 450, HOURLY)
    fit = fit_linear([one], horizon)
    best = min(fit.tried, key=lambda choice: choice.valid_mse_z)
    assert fit.road.lags == best.candidate.lags
    assert valid_mse(fit, one, horizon) == pytest.approx(best.valid_mse_z, rel=1e-4)


def test_every_candidate_is_tried_alone_with_others_and_with_their_levels() -> None:
    one = plain(walk(1200), 900, 1000, HOURLY)
    tried = [choice.candidate for choice in fit_linear([one], 1).tried]
    assert tried == [
        Candidate(lags, others, levels)
        for lags in (3, 24, 96)
        for others, levels in ((0, False), (3, False), (3, True))
    ]


def test_one_short_series_does_not_shorten_the_lags_of_a_panel() -> None:
    panel = [plain(walk(1200), 900, 1000, HOURLY), plain(walk(12), 8, 10, HOURLY)]
    assert max(choice.candidate.lags for choice in fit_linear(panel, 1).tried) == 96


def test_lags_whose_equations_would_not_fit_into_memory_are_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ridge, "MOST_MOMENTS", 50**2)
    tried = fit_linear([plain(walk(1200), 900, 1000, HOURLY)], 1).tried
    assert {choice.candidate.lags for choice in tried} == {3, 24}


def test_missing_targets_are_left_out_and_not_read_as_zero() -> None:
    z = simulated(np.array([[0.8]])) + 5.0
    z[np.random.default_rng(0).random(z.shape) < 0.3] = np.nan
    one = plain(z, 2000, 2500)
    assert valid_mse(fit_linear([one], 2), one, 2) < 0.06


def test_what_comes_after_training_moves_no_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ridge, "STRENGTHS", (1e-2,))  # one candidate of one strength: validation has nothing to choose
    first, second = walk(39, columns=1), walk(39, columns=1)
    second[30:] *= 5
    roads = [fit_linear([plain(z, 30, 35)], 2).road for z in (first, second)]
    for ours, theirs in zip(*(road.buffers() for road in roads), strict=True):
        assert torch.equal(ours, theirs)


def test_a_series_shorter_than_the_horizon_gives_persistence() -> None:
    fit = fit_linear([plain(walk(30), 10, 25)], horizon=12)
    assert not any(buffer.any() for buffer in fit.road.buffers())


def test_a_series_that_starts_after_validation_takes_no_part() -> None:
    whole = plain(walk(400), 300, 350)
    late = plain(walk(60), 0, 0)
    together, alone = fit_linear([whole, late], 1), fit_linear([whole], 1)
    for ours, theirs in zip(together.road.buffers(), alone.road.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_constant_column_and_one_never_seen_get_finite_weights() -> None:
    z = walk(400, columns=3)
    z[:, 1], z[:, 2] = 0.0, np.nan
    fit = fit_linear([plain(z, 300, 350, NO_CALENDAR)], 2)
    assert all(buffer.isfinite().all() for buffer in fit.road.buffers())

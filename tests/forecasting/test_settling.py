from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from forecasting import settling
from forecasting.members import Member
from forecasting.network import Forecaster, Rows
from forecasting.scaled import ScaledSeries, origins, static_of, targets
from forecasting.settling import MOST_HISTORY, MOST_ROWS, _jobs, _stride, measure_streaming
from forecasting.steadiness import LONGEST, Streaming
from forecasting.streaming import Job, stream
from tests.forecasting.panels import CELLS, HOURLY, architecture, close, forecaster, plain, scaled, series, walk

COVARIATES = {"calendar": HOURLY.width, "past": 1, "known": 2}


def covered(rows: int, valid: int, seed: int = 0) -> ScaledSeries:
    """Build a series with covariates of both kinds and holes, ten rows of test behind its validation rows."""
    return plain(walk(rows, columns=5, seed=seed, missing=0.1), valid, rows - 10, HOURLY, past=1, known=2)


def quick(rows: int, valid: int, test: int, seed: int = 0) -> ScaledSeries:
    """Build a long series of noise in little time."""
    return plain(np.random.default_rng(seed).normal(size=(rows, 2)), valid, test)


def learnt(**changes: Any) -> Forecaster:
    """Build a forecaster whose cells are as torch draws them, with heads that say something."""
    network = Forecaster(architecture(**changes))
    for member in network.members:
        assert isinstance(member, Member)
        nn.init.normal_(member.head.weight, std=0.3)
    return network.eval().requires_grad_(False)


def hoarder(gain: float) -> Forecaster:
    """Build an lstm of 1997: it keeps all it ever wrote and writes about as much at every row; the head reads it."""
    network = learnt(hidden=1, members=1, horizon=1)
    (member,) = network.members
    assert isinstance(member, Member)
    cell, write, keep, content, read = member.cell.rnn, -5.0, 30.0, gain, 30.0
    for name, weight in cell.named_parameters():
        weight.zero_()
        if name == "bias_ih_l0":
            weight.copy_(torch.tensor([write, keep, content, read]))
    member.head.weight.zero_()
    member.head.weight[0] = 3.0
    return network


def counted(network: Forecaster, panel: Sequence[ScaledSeries], window: int) -> tuple[Streaming, int]:
    """Measure, and count the rows that the first member was unrolled over."""
    rows = []

    def count(_: nn.Module, given: tuple[object, ...]) -> None:
        level = given[0].filled.level  # type: ignore[attr-defined]
        rows.append(level.shape[0] * level.shape[1])

    with network.members[0].register_forward_pre_hook(count):
        found = measure_streaming(network, panel, window)
    return found, sum(rows)


def fresh_point(network: Forecaster, one: ScaledSeries, row: int, window: int) -> torch.Tensor:
    """Forecast from a window whose last row is given, as a client would send it."""
    low, horizon = max(row - window + 1, 0), network.architecture.horizon
    parts = (one.z(low, row + 1), one.features(low, row + 1), one.known(low, row + 1 + horizon))
    rows = Rows(*(torch.from_numpy(part)[None] for part in parts))
    return network.forecast_last(rows, network.initial_state(1, static_of([one])))[0].point[0]


@pytest.mark.parametrize("channels", ["joint", "independent"])
@pytest.mark.parametrize("cell", CELLS)
def test_the_ratio_is_of_what_is_streamed_and_what_windows_say(cell: str, channels: str) -> None:
    panel = [covered(150, 100), covered(110, 60, seed=1)]
    network = forecaster(cell=cell, channels=channels, **COVARIATES)
    found = measure_streaming(network, panel, 9)
    at = [origins(one.valid, 2) for one in panel]
    told = stream(network, [Job(one, rows) for one, rows in zip(panel, at, strict=True)])
    came = np.concatenate([targets(one, rows, 2) for one, rows in zip(panel, at, strict=True)])
    windows = np.stack([fresh_point(network, one, i, 9) for one, rows in zip(panel, at, strict=True) for i in rows])
    carried = np.nanmean(np.square(np.concatenate([said.point for said in told]) - came))
    assert found.origins == sum(map(len, at))
    assert found.ratio == pytest.approx(carried / np.nanmean(np.square(windows - came)), rel=1e-4)


def test_the_curve_is_how_far_short_histories_are_from_the_carried_state() -> None:
    (one,) = panel = [covered(150, 100)]
    network = forecaster(**COVARIATES)
    found, at = measure_streaming(network, panel, 9), origins(one.valid, 2)
    (said,) = stream(network, [Job(one, at)])
    rows = [row for row in at if row + 1 >= 2 * 48]  # the longest history tried is 48, of half of 119 rows
    long = said.point[np.array(rows) - at.start]
    level = np.stack([_last_seen(one, row) for row in rows])[:, None]
    for length, error in found.curve:
        short = np.stack([fresh_point(network, one, row, length) for row in rows])
        wanted = np.sqrt(np.square(short - long).mean() / np.square(long - level).mean())
        assert error == pytest.approx(wanted, rel=1e-3, abs=2e-6)


def _last_seen(one: ScaledSeries, row: int) -> np.ndarray:
    z = one.target_z(0, row + 1)
    return np.array([column[~np.isnan(column)][-1] for column in z.T])


def test_it_has_settled_where_more_history_moves_it_by_less_than_a_hundredth_from_then_on() -> None:
    found = measure_streaming(learnt(hidden=16, lags=1), [plain(walk(900), 500, 800)], 48)
    errors = dict(found.curve)
    assert found.settling is not None
    assert max(error for rows, error in errors.items() if rows >= found.settling) <= 0.01
    assert 0.01 < errors[max(rows for rows in errors if rows < found.settling)] < 0.1
    assert max(errors) >= 2 * found.settling


def test_a_series_too_young_to_tell_a_long_history_from_its_own_is_left_out_of_the_curve() -> None:
    old, young = quick(480, 400, 460), quick(300, 265, 295)
    network = hoarder(gain=0.05)
    both, alone = (measure_streaming(network, panel, 20).curve for panel in ([old, young], [old]))
    assert both[-1][0] > 295 / 2
    close(torch.tensor(both), torch.tensor(alone))


def test_what_only_knows_its_last_row_settles_at_once() -> None:
    network = Forecaster(architecture(lags=1)).eval()
    network.linear.level.normal_()
    found = measure_streaming(network, [quick(600, 400, 500)], 5)
    assert (found.settling, found.ratio, found.safe) == (1, 1.0, True)


def test_a_linear_road_alone_settles_with_its_lags() -> None:
    network = Forecaster(architecture(lags=21)).eval()
    network.linear.changes.normal_()
    found = measure_streaming(network, [quick(600, 400, 500)], 5)
    assert found.settling == 22  # a change is between two rows


def test_a_forecaster_that_says_the_last_value_settles_at_once() -> None:
    found = measure_streaming(Forecaster(architecture()).eval(), [quick(600, 400, 500)], 5)
    assert (found.settling, found.ratio) == (1, 1.0)


@pytest.mark.parametrize("cell", CELLS)
def test_cells_as_they_are_drawn_forget_and_are_safe(cell: str) -> None:
    found = measure_streaming(
        learnt(cell=cell, hidden=16, calendar=HOURLY.width), [plain(walk(900), 500, 800, HOURLY)], 48
    )
    assert found.safe
    assert found.settling is not None
    assert found.settling <= 48
    assert found.ratio == pytest.approx(1, abs=0.01)


def test_a_memory_that_only_grows_is_not_safe() -> None:
    found = measure_streaming(hoarder(gain=0.05), [quick(6000, 5000, 5900)], 20)
    assert found.settling is None
    assert found.curve[-1][0] == LONGEST
    assert found.ratio is not None
    assert found.ratio > 1.2
    assert not found.safe
    assert (found.resync_rows, found.resync_every) == (20, 20)


def test_a_network_that_says_no_numbers_is_not_safe() -> None:
    network = learnt()
    (member, _) = network.members
    assert isinstance(member, Member)
    member.head.bias[0] = torch.nan
    found = measure_streaming(network, [quick(300, 200, 280)], 10)
    assert (found.ratio, found.settling, found.safe) == (settling.WORST, None, False)


@pytest.mark.parametrize("rows", [100_000, 400_000])
def test_a_long_series_costs_no_more_than_is_said(rows: int) -> None:
    _, unrolled = counted(learnt(members=1), [quick(rows, rows // 2, rows - 10)], 50)
    assert unrolled <= MOST_HISTORY + MOST_ROWS + settling.CURVE_ORIGINS * sum(settling.LENGTHS)


def test_many_series_cost_no_more_than_is_said_and_show_a_memory_without_end() -> None:
    panel = [quick(6000, 4000, 5000, seed) for seed in range(30)]
    found, unrolled = counted(hoarder(gain=0.05), panel, 50)
    assert unrolled <= 2 * MOST_ROWS + settling.CURVE_ORIGINS * sum(settling.LENGTHS)
    assert found.curve[-1][0] == LONGEST
    assert not found.safe


def test_rows_behind_the_validation_part_are_not_looked_at() -> None:
    network, one = learnt(), quick(900, 500, 700)
    one.series.values[700:] = 1e6
    assert measure_streaming(network, [one], 10) == measure_streaming(network, [quick(900, 500, 700)], 10)


def test_a_series_shorter_than_a_window_tells_nothing_and_forbids_nothing() -> None:
    found = measure_streaming(learnt(), [quick(60, 40, 55)], 100)
    assert (found.origins, found.ratio, found.safe) == (0, None, True)


def test_without_a_validation_row_nothing_is_known() -> None:
    found = measure_streaming(learnt(), [quick(60, 50, 50)], 5)
    assert (found.origins, found.carried, found.ratio, found.settling, found.curve) == (0, 0, None, None, ())


def test_without_an_observed_cell_the_ratio_is_unknown_and_the_settling_is_known() -> None:
    one = quick(900, 500, 700)
    one.series.values[500:] = np.nan
    found = measure_streaming(learnt(), [one], 10)
    assert (found.ratio, found.safe) == (None, True)


def test_series_that_start_late_are_measured_as_they_are() -> None:
    panel = scaled(series("x", walk(700, missing=0.05)), series("y", walk(300, seed=1), late=400))
    network = learnt(calendar=HOURLY.width, hidden=16)
    both = measure_streaming(network, panel, 24)
    assert both.carried > 500
    assert both.safe
    assert both.origins > measure_streaming(network, panel[:1], 24).origins


def test_origins_are_at_every_hour_of_the_day() -> None:
    one = plain(np.random.default_rng(0).normal(size=(40_000, 2)), 20_000, 39_000, HOURLY)
    (job,) = _jobs([one], 2)
    stride = _stride([job], 50, 4)
    assert stride > 1
    assert {row % 24 for row in range(job.at.start, job.at.stop, stride)} == set(range(24))


@pytest.mark.parametrize("numbers", [300, 2000, 50_000])
def test_the_size_of_the_chunks_does_not_matter(monkeypatch: pytest.MonkeyPatch, numbers: int) -> None:
    panel = [covered(150, 100), covered(110, 60, seed=1)]
    network = forecaster(**COVARIATES)
    whole = measure_streaming(network, panel, 9)
    monkeypatch.setattr(settling, "MOST_NUMBERS", numbers)
    cut = measure_streaming(network, panel, 9)
    close(torch.tensor(cut.curve), torch.tensor(whole.curve))
    assert cut.ratio == pytest.approx(whole.ratio, rel=1e-4)


def test_measuring_changes_nothing() -> None:
    network = learnt().train()
    before = [weight.clone() for weight in network.state_dict().values()]
    measure_streaming(network.eval(), [quick(300, 200, 280)], 10)
    assert all(map(torch.equal, before, network.state_dict().values()))

"""Explanations: shares of rows that add up to the forecast, and are what the equations say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from forecasting.cells import FUSED, SYSTEMS, FusedCell
from forecasting.engines import Inputs
from forecasting.memory.explaining import Explainer
from forecasting.memory.shares import Sharer, Shares
from forecasting.memory.told import teller_for
from forecasting.network import Forecaster, Rows
from tests.forecasting.explicit import written_out
from tests.forecasting.panels import close, forecaster

GATED = ("lstm", "gru")


def inputs(network: Forecaster, time: int = 30, seed: int = 0) -> Inputs:
    a, draw = network.architecture, np.random.default_rng(seed)
    widths = ((time, a.seen), (time, a.calendar), (time + a.horizon, a.known))
    return Inputs(*(draw.normal(size=(1, *shape)).astype(np.float32) for shape in widths))


def shared(network: Forecaster, given: Inputs) -> Shares:
    return Sharer(network).share(teller_for(network).tell(given))


def rows_of(given: Inputs) -> Rows:
    return Rows(*(torch.from_numpy(part) for part in given[:3]))


def point(network: Forecaster, given: Inputs) -> np.ndarray:
    said, _ = network.forecast_last(rows_of(given), network.initial_state(1))
    return said.point[0].numpy()


def total(shares: Shares) -> np.ndarray:
    recurrent = 0 if shares.recurrent is None else shares.recurrent.sum(axis=0)
    return shares.last + shares.linear.sum(axis=(0, 1)) + recurrent + shares.rest


WIDE: dict[str, Any] = {"past": 1, "known": 2, "calendar": 3, "horizon": 3, "members": 2, "layers": 2}


@pytest.mark.parametrize("cell", SYSTEMS)
@pytest.mark.parametrize("channels", ["joint", "independent"])
def test_the_shares_add_up_to_the_point(cell: str, channels: str) -> None:
    network = forecaster(cell=cell, channels=channels, **WIDE)
    for time in (1, 2, 40):
        given = inputs(network, time)
        np.testing.assert_allclose(total(shared(network, given)), point(network, given), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("cell", GATED)
@pytest.mark.parametrize("channels", ["joint", "independent"])
def test_what_no_row_moves_is_little_where_nothing_else_speaks(cell: str, channels: str) -> None:
    """Without biases, calendar and what is known in advance, rows have moved all of it: the shares are the whole."""
    network = forecaster(cell=cell, channels=channels, members=2, lags=8)
    with torch.no_grad():
        for member in network.members:
            member.head.bias.zero_()  # type: ignore[operator, union-attr]
        for name in ("level", "calendar", "bias"):
            getattr(network.linear, name).zero_()
    shares = shared(network, inputs(network))
    np.testing.assert_allclose(shares.rest, 0, atol=2e-6)


@pytest.mark.parametrize("cell", GATED)
def test_what_a_row_left_is_what_a_loop_over_rows_finds(cell: str) -> None:
    network = forecaster(cell=cell, members=1, horizon=1)
    given = inputs(network, 20)
    member, state = network.members[0], network.initial_state(1)
    with torch.no_grad():
        rows = member.inputs(network.seen(rows_of(given), state))  # type: ignore[operator, union-attr]
    fused: FusedCell = member.cell  # type: ignore[assignment, union-attr]
    layer = written_out(fused).layers[0]
    left = torch.zeros(20, network.architecture.hidden, dtype=torch.float64)
    before = tuple(torch.zeros(1, network.architecture.hidden, dtype=torch.float64) for _ in range(fused.memories))
    for row, (after, gates) in enumerate(layer.steps(rows.double(), before)):  # type: ignore[operator]
        left = left * gates.keep
        left[row] = after[-1][0] - gates.keep[0] * before[-1][0]
        before = after
    if cell == "lstm":
        left = left * (before[0] / before[1])
    weights = member.head.weight[: network.architecture.targets].double()  # type: ignore[union-attr, index]
    wanted = left @ weights.T * network.spread[0, 0].double()
    recurrent = shared(network, given).recurrent
    assert recurrent is not None
    close(torch.from_numpy(recurrent[:, 0]).double(), wanted, 1e-5)


@pytest.mark.parametrize("cell", GATED)
@pytest.mark.parametrize("channels", ["joint", "independent"])
def test_gates_and_memory_equal_a_run_row_by_row_in_double_precision(cell: str, channels: str) -> None:
    network = forecaster(cell=cell, channels=channels, members=2, layers=2)
    given, state = inputs(network, 200), network.initial_state(1)
    told = teller_for(network).tell(given)
    for member, layers in zip(network.members, told.members, strict=True):
        with torch.no_grad():
            rows = member.inputs(network.seen(rows_of(given), state)).double()  # type: ignore[operator, union-attr]
        explicit = written_out(member.cell)  # type: ignore[arg-type]
        for layer, found in zip(explicit.layers, layers, strict=True):
            before = tuple(part[0] for part in explicit.initial_state(len(rows)))
            states, gates = zip(*layer.steps(rows, before), strict=True)  # type: ignore[operator]
            for one, other in zip(found[:3], zip(*gates, strict=True), strict=True):
                if one is not None:
                    close(torch.from_numpy(one).double(), torch.stack(other), 1e-6)
            memory = np.zeros(network.architecture.hidden)
            for keep, write, content in zip(found.keep, found.write, found.content, strict=True):  # type: ignore[arg-type]
                memory = keep.astype(np.float64) * memory + write.astype(np.float64) * content
            close(torch.from_numpy(memory), states[-1][-1], 1e-6)
            rows = torch.stack([after[0] for after in states], dim=1)


def test_the_share_of_a_row_in_the_linear_road_is_its_change_times_a_weight() -> None:
    network = forecaster(lags=5, horizon=1)
    given = inputs(network, 9)
    shares = shared(network, given)
    changes = np.diff(given.values[0], axis=0)
    weights = network.linear.changes.numpy().reshape(network.architecture.targets, network.architecture.seen, 5)
    for back in range(5):
        wanted = changes[-1 - back] * weights[:, :, 4 - back] * network.share[0, 0].numpy()[:, None]
        np.testing.assert_allclose(shares.linear[-1 - back, :, 0], wanted.T, rtol=1e-5, atol=1e-6)
    assert not shares.linear[:4].any()


@pytest.mark.parametrize("cell", FUSED)
@pytest.mark.parametrize("channels", ["joint", "independent"])
def test_an_explanation_tells_what_people_ask(cell: str, channels: str) -> None:
    network = forecaster(cell=cell, channels=channels, **WIDE)
    found = Explainer(network, ["a", "b"], ["a", "b", "c"]).explain(inputs(network))
    assert found.rows == len(found.linear.by_row) == 30
    assert set(found.columns) == {"a", "b", "c"}
    assert set(found.rest) == {"a", "b"}
    assert len(found.gates) == 2
    assert 1 <= len(found.most) <= 5
    if cell == "rnn":
        assert (found.recurrent, found.kept) == (None, None)
        assert "has no path" in (found.note or "")
        return
    assert found.note is None
    assert found.recurrent is not None
    assert 1 <= found.recurrent.reach <= 30
    assert found.kept is not None
    assert found.kept[0] == 1.0
    assert list(found.kept) == sorted(found.kept, reverse=True)
    assert found.gates[0].keep is not None
    assert all(0 < one < 1 for one in found.gates[0].keep)
    assert (found.gates[0].read is None) == (cell == "gru")


def test_gates_are_told_newest_row_first() -> None:
    network = forecaster(cell="lstm", members=1)
    given = inputs(network, 12)
    cut = Inputs(*(part[:, :6] for part in given[:2]), given.known[:, : 6 + network.architecture.horizon])
    whole, first = (Explainer(network, ["a", "b"], ["a", "b"]).explain(one) for one in (given, cut))
    assert whole.gates[0].keep is not None
    assert first.gates[0].keep is not None
    np.testing.assert_allclose(whole.gates[0].keep[6:], first.gates[0].keep, rtol=1e-3)


def test_the_row_that_mattered_most_comes_first() -> None:
    network = forecaster(lags=8, members=1)
    network.spread.zero_()
    given = inputs(network, 20)
    given.values[0, :] *= 0.01
    given.values[0, 15:] += 100.0  # one large change, 4 rows before the newest
    found = Explainer(network, ["a", "b"], ["a", "b"]).explain(given)
    assert found.most[0].back == 4
    assert found.linear.reach == 5


def test_what_is_missing_moved_nothing() -> None:
    network = forecaster(lags=8)
    given = inputs(network, 20)
    given.values[0, 10:14] = np.nan
    shares = shared(network, given)
    assert not shares.linear[[12, 13]].any()
    np.testing.assert_allclose(total(shares), point(network, given), rtol=1e-5, atol=1e-5)

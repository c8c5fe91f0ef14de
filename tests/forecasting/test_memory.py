"""What a forecaster remembers: gates and states of fused cells, derivatives by lag, and the report made of them."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.cells import FUSED, SYSTEMS, FusedCell, KeepBias, LoopedCell, begin_keeping
from forecasting.describing import describe_memory, describe_streaming, span_words
from forecasting.growing import growth_of
from forecasting.memory import measure_memory
from forecasting.memory.pictures import gates_figure, reach_figure
from forecasting.memory.reach import PROBES, reach_of, reaches
from forecasting.memory.traces import traces
from forecasting.network import Forecaster, Rows
from forecasting.remembering import Memory, Reach
from forecasting.steadiness import Streaming
from forecasting.streaming import Job
from tests.forecasting.explicit import written_out
from tests.forecasting.panels import close, forecaster, plain, walk
from tests.forecasting.test_settling import hoarder, learnt

GATED = [name for name in FUSED if SYSTEMS[name].keeps]


@pytest.mark.parametrize("name", FUSED)
@pytest.mark.parametrize("time", [1, 2, 96, 1500])
def test_gates_and_states_equal_a_run_row_by_row_in_double_precision(name: str, time: int) -> None:
    cell = FusedCell(name, 5, 16, 2, dropout=0.0).requires_grad_(False)
    if name in GATED:
        begin_keeping(cell, KeepBias.of("chrono(200)"))
    rows, state = torch.randn(2, time, 5), tuple(0.3 * torch.randn(2, 2, 16) for _ in range(cell.memories))
    found = list(traces(cell, rows, state))
    wanted = list(traces(written_out(cell), rows.double(), tuple(part.double() for part in state)))
    for one, two in zip(found, wanted, strict=True):
        close(one.hidden.double(), two.hidden, 1e-6)
        assert [part is None for part in one.gates] == [part is None for part in two.gates]
        for gate, other in zip(one.gates, two.gates, strict=True):
            if gate is not None and other is not None:
                close(gate.double(), other, 1e-6)


@pytest.mark.parametrize("name", FUSED)
def test_the_hidden_states_of_a_trace_are_those_of_the_module(name: str) -> None:
    cell = FusedCell(name, 3, 8, 2, dropout=0.0).requires_grad_(False)
    rows = torch.randn(2, 30, 3)
    *_, last = traces(cell, rows, cell.initial_state(2))
    close(last.hidden, cell.unroll(rows, cell.initial_state(2))[0], 1e-6)


@pytest.mark.parametrize("name", [name for name in SYSTEMS if name not in FUSED])
def test_cells_without_a_module_are_traced_row_by_row(name: str) -> None:
    cell = LoopedCell(name, 3, 8, 2, dropout=0.0).requires_grad_(False)
    rows = torch.randn(2, 30, 3)
    *_, last = traces(cell, rows, cell.initial_state(2))
    close(last.hidden, cell.unroll(rows, cell.initial_state(2))[0], 1e-6)


def windows(batch: int, time: int, network: Forecaster) -> Rows:
    a = network.architecture
    return Rows(torch.randn(batch, time, a.seen), torch.zeros(batch, time, 0), torch.zeros(batch, time + a.horizon, 0))


def changes(network: Forecaster, rows: Rows) -> torch.Tensor:
    """Return how far the point goes away from the last value."""
    said, _ = network.forecast_last(rows, network.initial_state(len(rows.values)))
    return said.point - rows.values[:, -1:, : network.architecture.targets]


@pytest.mark.parametrize("cell", ["lstm", "gru", "alternative2"])
def test_a_reach_is_what_small_differences_say(cell: str) -> None:
    network = forecaster(cell=cell, members=2, horizon=2, past=1).double()
    rows = Rows(*(part.double() for part in windows(3, 12, network)))
    found = reaches(network, rows, None).forecast.curve
    squares, step = np.zeros(12), 1e-5
    for lag in range(12):
        for column in range(rows.values.shape[2]):
            ahead, behind = rows.values.clone(), rows.values.clone()
            ahead[:, -1 - lag, column] += step
            behind[:, -1 - lag, column] -= step
            slope = (changes(network, rows._replace(values=ahead)) - changes(network, rows._replace(values=behind))) / (
                2 * step
            )
            squares[lag] += float(slope.square().mean())
    np.testing.assert_allclose(found, np.sqrt(squares), rtol=1e-4, atol=1e-7)


def test_the_linear_road_and_the_network_are_told_apart() -> None:
    network = learnt(members=1, lags=8)
    with torch.no_grad():
        network.linear.changes.zero_()
        network.linear.changes[:, :, 3] = 0.5  # of 8 lags, oldest first: a change 4 rows before the newest
    found = reaches(network, windows(4, 20, network), None)
    assert found.linear.most == found.linear.above == 6  # that change is between rows 4 and 5 back
    assert np.flatnonzero(found.linear.curve).tolist() == [4, 5]
    assert found.recurrent.curve[0] > 0
    network.spread.zero_()
    silent = reaches(network, windows(4, 20, network), None)
    assert silent.recurrent == Reach(half=0, most=0, all_but=0, above=0, curve=(0.0,) * 20)
    assert silent.forecast == silent.linear


def test_many_outputs_are_asked_by_projection_about_as_well_as_one_by_one() -> None:
    network = learnt(members=1, targets=2, horizon=24)
    assert network.noise.numel() > PROBES
    rows = windows(64, 6, network)
    found = np.array(reaches(network, rows, None).forecast.curve)
    exact = np.zeros(6)
    values = rows.values.requires_grad_()
    for one in changes(network, rows._replace(values=values)).flatten(1).sum(dim=0):
        (slope,) = torch.autograd.grad(one, values, retain_graph=True)
        exact += slope.square().sum(dim=2).mean(dim=0).flip(0).numpy() / network.noise.numel()
    np.testing.assert_allclose(found, np.sqrt(exact), rtol=0.15)


def test_lengths_are_read_of_squares() -> None:
    reach = reach_of(np.array([50.0, 40.0, 9.0, 0.99, 0.0099, 1e-9]))
    assert (reach.half, reach.most, reach.all_but, reach.above) == (1, 2, 3, 5)


@given(st.lists(st.floats(0, 1e6) | st.sampled_from([math.inf, math.nan, 1e308]), min_size=1, max_size=50))
@settings(max_examples=50, deadline=None)
def test_lengths_are_in_order_and_within_the_history(squares: list[float]) -> None:
    reach = reach_of(np.array(squares))
    assert 0 <= reach.half <= reach.most <= reach.all_but <= len(squares)
    assert reach.above <= len(squares)
    assert msgspec.json.decode(msgspec.json.encode(reach), type=Reach) == reach


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn", "lstm1997", "alternative1"])
def test_a_report_has_the_gates_of_each_layer_and_survives_its_file(cell: str) -> None:
    network = forecaster(cell=cell, members=2, layers=2)
    found = measure_memory(network, [plain(walk(120), 60, 110)], 20)
    assert found is not None
    assert (found.windows, found.history) == (16, 40)
    assert len(found.layers) == 2
    for layer in found.layers:
        assert (layer.keep is not None) == (layer.constants is not None) == SYSTEMS[cell].keeps
        for gate in filter(None, (layer.keep, layer.write, layer.read)):
            assert sum(gate.tenths) == pytest.approx(1, abs=1e-5)
            assert 0 < gate.mean < 1
    assert msgspec.json.decode(msgspec.json.encode(found), type=Memory) == found
    reach_figure(found, "h")
    gates_figure(found)


def test_a_keep_gate_that_always_keeps_nine_tenths_lasts_as_long_as_that() -> None:
    network = learnt(members=1)
    cell = network.members[0].cell.rnn  # type: ignore[union-attr]
    hidden = network.architecture.hidden
    for name, weight in cell.named_parameters():  # type: ignore[operator, union-attr]
        weight[hidden : 2 * hidden] = math.log(9) if name == "bias_ih_l0" else 0.0
    found = measure_memory(network, [plain(walk(120), 60, 110)], 20)
    assert found is not None
    keep, constants = found.layers[0].keep, found.layers[0].constants
    assert keep is not None
    assert constants is not None
    assert keep.mean == pytest.approx(0.9, abs=1e-4)
    assert constants.median == constants.longest == pytest.approx(-1 / math.log(0.9), rel=1e-3)


def test_where_there_is_nothing_to_validate_on_there_is_no_report() -> None:
    assert measure_memory(forecaster(horizon=2), [plain(walk(20), 19, 20)], 8) is None


def test_of_many_series_some_are_looked_at() -> None:
    found = measure_memory(forecaster(), [plain(walk(60), 30, 55)] * 20_000, 10)
    assert found is not None
    assert found.windows == 16


def test_windows_are_as_long_as_the_history_where_that_is_short() -> None:
    found = measure_memory(forecaster(horizon=1), [plain(walk(30), 20, 28)], 100)
    assert found is not None
    assert found.history <= 28
    assert found.windows >= 1


def test_missing_cells_and_the_first_rows_move_nothing() -> None:
    network = forecaster()
    rows = windows(2, 9, network)
    rows.values[:, :4] = math.nan
    curve = reaches(network, rows, None).forecast.curve
    assert all(curve[:5])
    assert not any(curve[5:])


def test_the_state_of_the_cell_of_1997_grows_without_bound() -> None:
    rows = plain(np.ones((300, 2)), 150, 250)
    grown = dict(growth_of(hoarder(3.0), Job(rows, range(200, 201))))
    assert grown[5000] == pytest.approx(5 * grown[1000], rel=0.05)
    assert Streaming(window=9, origins=0, carried=0, growth=tuple(grown.items())).grows
    kept = growth_of(forecaster(), Job(rows, range(200, 201)))
    assert [behind for behind, _ in kept] == [100, 500, 1000, 2500, 5000]
    assert not Streaming(window=9, origins=0, carried=0, growth=kept).grows


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_state_that_is_no_longer_finite_has_grown(value: float) -> None:
    network = learnt(cell="alternative1_skip", members=1)
    with torch.no_grad():
        for weight in network.members[0].cell.parameters():  # type: ignore[union-attr]
            weight.fill_(value)
    grown = growth_of(network, Job(plain(walk(300), 150, 250), range(200, 201)))
    assert grown == ((100, pytest.approx(float(np.finfo(np.float32).max))),)
    assert Streaming(window=9, origins=0, carried=0, growth=grown).grows


LONG = (
    "this model looks back about 41 hours; with 24 hours of history its forecasts would differ by 25 %; "
    "from the newest row alone its squared errors would be 16.0 % larger; its recurrent network adds nothing"
)


def report(most: int, recurrent: int = 1, history: int = 100) -> Memory:
    one, other = (Reach(half=1, most=rows, all_but=rows, above=rows, curve=(1.0,)) for rows in (most, recurrent))
    return Memory(windows=1, history=history, forecast=one, linear=one, recurrent=other)


def streamed(**changes: Any) -> Streaming:
    return Streaming(window=48, origins=9, carried=99, **changes)


@pytest.mark.parametrize(
    ("memory", "streaming", "said"),
    [
        (report(41), None, "this model looks back about 41 hours; its recurrent network looks back 1 hour"),
        (report(41, 0), None, "this model looks back about 41 hours; its recurrent network adds nothing"),
        (report(100, 0), None, "this model looks back at least 100 hours; its recurrent network adds nothing"),
        (
            report(41, 0),
            streamed(curve=((12, 0.6), (24, 0.25), (32, 0.1)), alone=1.16),
            LONG,
        ),
        (
            report(41),
            streamed(alone=1.004),
            "no memory is needed: from the newest row alone its squared errors would be 0.4 % larger",
        ),
        (report(0), None, "no memory is needed: its forecasts stay at the last value"),
    ],
)
def test_a_sentence_says_it(memory: Memory, streaming: Streaming | None, said: str) -> None:
    assert describe_memory(memory, streaming, "h") == said


def test_a_state_that_grows_is_said_to_keep_a_model_from_being_streamed() -> None:
    grown = streamed(growth=((1000, 361.0), (5000, 1974.0)))
    assert not grown.safe
    assert describe_streaming(grown) == "its state grows without bound, to 1,974 after 5,000 rows: it is not streamed"


@pytest.mark.parametrize(
    ("rows", "freq", "said"),
    [
        (1, "h", "1 hour"),
        (41, "h", "41 hours"),
        (72, "h", "3 days"),
        (60, "15min", "15 hours"),
        (5, "15min", "75 minutes"),
        (3, "D", "3 days"),
        (12, "MS", "12 rows"),
        (7, "100ms", "7 rows"),
        (30, "100ms", "3 seconds"),
    ],
)
def test_a_span_is_said_in_the_units_people_use(rows: int, freq: str, said: str) -> None:
    assert span_words(rows, freq) == said

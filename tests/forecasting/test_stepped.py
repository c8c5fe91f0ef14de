"""A step of the compiled engine is a step of the network, whoever stands beside the stream and however rows are cut."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.engines import EagerSteps, Inputs, StepEngine, Steps, ZForecast, kernel, steps_for
from forecasting.engines.stepped import CompiledSteps
from forecasting.members import Architecture, Static
from forecasting.network import Forecaster
from forecasting.statics import Coded
from tests.forecasting.panels import CELLS, forecaster

SHAPES = st.fixed_dictionaries(
    {
        "cell": st.sampled_from(CELLS),
        "channels": st.sampled_from(["joint", "independent"]),
        "columns": st.integers(1, 3),
        "layers": st.integers(1, 3),
        "hidden": st.sampled_from([1, 6, 16, 21]),
        "past": st.integers(0, 2),
        "known": st.integers(0, 2),
        "statics": st.sampled_from([0, 2]),
        "categories": st.sampled_from([(), (3, 12)]),
        "calendar": st.sampled_from([0, 4]),
        "horizon": st.sampled_from([1, 3]),
        "lags": st.sampled_from([1, 2, 19]),
        "members": st.integers(1, 3),
    }
)
EVERYTHING: dict[str, Any] = {
    "columns": 3, "layers": 2, "hidden": 21, "past": 2, "known": 2, "statics": 2, "categories": (3, 12), "calendar": 4,
    "horizon": 3, "lags": 19, "members": 2,
}  # fmt: skip


def drawn(a: Architecture, streams: int, rows: int, seed: int = 0, missing: float = 0.2) -> Inputs:
    """Draw rows of some streams."""
    draw = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return draw.normal(size=(streams, *shape)).astype(np.float32)

    values, known = normal(rows, a.seen), normal(rows + a.horizon, a.known)
    for part in (values, known):
        part[draw.random(part.shape) < missing] = np.nan
    codes = np.stack([draw.integers(0, size, streams) for size in a.categories] or [np.zeros((0, streams))], axis=-1)
    static = Coded(normal(a.statics), codes.reshape(streams, -1).astype(np.int64))
    return Inputs(values, normal(rows, a.calendar), known, static)


def row(inputs: Inputs, at: int) -> Steps:
    """Take one row out."""
    ahead = inputs.known.shape[1] - inputs.values.shape[1]
    return Steps(inputs.values[:, at], inputs.calendar[:, at], inputs.known[:, at : at + 1 + ahead], inputs.static)


def only(inputs: Any, streams: Any) -> Any:
    """Take some streams out."""
    static = None if inputs.static is None else Coded(*(part[streams] for part in inputs.static))
    return inputs._make([*(part[streams] for part in inputs[:3]), static])


def stepped(engine: StepEngine, inputs: Inputs, states: np.ndarray | None = None) -> tuple[list[ZForecast], np.ndarray]:
    """Take all rows one by one."""
    said, states = [], engine.initial(len(inputs.values)) if states is None else states
    for at in range(inputs.values.shape[1]):
        one, states = engine.step(row(inputs, at), states)
        said.append(one)
    return said, states


def unrolled(network: Forecaster, inputs: Inputs) -> list[ZForecast]:
    """Step the network itself."""
    static = inputs.static and Static(*(torch.from_numpy(part) for part in inputs.static))
    state, said = network.initial_state(len(inputs.values), static), []
    for at in range(inputs.values.shape[1]):
        parts = (torch.from_numpy(part) for part in row(inputs, at)[:3])
        one, state = network.step(*parts, state)
        said.append(ZForecast(*(part.numpy() for part in one)))
    return said


def near(ours: Any, theirs: Any) -> None:
    np.testing.assert_allclose(np.array(ours), np.array(theirs), rtol=1e-5, atol=1e-5)


def same(ours: Any, theirs: Any) -> None:
    """Assert equality to the bit."""
    assert np.array(ours).tobytes() == np.array(theirs).tobytes()


@given(shape=SHAPES, streams=st.sampled_from([1, 3]), missing=st.sampled_from([0.0, 0.3, 1.0]), seed=st.integers(0, 99))
@settings(max_examples=40)
def test_steps_say_what_the_network_says(shape: dict[str, Any], streams: int, missing: float, seed: int) -> None:
    network = forecaster(seed, **shape)
    inputs = drawn(network.architecture, streams, 12, seed, missing)
    theirs = unrolled(network, inputs)
    reference, flat = stepped(EagerSteps(network), inputs)
    ours, states = stepped(steps_for(network), inputs)
    near(reference, theirs)
    near(ours, theirs)
    near(states, flat)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("channels", ["joint", "independent"])
def test_nothing_adds_up_over_hundreds_of_rows(cell: str, channels: str) -> None:
    network = forecaster(cell=cell, channels=channels, **EVERYTHING)
    inputs = drawn(network.architecture, 2, 300)
    ours, states = stepped(steps_for(network), inputs)
    theirs, flat = stepped(EagerSteps(network), inputs)
    near(ours, theirs)
    near(states, flat)


def test_a_column_that_was_not_seen_for_long_is_absent_no_longer_than_the_network_counts() -> None:
    network = forecaster(columns=2)
    inputs = drawn(network.architecture, 1, 1_005, missing=0.0)
    inputs.values[:, 1:, 0] = np.nan
    ours, theirs = steps_for(network), EagerSteps(network)
    near(ours.unroll(inputs, ours.initial(1)), theirs.unroll(inputs, theirs.initial(1)))


def test_nothing_is_known_of_a_stream_without_statics() -> None:
    network = forecaster(**EVERYTHING)
    inputs = drawn(network.architecture, 3, 5)._replace(static=None)
    near(stepped(steps_for(network), inputs)[0], stepped(EagerSteps(network), inputs)[0])


@given(shape=SHAPES, cut=st.integers(1, 11), seed=st.integers(0, 99))
@settings(max_examples=20)
def test_many_rows_leave_the_state_of_as_many_steps_to_the_bit(shape: dict[str, Any], cut: int, seed: int) -> None:
    network = forecaster(seed, **shape)
    inputs, engine = drawn(network.architecture, 5, 12, seed), steps_for(network)
    first = Inputs(inputs.values[:, :cut], inputs.calendar[:, :cut], inputs.known[:, :cut], inputs.static)
    rest = Inputs(inputs.values[:, cut:], inputs.calendar[:, cut:], inputs.known[:, cut:], inputs.static)
    same(engine.unroll(rest, engine.unroll(first, engine.initial(5))), stepped(engine, inputs)[1])


@given(shape=SHAPES, streams=st.integers(1, 40), seed=st.integers(0, 99))
@settings(max_examples=20)
def test_a_stream_does_not_see_who_stands_beside_it_to_the_bit(shape: dict[str, Any], streams: int, seed: int) -> None:
    network = forecaster(seed, **shape)
    inputs, engine = drawn(network.architecture, streams, 4, seed), steps_for(network)
    said, states = stepped(engine, inputs)
    alone = [stepped(engine, only(inputs, [place])) for place in range(streams)]
    same(states, np.concatenate([state for _, state in alone]))
    same(said, np.concatenate([one for one, _ in alone], axis=2))


def test_a_road_told_by_its_own_channel_is_whole_though_zeros_are_left_out() -> None:
    network = forecaster(columns=3, past=1, lags=9, horizon=2)
    own = torch.eye(3).repeat(2, 1)
    network.linear.changes[:, :3] *= own[..., None]
    network.linear.changes[1] = 0
    inputs = drawn(network.architecture, 2, 30)
    near(stepped(steps_for(network), inputs)[0], stepped(EagerSteps(network), inputs)[0])


def test_rows_and_states_are_left_as_they_came() -> None:
    network = forecaster(**EVERYTHING)
    inputs, engine = drawn(network.architecture, 3, 2), steps_for(network)
    states = engine.unroll(inputs, engine.initial(3))
    given = [*row(inputs, 0)[:3], *(inputs.static or ()), states]
    before = [part.tobytes() for part in given]
    engine.step(row(inputs, 0), states)
    assert [part.tobytes() for part in given] == before
    assert engine.initial(1).tobytes() == CompiledSteps(network).initial(1).tobytes()


def test_rows_and_states_may_be_read_only_and_lie_anyhow() -> None:
    network = forecaster(**EVERYTHING)
    inputs, engine = drawn(network.architecture, 3, 2), steps_for(network)
    states = engine.unroll(inputs, engine.initial(3))
    stored = np.frombuffer(states.tobytes(), np.float32).reshape(states.shape)
    odd = Steps(*(np.asfortranarray(part) for part in row(inputs, 1)[:3]), inputs.static)
    for ours, theirs in zip(engine.step(odd, stored), engine.step(row(inputs, 1), states), strict=True):
        same(ours, theirs)


def test_threads_do_not_share_what_is_computed_in() -> None:
    network = forecaster(**EVERYTHING)
    engine = steps_for(network)
    asked = [drawn(network.architecture, 1 + seed % 20, 30, seed) for seed in range(24)]

    def say(inputs: Inputs) -> bytes:
        said, states = stepped(engine, inputs)
        return np.array(said).tobytes() + states.tobytes()

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(say, asked)) == [say(inputs) for inputs in asked]


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), 3e38])
def test_numbers_beyond_all_bounds_come_out_as_not_finite_and_raise_nothing(broken: float) -> None:
    network = forecaster(columns=1, members=1)
    network.linear.bias.fill_(broken)
    network.share.fill_(2.0)
    said, _ = steps_for(network).step(
        row(drawn(network.architecture, 2, 1, missing=0.0), 0), steps_for(network).initial(2)
    )
    assert not np.isfinite(said.point).any()
    assert np.isfinite(said.scale).all()


def test_a_scale_beyond_all_bounds_is_infinite_and_one_below_them_is_none() -> None:
    network = forecaster(members=1)
    network.noise[0], network.noise[1] = 100.0, -100.0
    engine = steps_for(network)
    said, _ = engine.step(row(drawn(network.architecture, 1, 1), 0), engine.initial(1))
    assert np.isinf(said.scale[:, 0]).all()
    assert (said.scale[:, 1] < 1e-37).all()


def test_a_state_or_a_row_of_another_network_is_refused() -> None:
    one, other = forecaster(columns=2, known=1), forecaster(columns=3, known=1)
    engine, rows = steps_for(one), row(drawn(one.architecture, 2, 1), 0)
    with pytest.raises(ValueError, match="another network"):
        engine.step(rows, steps_for(other).initial(2))
    with pytest.raises(ValueError, match="another network"):
        engine.step(row(drawn(other.architecture, 2, 1), 0), engine.initial(2))
    with pytest.raises(ValueError, match="another network"):
        engine.step(rows._replace(known=rows.known[:, :2]), engine.initial(2))
    with pytest.raises(ValueError, match="another network"):
        engine.step(rows, engine.initial(3))


def test_a_category_the_network_has_no_code_for_is_refused() -> None:
    network = forecaster(categories=(3, 4))
    rows = row(drawn(network.architecture, 1, 1), 0)
    static = Coded(np.zeros((1, 0), np.float32), np.array([[0, 4]]))
    with pytest.raises(ValueError, match="code"):
        steps_for(network).step(rows._replace(static=static), steps_for(network).initial(1))


GRID = np.concatenate([np.linspace(-30, 30, 301), np.logspace(-30, 1, 40), -np.logspace(-30, 1, 40)]).astype(np.float32)


@pytest.mark.parametrize(
    ("ours", "exactly"),
    [(kernel.exp, np.exp), (kernel.tanh, np.tanh), (kernel.sigmoid, lambda x: 1 / (1 + np.exp(-x)))],
)
def test_exponentials_are_right_to_the_last_bits(ours: Any, exactly: Any) -> None:
    said = np.array([ours(x) for x in GRID], np.float64)
    np.testing.assert_allclose(said, exactly(GRID.astype(np.float64)), rtol=4e-7)
    assert np.isnan(ours(np.float32(np.nan)))


def test_code_is_compiled_also_where_nothing_can_be_kept() -> None:
    scope: dict[str, Any] = {}
    exec(compile("def double(x):\n    return x + x\n", "<nowhere>", "exec"), scope)  # noqa: S102 - has no file
    assert kernel.kept(scope["double"])(4) == 8


def test_only_steps_on_a_cpu_import_numba() -> None:
    code = "import sys, forecasting.engines, forecasting.bundle; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_cpu_gets_the_compiled_steps() -> None:
    assert steps_for(forecaster()).name == "numba on cpu"
    assert EagerSteps(forecaster()).name == "torch on cpu"

"""Every engine computes what the network says; a batch is what its windows are alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.bundle import Bundle
from forecasting.engines import CompiledEngine, EagerEngine, Inputs, engine_for
from forecasting.errors import NotFinite, WindowRejected
from forecasting.members import Architecture
from forecasting.prediction import Asked, WindowForecast, forecast, forecast_many
from forecasting.statics import Coded
from tests.bundles import LEVELS, make_bundle, make_rich_bundle, rich_window, window
from tests.forecasting.panels import close, forecaster

SHAPES = st.fixed_dictionaries(
    {
        "cell": st.sampled_from(["lstm", "gru", "rnn"]),
        "channels": st.sampled_from(["joint", "independent"]),
        "layers": st.integers(1, 2),
        "past": st.integers(0, 1),
        "known": st.integers(0, 2),
        "statics": st.sampled_from([0, 2]),
        "categories": st.sampled_from([(), (3, 4)]),
        "calendar": st.sampled_from([0, 4]),
        "horizon": st.sampled_from([1, 3]),
        "lags": st.sampled_from([1, 5]),
        "members": st.integers(1, 3),
    }
)


def drawn(a: Architecture, windows: int, rows: int, missing: float, seed: int) -> Inputs:
    """Draw windows for an architecture."""
    draw = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return draw.normal(size=(windows, *shape)).astype(np.float32)

    values, known = normal(rows, a.seen), normal(rows + a.horizon, a.known)
    for part in (values, known):
        part[draw.random(part.shape) < missing] = np.nan
    static = Coded(normal(a.statics), draw.integers(0, 3, size=(windows, len(a.categories))))
    return Inputs(values, normal(rows, a.calendar), known, static if a.statics or a.categories else None)


@given(
    shape=SHAPES,
    windows=st.sampled_from([1, 3]),
    rows=st.sampled_from([1, 2, 9]),
    missing=st.sampled_from([0.0, 0.3, 1.0]),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_the_compiled_engine_says_what_the_network_says(
    shape: dict[str, Any], windows: int, rows: int, missing: float, seed: int
) -> None:
    network = forecaster(seed, hidden=8, **shape)
    inputs = drawn(network.architecture, windows, rows, missing, seed)
    for ours, theirs in zip(
        CompiledEngine(network).forecast_last(inputs), EagerEngine(network).forecast_last(inputs), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_rows_of_a_window_are_left_as_they_came() -> None:
    network = forecaster(known=1)
    inputs = drawn(network.architecture, 2, 5, 0.2, 0)
    kept = [part.copy() for part in inputs[:3]]
    CompiledEngine(network).forecast_last(inputs)
    for part, before in zip(inputs[:3], kept, strict=True):
        np.testing.assert_array_equal(part, before)


def test_a_lone_request_gives_the_same_bytes_in_every_thread_and_after_every_start(tiny_bundle: Bundle) -> None:
    asked = [window(6 + place % 3, seed=place) for place in range(12)]

    def say() -> list[bytes]:
        engine = engine_for(tiny_bundle.forecaster)
        with ThreadPoolExecutor(4) as threads:
            answers = threads.map(lambda one: forecast(tiny_bundle, one, engine=engine), asked)
            return [answer.point.tobytes() for answer in answers]

    assert say() == say()


def test_the_cpu_gets_the_compiled_engine(tiny_bundle: Bundle) -> None:
    assert engine_for(tiny_bundle.forecaster).name == "onnxruntime on cpu"
    assert EagerEngine(tiny_bundle.forecaster).name == "torch on cpu"


@pytest.mark.parametrize("maker", ["plain", "rich"])
@given(seed=st.integers(0, 999), missing=st.sampled_from([0.0, 0.3]))
@settings(max_examples=10, deadline=None)
def test_what_is_said_of_windows_together_is_said_of_each_alone(maker: str, seed: int, missing: float) -> None:
    bundle = make_bundle() if maker == "plain" else make_rich_bundle()
    engine = engine_for(bundle.forecaster)
    asked = _several(maker, seed, missing)
    together = forecast_many(bundle, engine, asked)
    for one, answer in zip(asked, together, strict=True):
        alone = forecast(bundle, *one, engine=engine)
        assert isinstance(answer, WindowForecast)
        assert (answer.cautions, answer.cold, list(answer.intervals)) == (
            alone.cautions,
            alone.cold,
            list(alone.intervals),
        )
        np.testing.assert_array_equal(answer.instants, alone.instants)
        close(answer.point, alone.point)
        close(answer.median, alone.median)
        for level, ends in alone.intervals.items():
            close(np.stack(answer.intervals[level]), np.stack(ends))


def _several(maker: str, seed: int, missing: float) -> list[Asked]:
    """Draw requests of different lengths, series, levels and steps."""
    draw = np.random.default_rng(seed)
    asked = []
    for place in range(6):
        rows, name = int(draw.integers(1, 4)) * 3, [None, "north", "south", "west"][place % 4]
        one = window(rows, seed + place, name) if maker == "plain" else rich_window(rows, seed + place, name)
        one.values[:-1][draw.random((rows - 1, one.values.shape[1])) < missing] = np.nan
        asked.append(Asked(one, [None, LEVELS, (), (80,)][place % 4], [None, 1][place % 2]))
    return asked


def test_a_window_that_is_refused_does_not_spoil_the_others(tiny_bundle: Bundle) -> None:
    far, good = window(), window(seed=1)
    far.values[2, 1] = 1e14
    asked = [Asked(good), Asked(far), Asked(good, steps=9), Asked(good, levels=[33])]
    first, *errors = forecast_many(tiny_bundle, engine_for(tiny_bundle.forecaster), asked)
    assert isinstance(first, WindowForecast)
    assert [type(one) for one in errors] == [WindowRejected] * 3
    assert [error.pointer for error in errors if isinstance(error, WindowRejected)] == ["", "/horizon", "/levels/0"]


def test_an_answer_that_is_not_finite_does_not_spoil_the_others(tiny_bundle: Bundle) -> None:
    class HalfSick(EagerEngine):
        """Answers the second window with what is no number."""

        def forecast_last(self, inputs: Inputs) -> Any:
            said = super().forecast_last(inputs)
            said.point[1] = np.nan
            return said

    engine = HalfSick(replace(tiny_bundle).forecaster)
    good, bad = forecast_many(tiny_bundle, engine, [Asked(window()), Asked(window())])
    assert isinstance(good, WindowForecast)
    assert isinstance(bad, NotFinite)

"""A row of a stream in process: what a step costs by engine, alone and beside others, and many rows at once."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np
import torch

from benchmarks.inprocess import COLUMNS, NEWEST, Case, bundle_of
from benchmarks.measuring import Way, interleaved, ratio
from benchmarks.publishing import Table, publish
from forecasting.bundle import Bundle
from forecasting.cells import fused_of
from forecasting.engines import CompiledEngine, EagerSteps, Inputs, StepEngine, Steps, steps_for
from forecasting.members import Member

LAGS, ROWS, HOUR = 96, 96, 3_600_000_000_000
STREAMS = (1, 32, 1_000)
ROUNDS = 60


class Network(NamedTuple):
    """A cell and how much of it, in joint channels or not, and steps ahead."""

    cell: str
    layers: int
    channels: str = "joint"
    horizon: int = 1


NETWORKS = (
    Network("lstm", 1),
    Network("lstm", 2),
    Network("gru", 1),
    Network("gru", 2),
    Network("lstm", 1, "independent"),
    Network("lstm", 1, horizon=24),
)


def main() -> None:
    """Measure every network and write the result."""
    torch.set_num_threads(1)
    publish(
        "steps",
        f"A row of {COLUMNS} columns with the calendar of hours, {LAGS} lags of all columns, 64 hidden units, one "
        "member, in one thread, in processor time. `compiled` is what `steps_for` returns on a CPU, `network` is "
        "`Forecaster.step` with the state as one array, `cell` the bare cells alone, by matrix products of numpy.",
        [_steps(), _unrolls()],
    )


def _steps() -> Table:
    rows = []
    for network in NETWORKS:
        bundle = _bundle(network)
        for streams in STREAMS:
            times = interleaved(_ways(bundle, streams), ROUNDS)
            each = [_microseconds(times[name], _repeats(streams) * streams) for name in ("compiled", "network", "cell")]
            rows.append((_named(network), f"{streams:,}", *each, ratio(times["network"], times["compiled"])))
    head = ("model", "streams", "compiled, us", "network, us", "cell, us", "network / compiled")
    return Table("One row of each stream", head, rows, "Medians, per stream and row.")


def _unrolls() -> Table:
    rows = []
    for network in NETWORKS:
        bundle = _bundle(network)
        times = interleaved(_window_ways(bundle), ROUNDS)
        each = [_microseconds(times[name], 1) for name in ("unroll", "steps", "window")]
        rows.append((_named(network), *each, ratio(times["window"], times["unroll"])))
    head = ("model", "unroll, us", "steps, us", "window, us", "window / unroll")
    note = (
        f"Medians, for {ROWS} rows of one stream. `unroll` says nothing, `steps` a forecast at every row, `window` is "
        "`CompiledEngine.forecast_last`, which says one behind the last row."
    )
    return Table("Many rows of a stream", head, rows, note)


def _bundle(network: Network) -> Bundle:
    case = Case(network.channels, 64, network.layers, 1, network.horizon, "UTC")
    torch.manual_seed(0)
    bundle = bundle_of(case, cell=network.cell, lags=LAGS)
    for weight in bundle.forecaster.linear.buffers():
        weight.normal_(std=0.01)  # of zeros the compiled steps would make nothing
    return bundle


def _named(network: Network) -> str:
    return f"{network.channels} {network.cell} {network.layers} x 64, horizon {network.horizon}"


def _repeats(streams: int) -> int:
    """Calls that are timed together: one alone is shorter than the clock is exact."""
    return max(1, 200 // streams)


def _microseconds(seconds: list[float], rows: int) -> str:
    return f"{1e6 * statistics.median(seconds) / rows:.1f}"


def _ways(bundle: Bundle, streams: int) -> dict[str, Way]:
    inputs = _rows(bundle, streams, 1)
    row = Steps(inputs.values[:, 0], inputs.calendar[:, 0], inputs.known)
    ways: dict[str, Callable[[], Any]] = {
        "compiled": _step(steps_for(bundle.forecaster), row, streams),
        "network": _step(EagerSteps(bundle.forecaster), row, streams),
        "cell": _cell(bundle, streams),
    }
    return {name: _often(way, _repeats(streams)) for name, way in ways.items()}


def _often(way: Way, times: int) -> Way:
    def call() -> None:
        for _ in range(times):
            way()

    return call


def _step(engine: StepEngine, row: Steps, streams: int) -> Way:
    states = engine.initial(streams)
    return lambda: engine.step(row, states)


def _cell(bundle: Bundle, streams: int) -> Way:
    """Step bare cells of the same shape: products of matrices and nothing but what the gates need."""
    a, member = bundle.forecaster.architecture, cast("Member", bundle.forecaster.members[0])
    widths = [fused_of(member.cell).input_size, *[a.hidden] * (a.layers - 1)]
    columns = {"lstm": 4, "gru": 3}[a.cell] * a.hidden
    first = _drawn(streams * a.folds, widths[0])
    matrices = [_drawn(width + a.hidden, columns) for width in widths]
    past = np.zeros((len(first), a.hidden), np.float32)

    def call() -> None:
        given = first
        for matrix in matrices:
            sums = np.concatenate([given, past], axis=1) @ matrix
            gates = np.reciprocal(1 + np.exp(-sums[:, : -a.hidden]))
            content = np.tanh(sums[:, -a.hidden :])
            given = gates[:, : a.hidden] * past + gates[:, a.hidden : 2 * a.hidden] * content
            if a.cell == "lstm":
                given = gates[:, -a.hidden :] * np.tanh(given)

    return call


def _drawn(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def _window_ways(bundle: Bundle) -> dict[str, Way]:
    engine, inputs = steps_for(bundle.forecaster), _rows(bundle, 1, ROWS)
    windows, first = CompiledEngine(bundle.forecaster), engine.initial(1)

    def steps() -> None:
        states = first
        for at in range(ROWS):
            row = Steps(
                inputs.values[:, at], inputs.calendar[:, at], inputs.known[:, at : at + 1 + bundle.spec.horizon]
            )
            _, states = engine.step(row, states)

    return {
        "unroll": lambda: engine.unroll(inputs, first),
        "steps": steps,
        "window": lambda: windows.forecast_last(inputs),
    }


def _rows(bundle: Bundle, streams: int, rows: int) -> Inputs:
    draw = np.random.default_rng(0)
    times = NEWEST + HOUR * np.arange(rows)
    calendar = np.repeat(bundle.spec.calendar.features(times)[None], streams, axis=0)
    known = np.zeros((streams, rows + bundle.spec.horizon, 0), np.float32)
    return Inputs(draw.normal(size=(streams, rows, COLUMNS)).astype(np.float32), calendar, known)


if __name__ == "__main__":
    main()

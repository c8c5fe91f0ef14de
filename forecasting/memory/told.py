"""What members were told of a window, row by row, and what their layers did with it, as arrays.

Of fused cells the engine of windows says the hidden states of all rows, whatever device the network is on, and one
matrix product gives all gates of all rows; others go row by row by torch (`traces`). Arrays are rows first: (time,
fold, hidden).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from forecasting.cells import FUSED
from forecasting.engines import Inputs
from forecasting.engines.tracing import TracingEngine
from forecasting.members import Member, Static
from forecasting.memory.traces import Trace, traces
from forecasting.network import Forecaster, Rows

Layer = Float[np.ndarray, "time fold hidden"]
Wide = Float[np.ndarray, "time fold width"]
Given = Float[np.ndarray, "time fold feature"]
Weights = tuple[np.ndarray, ...]

SIGMOID, TANH = (0.5, 0.5), (1.0, 0.0)
"""By what a block is multiplied before and behind a tanh, and what is added then."""


class Gated(NamedTuple):
    """What a layer did at each row; None where the cell has no such gate. `content` is None where there is no path."""

    keep: Layer | None
    write: Layer | None
    read: Layer | None
    content: Layer | None = None


class Told(NamedTuple):
    """Of one window: what anchor and road say (point), the last values, changes by row, and of each member its layers.

    `points` are the corrections of the point by member, in the members' own units.
    """

    base: Float[np.ndarray, "horizon target"]
    last: Float[np.ndarray, " target"]
    changes: Float[np.ndarray, "time column"]
    points: list[Float[np.ndarray, "horizon target"]]
    members: list[list[Gated]]


@runtime_checkable  # beartype asks, in the tests
class Teller(Protocol):
    """Runs a network over a window from a fresh state."""

    def tell(self, inputs: Inputs) -> Told:
        """Return what it was told, and what it did."""


def teller_for(forecaster: Forecaster) -> Teller:
    """Return the faster way that there is for its cells."""
    return FusedTeller(forecaster) if forecaster.architecture.cell in FUSED else LoopedTeller(forecaster)


class FusedTeller:
    """Of networks of fused cells."""

    def __init__(self, forecaster: Forecaster) -> None:
        """Take the weights over; later changes of the network are not seen."""
        a = forecaster.architecture
        self._engine, self._cell = TracingEngine(forecaster), a.cell
        weights = {name: tensor.detach().cpu().numpy() for name, tensor in forecaster.state_dict().items()}
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        self._layers = [
            [tuple(weights[f"members.{place}.cell.rnn.{name}_l{depth}"] for name in names) for depth in range(a.layers)]
            for place in range(a.members)
        ]

    def tell(self, inputs: Inputs) -> Told:
        """Return what it was told, and what it did."""
        found = self._engine.trace(inputs)
        members = []
        for rows, hidden, layers in zip(found.rows, found.hidden, self._layers, strict=True):
            below = [rows, *hidden[:-1]]
            members.append([self._gated(*one) for one in zip(below, hidden, layers, strict=True)])
        return Told(found.base, found.last, found.changes, found.points, members)

    def _gated(self, rows: Given, hidden: Layer, weights: Weights) -> Gated:
        if self._cell == "rnn":
            return Gated(None, None, None)
        given_weight, past_weight, given_bias, past_bias = weights
        past = np.concatenate([np.zeros_like(hidden[:1]), hidden[:-1]])
        given, told = _product(rows, given_weight), _product(past, past_weight)
        if self._cell == "gru":
            return _gru(given + given_bias, told + past_bias)
        given += told
        given += given_bias + past_bias
        return _lstm(given)


def _product(rows: Given, weight: np.ndarray) -> Wide:
    """Multiply all rows at once: numpy would take a stack of matrices one by one."""
    made: np.ndarray = rows.reshape(-1, rows.shape[-1]) @ weight.T
    return made.reshape(*rows.shape[:-1], len(weight))


def _lstm(mixed: Wide) -> Gated:
    write, keep, content, read = _squashed(mixed, (SIGMOID, SIGMOID, TANH, SIGMOID))
    return Gated(keep, write, read, content)


def _gru(given: Wide, told: Wide) -> Gated:
    hidden = given.shape[-1] // 3
    reset, keep = _squashed(given[..., : 2 * hidden] + told[..., : 2 * hidden], (SIGMOID, SIGMOID))
    content = np.tanh(given[..., 2 * hidden :] + reset * told[..., 2 * hidden :])
    return Gated(keep, 1 - keep, None, content)


def _squashed(mixed: Wide, kinds: Sequence[tuple[float, float]]) -> list[Layer]:
    """Squash the blocks of an array in place, all by one tanh: sigmoid(x) = (1 + tanh(x / 2)) / 2."""
    scale, shift = np.repeat(np.array(kinds, np.float32), mixed.shape[-1] // len(kinds), axis=0).T
    mixed *= scale
    np.tanh(mixed, out=mixed)
    mixed *= scale
    mixed += shift
    return np.split(mixed, len(kinds), axis=-1)


class LoopedTeller:
    """Of networks of other cells, by torch on their own device."""

    def __init__(self, forecaster: Forecaster) -> None:
        """Keep the network."""
        self._forecaster = forecaster

    @torch.inference_mode()
    def tell(self, inputs: Inputs) -> Told:
        """Return what it was told, and what it did."""
        forecaster, device = self._forecaster, self._forecaster.spread.device
        rows = Rows(*(torch.from_numpy(part).to(device) for part in inputs[:3]))
        static = inputs.static and Static(*(torch.from_numpy(part).to(device) for part in inputs.static))
        state, time = forecaster.initial_state(1, static), rows.values.shape[1]
        seen, newest = forecaster.seen(rows, state), range(time - 1, time)
        members: Sequence[Member] = list(forecaster.members)  # type: ignore[arg-type]
        layers = [
            list(traces(member.cell, member.inputs(seen), member.folded(cell)))
            for member, cell in zip(members, state.cells, strict=True)
        ]
        points = [
            member.said(traced[-1].hidden[:, -1:], seen, newest)[0, 0, 0]
            for member, traced in zip(members, layers, strict=True)
        ]
        return Told(
            base=_array(forecaster.base(seen, rows, newest)[0, 0, 0]),
            last=_array(seen.filled.level[0, -1, : forecaster.architecture.targets]),
            changes=_array(seen.filled.changes[0, -time:]),
            points=[_array(point) for point in points],
            members=[[_gated(one) for one in traced] for traced in layers],
        )


def _gated(trace: Trace) -> Gated:
    return Gated(*(None if gate is None else _array(gate.transpose(0, 1)) for gate in trace.gates))


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.cpu().numpy()

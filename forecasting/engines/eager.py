"""The network itself, run by torch; the reference for every other engine."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from forecasting.engines.interface import Inputs, States, Steps, ZForecast
from forecasting.filling import Past
from forecasting.members import Static
from forecasting.network import Forecaster, Rows, State
from forecasting.statics import Coded


class EagerEngine:
    """A network in evaluation mode, on the device of its weights."""

    def __init__(self, forecaster: Forecaster) -> None:
        """Keep the network."""
        self.name = f"torch on {forecaster.spread.device}"
        self._forecaster = forecaster

    @torch.inference_mode()
    def forecast_last(self, inputs: Inputs) -> ZForecast:
        """Return point, median and scale by window, step and target."""
        device = self._forecaster.spread.device
        parts = (torch.from_numpy(part).to(device) for part in inputs[:3])
        state = self._forecaster.initial_state(len(inputs.values), _static(inputs.static, device))
        answer, _ = self._forecaster.forecast_last(Rows(*parts), state)
        return ZForecast(*(part.cpu().numpy() for part in answer))


class EagerSteps:
    """A network in evaluation mode, a row at a time, on the device of its weights.

    A state is laid out as `packing.layout_of` says. In the last bit an answer may depend on how many streams stand
    beside it, since torch picks its matrix products by their size.
    """

    def __init__(self, forecaster: Forecaster) -> None:
        """Keep the network."""
        self.name = f"torch on {forecaster.spread.device}"
        self.width = _flat(forecaster.initial_state(1)).shape[1]
        self._forecaster = forecaster

    @torch.inference_mode()
    def initial(self, streams: int) -> States:
        """Return the states before any row."""
        return _flat(self._forecaster.initial_state(streams)).cpu().numpy()

    @torch.inference_mode()
    def step(self, rows: Steps, states: States) -> tuple[ZForecast, States]:
        """Take one row of each stream; forecasts have a stream axis first."""
        values, calendar, known = self._tensors(rows)
        said, state = self._forecaster.step(values, calendar, known, self._state(states, rows.static))
        return ZForecast(*(part.cpu().numpy() for part in said)), _flat(state).cpu().numpy()

    @torch.inference_mode()
    def unroll(self, rows: Inputs, states: States) -> States:
        """Take many rows of each stream; what is said behind the last of them is dropped."""
        values, calendar, known = self._tensors(rows)
        ahead = values.shape[1] + self._forecaster.architecture.horizon - known.shape[1]
        known = F.pad(known, (0, 0, 0, max(ahead, 0)), value=math.nan)
        state = self._state(states, rows.static)
        _, state = self._forecaster.forecast_last(Rows(values, calendar, known), state)
        return _flat(state).cpu().numpy()

    def _tensors(self, rows: Steps | Inputs) -> tuple[Tensor, Tensor, Tensor]:
        device = self._forecaster.spread.device
        values, calendar, known = (torch.from_numpy(part).to(device) for part in rows[:3])
        return values, calendar, known

    def _state(self, states: States, static: Coded | None) -> State:
        """Cut flat states into what a network carries."""
        device = self._forecaster.spread.device
        like = self._forecaster.initial_state(len(states), _static(static, device))
        flat = iter(torch.split(torch.from_numpy(states).to(device), _sizes(like), dim=1))
        changes, level, seen, absence = (next(flat) for _ in range(4))
        past = Past(level, seen > 0, absence, _cut(changes, level.shape[1]).transpose(1, 2))
        cells = tuple(tuple(_cut(next(flat), len(part)).transpose(0, 1) for part in cell) for cell in like.cells)
        return State(past, like.static, cells)


def _static(coded: Coded | None, device: torch.device) -> Static | None:
    return None if coded is None else Static(*(torch.from_numpy(part).to(device) for part in coded))


def _parts(state: State) -> list[Tensor]:
    """List the parts of a state in the order of `packing.layout_of`, each with streams first."""
    past = state.past
    cells = [part.transpose(0, 1) for cell in state.cells for part in cell]
    return [past.changes.transpose(1, 2), past.level, past.seen.float(), past.absence, *cells]


def _sizes(state: State) -> list[int]:
    return [part[0].numel() for part in _parts(state)]


def _cut(flat: Tensor, parts: int) -> Float[Tensor, "stream part number"]:
    return flat.reshape(len(flat), parts, flat.shape[1] // parts)


def _flat(state: State) -> Float[Tensor, "stream width"]:
    return torch.cat([part.flatten(1) for part in _parts(state)], dim=1)

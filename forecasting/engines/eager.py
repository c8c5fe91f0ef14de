"""The network itself, run by torch; the reference for every other engine."""

from __future__ import annotations

import torch

from forecasting.engines.interface import Inputs, ZForecast
from forecasting.members import Static
from forecasting.network import Forecaster, Rows
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


def _static(coded: Coded | None, device: torch.device) -> Static | None:
    return None if coded is None else Static(*(torch.from_numpy(part).to(device) for part in coded))

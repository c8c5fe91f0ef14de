"""Explanations of forecasts, as they are answered: with the times of the rows that mattered."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from forecasting.admission import Window
from forecasting.memory.explaining import Explanation
from forecasting.prediction import z_inputs
from service.answers import rfc3339
from service.models import ServedModel


def explained(model: ServedModel, windows: Mapping[int, Window]) -> dict[int, Explanation]:
    """Explain the forecasts of windows, by their places.

    Raises:
        WindowRejected: a cell is absurdly far from what the model was trained on.
    """
    return {place: explained_one(model, window) for place, window in windows.items()}


def explained_one(model: ServedModel, window: Window) -> Explanation:
    """Explain the forecast of one window."""
    found = model.explainer.explain(z_inputs(model.bundle, window))
    if window.times is None:
        return found
    times = window.times[::-1]
    most = tuple(msgspec.structs.replace(row, timestamp=rfc3339(int(times[row.back]))) for row in found.most)
    return msgspec.structs.replace(found, most=most)

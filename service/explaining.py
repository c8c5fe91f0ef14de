"""Explanations of forecasts, as they are answered: with the times of the rows that mattered."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from forecasting.admission import Window
from forecasting.bundle import Bundle
from forecasting.memory.explaining import Explanation, explain
from forecasting.prediction import z_inputs
from service.answers import rfc3339


def explained(bundle: Bundle, windows: Mapping[int, Window]) -> dict[int, Explanation]:
    """Explain the forecasts of windows, by their places.

    Raises:
        WindowRejected: a cell is absurdly far from what the model was trained on.
    """
    return {place: explained_one(bundle, window) for place, window in windows.items()}


def explained_one(bundle: Bundle, window: Window) -> Explanation:
    """Explain the forecast of one window."""
    columns = bundle.spec.columns
    found = explain(bundle.forecaster, z_inputs(bundle, window), columns.targets, columns.targets + columns.past)
    if window.times is None:
        return found
    times = window.times[::-1]
    most = tuple(msgspec.structs.replace(row, timestamp=rfc3339(int(times[row.back]))) for row in found.most)
    return msgspec.structs.replace(found, most=most)

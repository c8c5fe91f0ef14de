"""The golden windows of a bundle, replayed: on this device, by this engine, does it say what was recorded?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from forecasting.admission import Window
from forecasting.bundle import Bundle, Golden
from forecasting.engines import ZForecast
from forecasting.errors import CorruptBundle, NotReproduced, WindowRejected

TOLERANCE = 1e-4
"""Absolute in z units, and relative: far above what rounding makes on another device, far below what matters."""


def refuse_unlike(bundle: Bundle, predict: Callable[[Window], ZForecast]) -> None:
    """Replay every golden window; where none was recorded, nothing is known and nothing refused.

    Raises:
        NotReproduced: point, median or scale is another one than was recorded.
        CorruptBundle: a golden window does not fit the model, or what was recorded is not finite.
    """
    for place, golden in enumerate(bundle.golden):
        recorded = _recorded(bundle, golden)
        try:
            said = predict(_window(bundle, golden))
        except WindowRejected as error:
            message = f"golden window {place} cannot be forecast: {error}; register the bundle again"
            raise CorruptBundle(message) from error
        for part, expected, found in zip(ZForecast._fields, recorded, said, strict=True):
            _refuse_far(f"{part} of golden window {place}", expected, found)


def _refuse_far(what: str, expected: np.ndarray, found: np.ndarray) -> None:
    if found.shape == expected.shape and np.allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE):
        return
    where = f"shape {found.shape} for {expected.shape}"
    if found.shape == expected.shape:
        where = f"off by up to {np.abs(found - expected).max():.2g}"
    message = f"{what} is not what was recorded: {where}, at most {TOLERANCE} is taken; train the model again here"
    raise NotReproduced(message)


def _window(bundle: Bundle, golden: Golden) -> Window:
    columns, rows = bundle.spec.columns, len(golden.values)
    values = _array(golden.values, (rows, len(columns.row)))
    ahead = _array(golden.ahead, (bundle.spec.horizon, len(columns.known)))
    if not rows or len(golden.times) != rows:
        message = f"a golden window has {rows} rows and {len(golden.times)} times; register the bundle again"
        raise CorruptBundle(message)
    return Window(values, np.array(golden.times, dtype=np.int64), golden.series, ahead)


def _recorded(bundle: Bundle, golden: Golden) -> ZForecast:
    shape = bundle.spec.horizon, len(bundle.spec.targets)
    found = ZForecast(*(_array(part, shape) for part in (golden.point, golden.median, golden.scale)))
    if not all(np.isfinite(part).all() for part in found):
        message = "a forecast in golden.json is not finite; train the model again"
        raise CorruptBundle(message)
    return found


def _array(rows: tuple[tuple[float | None, ...], ...], shape: tuple[int, int]) -> np.ndarray:
    """Return rows as numbers, None as NaN."""
    if len(rows) != shape[0] or any(len(row) != shape[1] for row in rows):
        message = f"golden.json does not fit the model: expected {shape[0]} rows of {shape[1]}; register it again"
        raise CorruptBundle(message)
    with np.errstate(over="ignore"):  # infinite then, and found
        return np.array([[np.nan if cell is None else cell for cell in row] for row in rows], np.float32).reshape(shape)

"""What tracking takes from a bundle: calibrated multipliers, and how large its residuals are expected to be."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from forecasting.conformal import JUDGED, Calibration

RATE = 0.04
"""How far the mean of |r| moves to the newest one: about the last 25 rows count."""

VARIATION, MOST = 0.9, 4.0
"""Squared coefficient of variation of |r| (Student's t with 5 degrees of freedom) above which it moves more slowly; and
how many root mean squares move it at most."""

SLOWER = 0.75
"""Intervals of step h move h to this power slower than those of the next step: its residuals share h - 1 rows."""

SMALLEST = 1e-3


def fixed_numbers(
    calibration: Calibration | None, levels: tuple[int, ...], horizon: int, targets: int
) -> Float[np.ndarray, " numbers"]:
    """Return what the kernel takes of a calibration, flat; the layout stands in `kernel`."""
    rates = np.arange(1.0, horizon + 1) ** -SLOWER
    if calibration is None:
        return np.concatenate([np.ones(3 * horizon * targets), rates, np.zeros(1)])
    judged = levels.index(JUDGED) if JUDGED in levels else 0
    cells = np.concatenate([expected(calibration), calibration.ends(levels)]).reshape(3 + 2 * len(levels), -1)
    return np.concatenate([cells.T.ravel(), [1 - level / 100 for level in levels], rates, [judged]])


def expected(calibration: Calibration) -> Float[np.ndarray, "three horizon target"]:
    """Return the mean of |r| that its quantiles tell, how quickly a factor follows it, and the most that moves it.

    Quantiles are linear between those calibrated, and beyond the last one a quarter farther on average. What is calm
    but for rare storms (a large coefficient of variation) is followed slowly, by steps that may be large.
    """
    size = np.maximum(np.abs(calibration.factors.astype(np.float64)), SMALLEST)
    p = np.array(calibration.probabilities)
    step, low, high = np.diff(p)[:, None, None], size[:-1], size[1:]
    mean = (step * (low + high) / 2).sum(axis=0) + 1.25 * (p[0] * size[0] + (1 - p[-1]) * size[-1])
    square = (step * (low**2 + low * high + high**2) / 3).sum(axis=0)
    square += 1.625 * (p[0] * size[0] ** 2 + (1 - p[-1]) * size[-1] ** 2)  # of 1 + an exponential of mean 1/4
    spread = square / mean**2
    rate = RATE * np.minimum(1.0, np.sqrt(VARIATION / np.maximum(spread - 1, SMALLEST)))
    return np.stack([mean, rate, MOST * np.sqrt(spread)])

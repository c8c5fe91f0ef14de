"""How much of a gradient is left so many steps back, before any training: what a system begins to learn with.

Of a random direction of the last output, the derivative by the rows before it. Double precision: a plain network passes
on less than single precision can tell from nothing.
"""

from __future__ import annotations

import torch

from forecasting.lab.results import Flow
from forecasting.lab.variants import HIDDEN, Network, Variant

ROWS, FEATURES, SEQUENCES = 200, 7, 16
LAGS = (1, 2, 5, 10, 20, 50, 100, 150, ROWS - 1)
TINY = 1e-300


def flow_of(variant: Variant, seeds: int) -> Flow:
    """Measure it from so many seeds; the factor a step is the mean over all the steps there are, a geometric one."""
    left = tuple(_left(variant, seed) for seed in range(seeds))
    factors = tuple(max(one[-1], TINY) ** (1 / LAGS[-1]) for one in left)
    return Flow(variant=variant, lags=LAGS, left=left, factors=factors)


def _left(variant: Variant, seed: int) -> tuple[float, ...]:
    network = Network(variant, FEATURES, ROWS, seed).double()
    rows = torch.randn(SEQUENCES, ROWS, FEATURES, dtype=torch.float64).requires_grad_()
    outputs, _ = network.cell.unroll(rows, network.cell.initial_state(SEQUENCES))
    direction = torch.randn(HIDDEN, dtype=torch.float64)
    (slope,) = torch.autograd.grad((outputs[:, -1] @ direction).sum(), rows)
    by_lag = slope.square().sum(dim=(0, 2)).sqrt().flip(0)
    return tuple(float(by_lag[lag] / by_lag[0]) for lag in LAGS)

"""Whether the state of a forecaster has bounds: it is carried over rows for long, and its largest number is looked at.

Without a forget gate a state "may grow indefinitely and cause the network to break down" (Gers, Schmidhuber and Cummins
2000); gates and tanh are then where no training has been.
"""

from __future__ import annotations

from itertools import chain

import torch

from forecasting.network import Forecaster, State
from forecasting.scaled import static_of
from forecasting.streaming import Job, rows_of

BEHIND = (100, 500, 1_000, 2_500, 5_000)
"""Rows behind which the state is looked at."""
PERIOD = 2_048
"""Rows of a series that are gone over, again and again."""

MOST = float(torch.finfo(torch.float32).max)


@torch.no_grad()
def growth_of(forecaster: Forecaster, job: Job) -> tuple[tuple[int, float], ...]:
    """Carry a forecaster over the rows of a job again and again; return the largest number in its cells by rows behind.

    It ends where a number is no longer finite, with the largest that there is.
    """
    device, horizon = forecaster.spread.device, forecaster.architecture.horizon
    rows = rows_of([job], 0, min(job.at.stop - job.first, PERIOD), horizon, device)
    state, behind, period = forecaster.initial_state(1, static_of([job.one], device)), 0, rows.values.shape[1]
    found: list[tuple[int, float]] = []
    for until in BEHIND:
        while behind < until:
            start = behind % period
            size = min(period - start, until - behind)
            _, state = forecaster.unroll_members(rows.part(start, start + size), state, range(size - 1, size))
            behind += size
        found.append((until, _largest(state)))
        if found[-1][1] >= MOST:
            break
    return tuple(found)


def _largest(state: State) -> float:
    largest = max(float(part.abs().max().nan_to_num(MOST)) for part in chain.from_iterable(state.cells))
    return round(min(largest, MOST), 6)

"""The adding problem: of many numbers two are marked, one in each half; at the end their sum is to be said.

Source: Hochreiter and Schmidhuber 1997, in the form of Le, Jaitly and Hinton 2015. Who remembers nothing says 1,
and has a squared error of 1/6, the variance of a sum of two uniform numbers. Solved is below 0.005.
"""

from __future__ import annotations

import torch

from forecasting.lab.results import Lesson
from forecasting.lab.variants import Network, Variant

BASELINE = 1 / 6
SOLVED, DONE = 0.005, 0.002
MOST, BATCH = 1_500, 16
LOOK_EVERY, LOOKED_AT, JUDGED_ON = 100, 256, 2_048
JUDGED_TOGETHER = 512


def sequences(count: int, length: int, draw: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return rows of (number, mark), of shape (count, length, 2), and the sums of the marked numbers."""
    numbers, marks = torch.rand(count, length, generator=draw), torch.zeros(count, length)
    half = length // 2
    early, late = (torch.randint(low, high, (count, 1), generator=draw) for low, high in ((0, half), (half, length)))
    marks.scatter_(1, early, 1.0).scatter_(1, late, 1.0)
    return torch.stack([numbers, marks], dim=2), (numbers * marks).sum(dim=1)


def learn(variant: Variant, length: int, seed: int, most: int = MOST) -> Lesson:
    """Train a variant, until it errs by less than 0.002 or for `most` iterations."""
    network, draw = Network(variant, 2, length, seed), torch.Generator().manual_seed(1_000 + seed)
    looked_at = sequences(LOOKED_AT, length, torch.Generator().manual_seed(1))
    adam = torch.optim.Adam(network.parameters(), lr=variant.rate)
    iteration = 0
    while iteration < most:
        network.learn(adam, *sequences(BATCH, length, draw))
        iteration += 1
        if iteration % LOOK_EVERY == 0 and _error(network, *looked_at) < DONE:
            break
    error = _error(network, *sequences(JUDGED_ON, length, torch.Generator().manual_seed(2)))
    return Lesson(seed=seed, error=error, solved_after=iteration if error < SOLVED else None, iterations=iteration)


@torch.no_grad()
def _error(network: Network, rows: torch.Tensor, sums: torch.Tensor) -> float:
    said = torch.cat([network(part) for part in torch.split(rows, JUDGED_TOGETHER)])
    found = float((said - sums).square().mean())
    return found if found == found else float("inf")  # noqa: PLR0124 - not a number

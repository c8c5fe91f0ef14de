"""How large the state of a network becomes that is carried on and on, once it has learnt to say a wave's next row.

Without a forget gate "the state may grow indefinitely and cause the network to break down" (Gers, Schmidhuber and
Cummins 2000). A model whose state grows so is not streamed (`steadiness.Streaming.grows`).
"""

from __future__ import annotations

import math

import torch

from forecasting.growing import BEHIND
from forecasting.lab.results import Growth
from forecasting.lab.variants import Network, Variant
from forecasting.steadiness import Streaming

WINDOW, BATCH, PERIOD, NOISE = 96, 32, 24, 0.3
LEVEL = 0.5


def growth_of(variant: Variant, seed: int = 0, iterations: int = 200) -> Growth:
    """Train a variant on windows of a noisy daily wave, and carry it over 5,000 rows of it."""
    network, draw = Network(variant, 1, WINDOW, seed), torch.Generator().manual_seed(seed)
    adam = torch.optim.Adam(network.parameters(), lr=variant.rate)
    for _ in range(iterations):
        rows = _wave(BATCH, WINDOW + 1, draw)
        network.learn(adam, rows[:, :-1], rows[:, -1, 0])
    sizes = _sizes(network, _wave(1, BEHIND[-1], draw))
    verdict = Streaming(window=WINDOW, origins=0, carried=0, growth=tuple(zip(BEHIND, sizes, strict=True)))
    return Growth(variant=variant, behind=BEHIND, sizes=sizes, refused=verdict.grows)


def _wave(count: int, rows: int, draw: torch.Generator) -> torch.Tensor:
    """Draw waves from any hour of a day on, above zero, as loads and flows are."""
    hours = torch.arange(rows) + torch.randint(PERIOD, (count, 1), generator=draw)
    noise = NOISE * torch.randn(count, rows, generator=draw)
    return (LEVEL + torch.sin(2 * math.pi * hours / PERIOD) + noise)[..., None]


@torch.no_grad()
def _sizes(network: Network, rows: torch.Tensor) -> tuple[float, ...]:
    state, sizes, start = network.cell.initial_state(1), [], 0
    for behind in BEHIND:
        _, state = network.cell.unroll(rows[:, start:behind], state)
        sizes.append(max(float(part.abs().max()) for part in state))
        start = behind
    return tuple(sizes)

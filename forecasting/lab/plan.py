"""What the laboratory tries: in full within ten minutes on two cores, quickly within one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from forecasting.cells import SYSTEMS
from forecasting.lab.adding import MOST
from forecasting.lab.variants import Variant

CHRONO = "chrono"
GENTLE = 3e-3
"""The learning rate of alternative 2, which is not stable at the one of the others (`docs/lab-log.md`)."""


class Trial(NamedTuple):
    """One training: a variant, the length of the sequences, the seed, iterations at most."""

    variant: Variant
    length: int
    seed: int
    most: int = MOST


class Plan(NamedTuple):
    """Variants whose gradients are followed, trainings, variants whose states are carried on; from so many seeds."""

    seeds: int
    flows: tuple[Variant, ...]
    trials: tuple[Trial, ...]
    growths: tuple[Variant, ...]


def _flows() -> Iterator[Variant]:
    for name, system in SYSTEMS.items():
        yield from (Variant(name, begin) for begin in (("default", "one", CHRONO) if system.keeps else ("default",)))


TRIED = (
    (Variant("alternative2", CHRONO, GENTLE), (200, 100)),
    (Variant("question", CHRONO), (200, 100)),
    (Variant("alternative1"), (200, 100)),
    (Variant("gru"), (200, 100)),
    (Variant("alternative1_skip"), (100,)),
    (Variant("lstm1997"), (100,)),
    (Variant("lstm"), (400, 200, 100)),
    (Variant("lstm", "one"), (200, 100)),
    (Variant("gru", CHRONO), (400, 200, 100)),
    (Variant("lstm", CHRONO), (400, 200, 100)),
    (Variant("rnn", rate=1e-3), (200, 100)),
)
"""Variants and lengths; those that take longest first, so that no core is left alone with one at the end."""


def _full(seeds: int) -> Iterator[Trial]:
    for variant, lengths in TRIED:
        yield from (Trial(variant, length, seed) for length in lengths for seed in range(seeds))


def _quick() -> Iterator[Trial]:
    for variant in (Variant("lstm"), Variant("alternative1"), Variant("lstm", CHRONO)):
        yield Trial(variant, 50, 0, 600)


GROWTHS = (Variant("lstm1997"), Variant("lstm"), Variant("gru"))
FULL = Plan(3, tuple(_flows()), tuple(_full(3)), GROWTHS)
QUICK = Plan(1, tuple(_flows()), tuple(_quick()), GROWTHS)

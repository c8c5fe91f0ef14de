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


def _full(seeds: int) -> Iterator[Trial]:
    """Yield the trainings, those that take longest first, so that no core is left alone with one at the end."""
    chrono = {name: Variant(name, CHRONO) for name in ("lstm", "gru", "question")}
    gentle = Variant("alternative2", CHRONO, GENTLE)
    one, first = Variant("lstm", "one"), Variant("alternative1")
    plain = {name: Variant(name) for name in ("lstm", "gru", "lstm1997")}
    by_length = {
        200: (gentle, chrono["question"], first, plain["gru"], plain["lstm"], one, chrono["lstm"], chrono["gru"]),
        400: (chrono["gru"], plain["lstm"], chrono["lstm"]),
        100: (
            plain["lstm1997"],
            first,
            plain["gru"],
            plain["lstm"],
            one,
            chrono["lstm"],
            chrono["gru"],
            Variant("rnn", rate=1e-3),
        ),
    }
    for length, variants in by_length.items():
        yield from (Trial(variant, length, seed) for variant in variants for seed in range(seeds))


def _quick() -> Iterator[Trial]:
    for variant in (Variant("lstm"), Variant("alternative1"), Variant("lstm", CHRONO)):
        yield Trial(variant, 50, 0, 600)


GROWTHS = (Variant("lstm1997"), Variant("lstm"), Variant("gru"))
FULL = Plan(3, tuple(_flows()), tuple(_full(3)), GROWTHS)
QUICK = Plan(1, tuple(_flows()), tuple(_quick()), GROWTHS)

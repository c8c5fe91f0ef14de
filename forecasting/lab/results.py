"""What the laboratory writes down."""

from __future__ import annotations

import msgspec

from forecasting.lab.variants import Variant


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a gradient is left `lags` steps back, relative to the newest row; a factor a step for each seed."""

    variant: Variant
    lags: tuple[int, ...]
    left: tuple[tuple[float, ...], ...]
    factors: tuple[float, ...]


class Lesson(msgspec.Struct, frozen=True, kw_only=True):
    """One training on the adding problem: the squared error at its end, and after how many iterations it was solved."""

    seed: int
    error: float
    solved_after: int | None
    iterations: int


class Added(msgspec.Struct, frozen=True, kw_only=True):
    """The adding problem over sequences of `length` rows, learnt by a variant from several seeds."""

    variant: Variant
    length: int
    lessons: tuple[Lesson, ...]

    @property
    def solved(self) -> int:
        """How many seeds solved it."""
        return sum(lesson.solved_after is not None for lesson in self.lessons)


class Growth(msgspec.Struct, frozen=True, kw_only=True):
    """The largest number in a state that is carried on, behind so many rows; whether it is refused for streams."""

    variant: Variant
    behind: tuple[int, ...]
    sizes: tuple[float, ...]
    refused: bool


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """All of it, with what made it; `seconds` on `cores` cores."""

    quick: bool
    seeds: int
    made: str
    versions: dict[str, str]
    cores: int
    seconds: float
    flows: tuple[Flow, ...]
    added: tuple[Added, ...]
    growths: tuple[Growth, ...]

    def flow(self, system: str, begin: str = "default") -> Flow | None:
        """Return the flow of a variant, if it was measured."""
        return next((one for one in self.flows if (one.variant.system, one.variant.begin) == (system, begin)), None)

    def adding(self, system: str, begin: str, length: int) -> Added | None:
        """Return what became of a variant on the adding problem, if it was tried."""
        wanted = (system, begin, length)
        return next((one for one in self.added if (one.variant.system, one.variant.begin, one.length) == wanted), None)

    def growth(self, system: str) -> Growth | None:
        """Return how the state of a system grew, if it was measured."""
        return next((one for one in self.growths if one.variant.system == system), None)

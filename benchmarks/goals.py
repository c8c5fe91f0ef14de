"""Goals: ratios within a round of a measurement, and whether their median holds."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from benchmarks.measuring import spread

HEAD = ("ratio", "goal", "measured", "holds")
Round = TypeVar("Round")


class Goal(NamedTuple, Generic[Round]):
    """A figure of a round that is to be at most, or at least, so much."""

    text: str
    ratio: Callable[[Round], float]
    bound: float
    most: bool = False
    form: str = "{:.2f}"

    def row(self, found: Sequence[Round]) -> tuple[str, ...]:
        """Say how it stands."""
        ratios = [self.ratio(one) for one in found]
        middle = statistics.median(ratios)
        holds = middle <= self.bound if self.most else middle >= self.bound
        goal = f"{'<=' if self.most else '>='} {self.bound:,}"
        return self.text, goal, spread(ratios, self.form), "yes" if holds else "NO"

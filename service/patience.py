"""When what has failed is tried again: after a pause that doubles with every failure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from service.models import ServedRef, Slot

LONGEST_SECONDS = 300.0


class Trouble(NamedTuple):
    """A version that is not served, how often in a row it failed, and when, by the loop's clock, it is its turn."""

    key: tuple[str, str, str]
    failures: int
    due: float


@dataclass
class Patience:
    """Versions that could not be served, by slot; once another one belongs there, they are forgotten."""

    seconds: float
    troubles: dict[Slot, Trouble] = field(default_factory=dict)

    def waits(self, slot: Slot, ref: ServedRef, now: float) -> bool:
        """Tell whether a version has failed and it is not its turn yet."""
        trouble = self.troubles.get(slot)
        return trouble is not None and trouble.key == ref.key and now < trouble.due

    def failed(self, slot: Slot, ref: ServedRef, now: float) -> None:
        """Note that a version failed, for the first time or again."""
        before = self.troubles.get(slot)
        failures = before.failures + 1 if before and before.key == ref.key else 1
        self.troubles[slot] = Trouble(ref.key, failures, now + backoff(self.seconds, failures - 1, LONGEST_SECONDS))

    def given_up(self, slot: Slot, ref: ServedRef) -> None:
        """Note that a version is not to be tried again by itself."""
        self.troubles[slot] = Trouble(ref.key, 1, math.inf)

    def over(self, slot: Slot) -> None:
        """Forget what was wrong in a slot."""
        self.troubles.pop(slot, None)

    def clear(self) -> None:
        """Forget everything."""
        self.troubles.clear()


def backoff(seconds: float, failures: int, longest: float) -> float:
    """Double a pause with every failure up to the longest; one that is longer by itself stays as it is."""
    return max(seconds, min(seconds * 2.0 ** min(failures, 30), longest))

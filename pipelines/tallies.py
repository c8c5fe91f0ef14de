"""What becomes of rows that are replayed, counted by series and over all of them."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import numpy as np

from forecasting.conformal import JUDGED
from pipelines.pushing import Identity, Problem

MILLISECONDS = 1000.0


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of rows of one stream, as the service says it; see its `PushAnswer`."""

    accepted: int = 0
    skill: float | None = None
    coverage: dict[str, float | None] | None = None
    scored: int = 0
    drift: str = "none"
    model: Identity | None = None
    problem: Problem | None = None
    forecast: msgspec.Raw = msgspec.Raw(b"[]")

    @property
    def covers(self) -> float | None:
        """The share of what came that the 90 % interval held."""
        return (self.coverage or {}).get(str(JUDGED))


BEFORE = Outcome()
"""Before the first row."""


class Latency(NamedTuple):
    """The median and the 99th percentile in milliseconds, each a latency that was measured; None before the first."""

    p50: float | None
    p99: float | None


def latency(seconds: array[float]) -> Latency:
    """Return what was measured as two numbers."""
    if not seconds:
        return Latency(None, None)
    found = np.percentile(np.array(seconds), [50, 99], method="inverted_cdf") * MILLISECONDS
    return Latency(float(found[0]), float(found[1]))


@dataclass
class Tally:
    """How a series has fared.

    `rows` were pushed and `history` imported; `again` of them were known before; `refused` others were refused, the
    first for `reason`. `last` is what was said of the newest row pushed, by `version`.
    """

    rows: int = 0
    history: int = 0
    again: int = 0
    refused: int = 0
    reason: str = ""
    last: Outcome = BEFORE
    version: str = ""
    seconds: array[float] = field(default_factory=lambda: array("f"))

    @property
    def taken(self) -> int:
        """Rows that were answered."""
        return self.rows + self.history

    def refuse(self, rows: int, reason: str) -> None:
        """Count rows that were refused."""
        self.refused += rows
        self.reason = self.reason or reason

    def take(self, rows: int, outcome: Outcome, version: str, *, history: bool) -> None:
        """Count rows that were answered."""
        self.again += rows - outcome.accepted
        self.version = version
        if history:
            self.history += rows
        else:
            self.rows += rows
            self.last = outcome

    def summary(self) -> dict[str, Any]:
        """Return what `--json` says of a series."""
        return {
            "rows": self.rows,
            "imported": self.history,
            "replayed": self.again,
            "refused": self.refused,
            "reason": self.reason or None,
            "skill": self.last.skill,
            "coverage": self.last.covers,
            "scored": self.last.scored,
            "drift": self.last.drift,
            "version": self.version or None,
            "latency_ms": latency(self.seconds)._asdict(),
        }


@dataclass
class Board:
    """The tallies of all streams of the model `name` at `url`, the latency of each request, and how long all took."""

    name: str
    url: str
    tallies: Mapping[str, Tally]
    seconds: array[float] = field(default_factory=lambda: array("f"))
    spent: float = 0.0
    spent_on_history: float = 0.0

    def spend(self, seconds: float, *, history: bool) -> None:
        """Note how long rows took so far, those pushed or those of history."""
        if history:
            self.spent_on_history = seconds
        else:
            self.spent = seconds

    def total(self, count: str) -> int:
        """Return the sum of one of the counts over all series."""
        return sum(getattr(one, count) for one in self.tallies.values())

    def mean(self, score: str) -> float | None:
        """Return the mean of `skill` or `covers` over the series that have one."""
        return _mean([getattr(one.last, score) for one in self.tallies.values()])

    @property
    def speed(self) -> float:
        """Rows that were pushed and answered a second."""
        return self.total("rows") / self.spent if self.spent else 0.0

    @property
    def reason(self) -> str:
        """The first reason why rows were refused, and of which stream; empty where none were."""
        return next((f"{name}: {one.reason}" for name, one in self.tallies.items() if one.refused), "")

    def summary(self, *, interrupted: bool) -> dict[str, Any]:
        """Return what `--json` says; skill and coverage are means over the series."""
        imported = self.total("history")
        return {
            "model": self.name,
            "rows": self.total("rows"),
            "imported": imported,
            "replayed": self.total("again"),
            "refused": self.total("refused"),
            "reason": self.reason or None,
            "interrupted": interrupted,
            "seconds": self.spent,
            "rows_per_second": self.speed,
            "imported_per_second": imported / self.spent_on_history if imported else None,
            "latency_ms": latency(self.seconds)._asdict(),
            "skill": self.mean("skill"),
            "coverage": self.mean("covers"),
            "series": {name: one.summary() for name, one in self.tallies.items()},
        }


def _mean(values: Collection[float | None]) -> float | None:
    known = [one for one in values if one is not None]
    return sum(known) / len(known) if known else None

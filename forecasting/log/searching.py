"""Finding rows by their times, which grow with their numbers: guessed by interpolation, no index needed.

On a grid of equal steps the first guess is right; months and daylight saving take a few more, and every other guess
halves what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple


class Mark(NamedTuple):
    """A row, and its time."""

    seq: int
    time: int


def find_rows(
    times: Sequence[int], oldest: Mark, newest: Mark, look: Callable[[Sequence[int]], dict[int, int]]
) -> list[int | None]:
    """Return the rows of these times, None where there is none; `look` gives the times of rows."""
    found: dict[int, int] = {mark.time: mark.seq for mark in (oldest, newest)}
    between = {time: (oldest, newest) for time in times if oldest.time < time < newest.time}
    halving = False
    while between:
        guesses = {
            time: _guess(time, *ends, halving) for time, ends in between.items() if ends[1].seq - ends[0].seq > 1
        }
        seen = look(sorted(set(guesses.values()))) if guesses else {}
        found.update((at, seq) for seq, at in seen.items())
        between = {
            time: _narrowed(time, between[time], Mark(guess, seen.get(guess, oldest.time)))
            for time, guess in guesses.items()
            if time not in found
        }
        halving = not halving
    return [found.get(time) for time in times]


def _guess(time: int, low: Mark, high: Mark, halving: bool) -> int:
    if halving:
        return (low.seq + high.seq) // 2
    rows = (time - low.time) * (high.seq - low.seq) // (high.time - low.time)
    return min(max(low.seq + rows, low.seq + 1), high.seq - 1)


def _narrowed(time: int, between: tuple[Mark, Mark], seen: Mark) -> tuple[Mark, Mark]:
    low, high = between
    return (seen, high) if seen.time < time else (low, seen)

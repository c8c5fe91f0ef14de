"""Ratios on a machine that others use too: ways are timed in turn, round by round, and compared within a round.

Seconds are of processor time. With one thread on an idle machine that is the time on the clock; on a busy one it leaves
out the waiting for a core.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

Way = Callable[[], object]
Seconds = list[float]


def interleaved(ways: Mapping[str, Way], rounds: int) -> dict[str, Seconds]:
    """Return the seconds of each way, a call a round.

    A round calls every way once, in another order each time; one round more comes first and is not counted.
    """
    times: dict[str, Seconds] = {name: [] for name in ways}
    order = list(ways)
    gc.collect()
    for number in range(rounds + 1):
        for name in order:
            start = time.process_time()
            ways[name]()
            if number:
                times[name].append(time.process_time() - start)
        order = order[1:] + order[:1]
    return times


def ratio(above: Sequence[float], below: Sequence[float]) -> str:
    """Say the ratio of two ways, round by round: median, and the quartiles around it."""
    return spread([one / other for one, other in zip(above, below, strict=True)], "{:.2f}")


def spread(numbers: Sequence[float], form: str) -> str:
    """Say a median with the least and the largest of the middle half, and of all."""
    low, middle, high = statistics.quantiles(numbers, n=4, method="inclusive")
    return "{} ({} to {}; all {} to {})".format(
        *(form.format(number) for number in (middle, low, high, min(numbers), max(numbers)))
    )


def milliseconds(seconds: Sequence[float]) -> str:
    """Say the median of times."""
    return f"{1e3 * statistics.median(seconds):.3f}"

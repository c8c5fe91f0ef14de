"""Calendar features and season length, both from the frequency.

A row's features are sines and cosines of where its local time stands in the day, the week and the year; each cycle is
used where the step is shorter than half of it.
"""

from __future__ import annotations

import math
from functools import cached_property

import msgspec
import numpy as np
import pandas as pd
from jaxtyping import Float, Int

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
WEEK = 7 * DAY
YEAR = int(365.2425 * DAY)
MONDAY = 4 * DAY  # 1970-01-01, the origin of the clock, was a Thursday

HARMONICS = {DAY: 4, WEEK: 3, YEAR: 2}


class Calendar(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The calendar of a model.

    `freq` is a pandas alias, `timezone` the local one. `yearly` tells whether training saw at least two years: with
    fewer, the time of year of a new row was never seen and its features would be an extrapolation.
    """

    freq: str
    timezone: str = "UTC"
    yearly: bool = False

    @cached_property
    def step(self) -> int:
        """Length of one step in nanoseconds; for months and longer, of a typical one."""
        probe = pd.date_range("2001-01-01", periods=3, freq=self.freq)
        return int((probe[2] - probe[1]).value)

    @cached_property
    def cycles(self) -> tuple[tuple[int, int], ...]:
        """Pairs of a cycle's length in nanoseconds and the number of harmonics used of it."""
        wanted = (DAY, WEEK, YEAR) if self.yearly else (DAY, WEEK)
        room = {cycle: min(HARMONICS[cycle], cycle // (2 * self.step)) for cycle in wanted}
        return tuple((cycle, harmonics) for cycle, harmonics in room.items() if harmonics)

    @property
    def width(self) -> int:
        """Number of features of a row."""
        return 2 * sum(harmonics for _, harmonics in self.cycles)

    @cached_property
    def season(self) -> int:
        """Rows in a season, as the field has it: a day of hours, a week of days, a year of weeks, months or quarters."""
        for cycle in (DAY, WEEK, YEAR):
            rows = round(cycle / self.step)
            if rows > 1:
                return rows
        return 1

    def features(self, times: Int[np.ndarray, "*rows"]) -> Float[np.ndarray, "*rows features"]:
        """Return float32 features of UTC times, given in nanoseconds since 1970."""
        local = self._local(times) - MONDAY
        angles = [
            (local % cycle) * (2 * math.pi * harmonic / cycle)
            for cycle, harmonics in self.cycles
            for harmonic in range(1, harmonics + 1)
        ]
        if not angles:
            return np.zeros((*times.shape, 0), dtype=np.float32)
        turns = np.stack(angles, axis=-1)
        return np.concatenate([np.sin(turns), np.cos(turns)], axis=-1, dtype=np.float32)

    def following(self, last: pd.Timestamp, steps: int) -> pd.DatetimeIndex:
        """Return the UTC times of the `steps` rows after `last`, on the local calendar for steps of a day and longer."""
        local = last.tz_convert(self.timezone)
        return pd.date_range(local, periods=steps + 1, freq=self.freq)[-steps:].tz_convert("UTC")

    def _local(self, times: Int[np.ndarray, "*rows"]) -> Int[np.ndarray, "*rows"]:
        if self.timezone == "UTC":
            return times
        index = pd.DatetimeIndex(times.ravel(), tz="UTC").tz_convert(self.timezone)
        return nanoseconds(index.tz_localize(None)).reshape(times.shape)


def nanoseconds(index: pd.DatetimeIndex) -> Int[np.ndarray, " rows"]:
    """Return the times of an index in nanoseconds since 1970 (UTC where it has a time zone)."""
    return np.asarray(index.as_unit("ns").asi8)


def calendar_for(index: pd.DatetimeIndex, freq: str, timezone: str) -> Calendar:
    """Return the calendar for a model trained on the rows of `index`."""
    spans_years = bool(index[-1] - index[0] >= pd.Timedelta(days=2 * 365))
    return Calendar(freq=freq, timezone=timezone, yearly=spans_years)

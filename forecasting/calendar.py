"""Calendar features and season length, both from the frequency.

A row's features are sines and cosines of where its local time stands in the day, the week and the year; each cycle is
used where the step is shorter than half of it.
"""

from __future__ import annotations

import math
from functools import cached_property, lru_cache
from typing import NamedTuple

import msgspec
import numpy as np
import pandas as pd
from jaxtyping import Float, Int

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
WEEK = 7 * DAY
YEAR = int(365.2425 * DAY)
MONDAY = 4 * DAY  # 1970-01-01, the origin of the clock, was a Thursday

LONGEST_WEEK = 20_160  # steps of half a minute

STEPS = 12  # months of a year: as many steps are measured together

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
        """Length of one step in nanoseconds; where steps differ (business days, months), their mean."""
        probe = pd.date_range("2001-01-01", periods=STEPS + 1, freq=self.freq)
        return int((probe[STEPS] - probe[0]).value) // STEPS

    @cached_property
    def cycles(self) -> tuple[tuple[int, int], ...]:
        """Pairs of a cycle's length in nanoseconds and the number of harmonics used of it."""
        wanted = (DAY, WEEK, YEAR) if self.yearly else (DAY, WEEK)
        room = {cycle: min(HARMONICS[cycle], cycle // (2 * self.step)) for cycle in wanted}
        return tuple((cycle, harmonics) for cycle, harmonics in room.items() if harmonics)

    @cached_property
    def width(self) -> int:
        """Number of features of a row."""
        return 2 * sum(harmonics for _, harmonics in self.cycles)

    @cached_property
    def season(self) -> int:
        """Rows in a season, as the field has it: a day of hours, a week of days, a year of weeks or months."""
        for cycle in (DAY, WEEK, YEAR):
            rows = round(cycle / self.step)
            if rows > 1:
                return rows
        return 1

    def features(self, times: Int[np.ndarray, "*rows"]) -> Float[np.ndarray, "*rows features"]:
        """Return float32 features of UTC times, given in nanoseconds since 1970."""
        since_monday = self._local(times) - MONDAY
        if self._week is not None:
            place, beside = np.divmod(since_monday % WEEK, self.step)
            if not beside.any():
                return self._week[place]
        return self._waves(since_monday)

    def features_at(self, time: int) -> Float[np.ndarray, "one features"]:
        """Return the features of one UTC time, the same in a tenth of the time: it is on the way of every push."""
        if self._week is not None:
            place, beside = divmod((self._local_at(time) - MONDAY) % WEEK, self.step)
            if not beside:
                return self._week[place : place + 1]
        return self.features(np.array([time], dtype=np.int64))

    def _waves(self, since_monday: Int[np.ndarray, "*rows"]) -> Float[np.ndarray, "*rows features"]:
        cycles, speeds = self._harmonics
        angles = (since_monday[..., None] % cycles) * speeds
        return np.concatenate([np.sin(angles), np.cos(angles)], axis=-1, dtype=np.float32)

    @cached_property
    def _week(self) -> Float[np.ndarray, "steps features"] | None:
        """Return the features of every step of a week; None where a week does not tell them, or has too many steps.

        Looking them up takes a third of the time of computing them, which is a noticeable part of a forecast.
        """
        if self.yearly or WEEK % self.step or WEEK // self.step > LONGEST_WEEK:
            return None
        return self._waves(np.arange(0, WEEK, self.step, dtype=np.int64))

    @cached_property
    def _harmonics(self) -> tuple[Int[np.ndarray, " harmonics"], Float[np.ndarray, " harmonics"]]:
        """Return of each harmonic its cycle in nanoseconds and its speed in radians a nanosecond."""
        pairs = [(cycle, harmonic) for cycle, most in self.cycles for harmonic in range(1, most + 1)]
        cycles = np.array([cycle for cycle, _ in pairs], dtype=np.int64)
        return cycles, np.array([2 * math.pi * harmonic / cycle for cycle, harmonic in pairs])

    def _local_at(self, time: int) -> int:
        if self.timezone == "UTC":
            return time
        clock = clock_of(self.timezone)
        return time + int(clock.offsets[clock.changes.searchsorted(time, "right")])

    def _local(self, times: Int[np.ndarray, "*rows"]) -> Int[np.ndarray, "*rows"]:
        if self.timezone == "UTC":
            return times
        clock = clock_of(self.timezone)
        return np.asarray(times + clock.offsets[np.searchsorted(clock.changes, times, side="right")])


class Clock(NamedTuple):
    """The local clock of a zone: when it changes (UTC), and its offset before, between and after; nanoseconds."""

    changes: Int[np.ndarray, " change"]
    offsets: Int[np.ndarray, " change+1"]


@lru_cache(maxsize=32)
def clock_of(timezone: str) -> Clock:
    """Find the changes of a zone's clock from 1800 to 2199: those between two days, narrowed down to the second.

    A table of them tells the offsets of a window in microseconds, where asking the zone for every row takes a
    noticeable part of a forecast.
    """
    days = np.arange("1800", "2200", dtype="M8[D]").astype("M8[s]").astype(np.int64)
    offsets = _offsets(days, timezone)
    changed = np.flatnonzero(np.diff(offsets))
    before, after = days[changed], days[changed + 1]
    while (after - before > 1).any():
        middle = (before + after) // 2
        early = _offsets(middle, timezone) == offsets[changed]
        before, after = np.where(early, middle, before), np.where(early, after, middle)
    return Clock(after * SECOND, offsets[np.append(changed, -1)])


def _offsets(seconds: Int[np.ndarray, " times"], timezone: str) -> Int[np.ndarray, " times"]:
    """Return local time minus UTC in nanoseconds."""
    index = pd.DatetimeIndex(seconds * SECOND, tz="UTC")
    return np.asarray(nanoseconds(index.tz_convert(timezone).tz_localize(None)) - nanoseconds(index))


def nanoseconds(index: pd.DatetimeIndex) -> Int[np.ndarray, " rows"]:
    """Return the times of an index in nanoseconds since 1970 (UTC where it has a time zone)."""
    return np.asarray(index.as_unit("ns").asi8)


def calendar_for(index: pd.DatetimeIndex, freq: str, timezone: str) -> Calendar:
    """Return the calendar for a model trained on the rows of `index`."""
    spans_years = bool(index[-1] - index[0] >= pd.Timedelta(days=2 * 365))
    return Calendar(freq=freq, timezone=timezone, yearly=spans_years)

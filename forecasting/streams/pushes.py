"""What is pushed to streams and what comes of it, column by column: one push or ten thousand, the same arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from forecasting.admission import Caution
from forecasting.errors import GatecastError
from forecasting.log.records import Version
from forecasting.statics import StaticValue


class Pushes(NamedTuple):
    """Rows for streams of one principal and one model, a push a stream; a stream may stand in several pushes.

    Rows `starts[p]` to `starts[p + 1]` belong to push p, oldest first, times ascending in UTC nanoseconds. `values` are
    targets, past and known covariates in the model's order, in the units of the data, NaN where missing. `ahead` are
    the known covariates of the steps after a push's last row, NaN where not given; None for a model that has none.
    `series` and `static` say what a new stream is; None, or a None inside, leaves it to the name of the stream.
    """

    principal: str
    names: Sequence[str]
    starts: Int[np.ndarray, " pushes_and_one"]
    times: Int[np.ndarray, " rows"]
    values: Float[np.ndarray, "rows columns"]
    ahead: Float[np.ndarray, "pushes horizon known"] | None = None
    series: Sequence[str | None] | None = None
    static: Sequence[Mapping[str, StaticValue]] | None = None
    history: bool = False
    """Rows from before the first push: logged, not forecast from."""

    def columns(self, push: int) -> tuple[str | None, Mapping[str, StaticValue]]:
        """Return series and static covariates that came with a push."""
        series = None if self.series is None else self.series[push]
        return series, {} if self.static is None else self.static[push]


class Outcomes(NamedTuple):
    """What came of each push; where `errors` has one, nothing of that push was accepted, and its numbers mean nothing.

    `seq` and `time` are of the newest row of the push. `ends` are by level low and high, in the order of the model's
    levels, in the units of the data. `score` is as `Tracking.read` reads it, of that newest row. `answered` names the
    version that made the forecast where it is not the one that was asked (it may be loaded no longer), `cautions` what
    its reader should know.
    """

    errors: dict[int, GatecastError]
    seq: Int[np.ndarray, " pushes"]
    time: Int[np.ndarray, " pushes"]
    accepted: Int[np.ndarray, " pushes"]
    replayed: Bool[np.ndarray, " pushes"]
    point: Float[np.ndarray, "pushes horizon target"]
    median: Float[np.ndarray, "pushes horizon target"]
    ends: Float[np.ndarray, "pushes ends horizon target"]
    score: Float[np.ndarray, "pushes scored"]
    answered: dict[int, Version]
    cautions: dict[int, tuple[Caution, ...]]


def select(pushes: Pushes, places: Int[np.ndarray, " some"]) -> Pushes:
    """Return some of the pushes."""
    spans = [np.arange(pushes.starts[place], pushes.starts[place + 1]) for place in places.tolist()]
    rows = np.concatenate(spans) if spans else np.zeros(0, np.int64)
    return pushes._replace(
        names=[pushes.names[place] for place in places.tolist()],
        starts=np.cumsum([0, *map(len, spans)]),
        times=pushes.times[rows],
        values=pushes.values[rows],
        ahead=None if pushes.ahead is None else pushes.ahead[places],
        series=None if pushes.series is None else [pushes.series[place] for place in places.tolist()],
        static=None if pushes.static is None else [pushes.static[place] for place in places.tolist()],
    )


Part = tuple[Int[np.ndarray, " some"], Outcomes]
"""What came of some of the pushes, with their places among all."""


def join(parts: Sequence[Part]) -> Outcomes:
    """Return the outcomes of all pushes from those of some, each with the places where they belong."""
    count = sum(len(places) for places, _ in parts)
    joined = nothing(count, parts[0][1])
    for places, outcomes in parts:
        for field in ARRAYS:
            getattr(joined, field)[places] = getattr(outcomes, field)
        for field in ("errors", "answered", "cautions"):
            getattr(joined, field).update({int(places[at]): one for at, one in getattr(outcomes, field).items()})
    return joined


def left_of(parts: Sequence[Part], count: int) -> Int[np.ndarray, " some"]:
    """Return the places of so many pushes that are in no part."""
    return np.setdiff1d(np.arange(count), np.concatenate([places for places, _ in parts]))


def refused(places: Int[np.ndarray, " some"], like: Outcomes, error: GatecastError) -> Part:
    """Return outcomes of pushes that were all refused, for one reason."""
    outcomes = nothing(len(places), like)
    outcomes.errors.update(dict.fromkeys(range(len(places)), error))
    return places, outcomes


ARRAYS = ("seq", "time", "accepted", "replayed", "point", "median", "ends", "score")


def nothing(count: int, like: Outcomes) -> Outcomes:
    """Return outcomes of so many pushes with nothing in them yet, of the shape of others."""
    arrays = {field: np.zeros((count, *getattr(like, field).shape[1:]), getattr(like, field).dtype) for field in ARRAYS}
    return Outcomes(errors={}, answered={}, cautions={}, **arrays)


def blank(count: int, shape: tuple[int, int], ends: int, scored: int) -> Outcomes:
    """Return outcomes of so many pushes with nothing in them yet; `shape` is (horizon, targets)."""
    return Outcomes(
        errors={},
        seq=np.full(count, -1, np.int64),
        time=np.zeros(count, np.int64),
        accepted=np.zeros(count, np.int64),
        replayed=np.zeros(count, bool),
        point=np.zeros((count, *shape), np.float32),
        median=np.zeros((count, *shape), np.float32),
        ends=np.zeros((count, ends, *shape), np.float32),
        score=np.full((count, scored), np.nan, np.float32),
        answered={},
        cautions={},
    )


def distinct(names: Sequence[str]) -> tuple[Sequence[str], Int[np.ndarray, " pushes"]]:
    """Return each name once, and for every push the place of its name among them."""
    if len(names) == 1 or len(set(names)) == len(names):
        return names, np.arange(len(names))
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return list(places), np.array([places[name] for name in names], dtype=np.int64)

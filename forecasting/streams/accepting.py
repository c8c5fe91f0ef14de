"""Which rows of which pushes are taken, in what order: decided by times and values alone, before anything is computed.

A push is taken whole or not at all. Its rows may be known already (the same values: it is a replay of them), new, or
leave out steps of the grid, which become filler rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from forecasting.admission import Caution
from forecasting.errors import Changed, GatecastError, Late
from forecasting.log.interface import Log
from forecasting.log.records import Kind
from forecasting.stepping import EARLIEST, LATEST, fixed_step, times_after
from forecasting.streams.gridding import Bounds, grid_of, refuse_order, utc
from forecasting.streams.pool import Facts
from forecasting.streams.pushes import Pushes

FILLER = -1


class Plan(NamedTuple):
    """The rows to take, in an order in which they can be: those of a wave stand for different streams.

    `member` is the place of the stream, `row` that of the values among those pushed (`FILLER`: a row that never came),
    `push` the push that brings it.
    """

    member: Int[np.ndarray, " taken"]
    wave: Int[np.ndarray, " taken"]
    seq: Int[np.ndarray, " taken"]
    time: Int[np.ndarray, " taken"]
    row: Int[np.ndarray, " taken"]
    push: Int[np.ndarray, " taken"]


@dataclass
class Verdicts:
    """What becomes of each push.

    `newest` is the place in the plan of the newest row of a push, -1 where it takes none; `replays` is, for pushes all
    of whose rows are known, the seq of their newest; `accepted` counts new rows without fillers.
    """

    plan: Plan
    newest: Int[np.ndarray, " pushes"]
    accepted: Int[np.ndarray, " pushes"]
    replays: dict[int, int] = field(default_factory=dict)
    errors: dict[int, GatecastError] = field(default_factory=dict)
    cautions: dict[int, tuple[Caution, ...]] = field(default_factory=dict)
    plain: bool = False
    """Each push is the one next row of a stream of its own, which is the usual case."""


def judge(
    bounds: Bounds,
    pushes: Pushes,
    members: Int[np.ndarray, " pushes"],
    facts: Facts,
    log: Log,
    refused: dict[int, GatecastError],
) -> Verdicts:
    """Decide about every push but those that are refused already; `members` are the streams they are for."""
    if not refused and (plain := _plain(bounds, pushes, members, facts)) is not None:
        return plain
    judge = _Judge(bounds, pushes, members, facts, log)
    for push in range(len(pushes.names)):
        try:
            if push in refused:
                raise refused[push]
            judge.one(push)
        except GatecastError as error:
            judge.errors[push] = error
    return judge.verdicts()


def _plain(bounds: Bounds, pushes: Pushes, members: Int[np.ndarray, " pushes"], facts: Facts) -> Verdicts | None:
    """Decide at once where each push is the one next row of a stream of its own; None where one is not."""
    step, count, times = fixed_step(bounds.calendar), len(members), pushes.times
    if step is None or len(times) != count or len(facts.id) != count:
        return None
    first, last = (int(times[0]),) * 2 if count == 1 else (int(times.min()), int(times.max()))
    if not EARLIEST <= first <= last < LATEST - step * bounds.horizon:
        return None
    if count == 1:  # half the time it takes arrays
        _, _, seq, time = facts.table[0].tolist()
        if seq >= 0 and first - time != step:
            return None
    elif (pushes.starts[1:] - pushes.starts[:-1] != 1).any() or _off(times, facts, step):
        return None
    plan = Plan(members, np.zeros(count, np.int64), facts.seq + 1, times, members, members)
    return Verdicts(plan, members, np.ones(count, np.int64), plain=True)


def _off(times: Int[np.ndarray, " stream"], facts: Facts, step: int) -> bool:
    return bool(((times - facts.time != step) & (facts.seq >= 0)).any())


class _Judge:
    """Goes through pushes in their order, and remembers how far each stream is with those before."""

    def __init__(
        self, bounds: Bounds, pushes: Pushes, members: Int[np.ndarray, " pushes"], facts: Facts, log: Log
    ) -> None:
        self._bounds, self._pushes, self._members, self._log, self._ids = bounds, pushes, members, log, facts.id
        self._seq, self._time = facts.seq.tolist(), facts.time.tolist()
        self._waves = [0] * len(facts.id)
        self._taken: list[tuple[int, int, int, int, int, int]] = []
        self._here: dict[tuple[int, int], tuple[int, int]] = {}  # (member, time) to (row, place in the plan)
        self._newest, self._accepted = [-1] * len(members), [0] * len(members)
        self._replays: dict[int, int] = {}
        self.errors: dict[int, GatecastError] = {}
        self._cautions: dict[int, tuple[Caution, ...]] = {}

    def verdicts(self) -> Verdicts:
        plan = Plan(*np.array(self._taken, dtype=np.int64).reshape(-1, len(Plan._fields)).T)
        newest, accepted = np.array(self._newest, np.int64), np.array(self._accepted, np.int64)
        return Verdicts(plan, newest, accepted, self._replays, self.errors, self._cautions)

    def one(self, push: int) -> None:
        """Decide about a push; raise without having taken anything of it."""
        first, stop = self._pushes.starts[push : push + 2].tolist()
        member, times = int(self._members[push]), self._pushes.times[first:stop]
        refuse_order(times)
        known = int(np.searchsorted(times, self._time[member], side="right")) if self._seq[member] >= 0 else 0
        last = self._known(member, times[:known], first) if known else None
        if last is not None and known == len(times):
            self._replay(push, member, int(times[-1]), last)
            return
        self._take(push, member, times[known:], first + known)

    def _replay(self, push: int, member: int, time: int, seq: int) -> None:
        here = self._here.get((member, time))
        if here is None:
            self._replays[push] = seq
        else:  # the other push of it stands in this very batch
            self._newest[push] = here[1]

    def _known(self, member: int, times: Int[np.ndarray, " known"], first: int) -> int:
        """Return the seq of the newest of some rows that are there already, with the same values.

        Raises:
            Late, Changed: one of them is not there, or has other values.
        """
        last = -1
        asked = [time for time in times.tolist() if (member, time) not in self._here]
        logged = iter(self._log.at(int(self._ids[member]), asked) if asked else ())
        for row, time in enumerate(times.tolist(), first):
            values, here = self._pushes.values[row], self._here.get((member, time))
            if here is not None:
                if not _same(self._pushes.values[here[0]], values):
                    raise _changed(time)
                continue
            observation = next(logged)
            if observation is None or observation.kind == Kind.FILLER:
                raise self._late(member, time)
            if not self._was(observation.stream, observation.seq, observation.values, values):
                raise _changed(time)
            last = observation.seq
        return last

    def _was(self, stream: int, seq: int, logged: bytes, values: np.ndarray) -> bool:
        """Tell whether a row has these values, or had them before it was corrected."""
        if _same(np.frombuffer(logged, np.float32), values):
            return True
        return any(_same(np.frombuffer(one.values, np.float32), values) for one in self._log.versions(stream, seq))

    def _late(self, member: int, time: int) -> Late:
        last = utc(self._time[member])
        message = (
            f"a row of {utc(time)} comes behind {last}, the newest that was accepted; "
            "rows come in the order of time, and PUT corrects one that was accepted"
        )
        return Late(message, last)

    def _take(self, push: int, member: int, times: Int[np.ndarray, " new"], first: int) -> None:
        seq, time = self._seq[member], self._time[member]
        grid = grid_of(self._bounds, time if seq >= 0 else None, times)
        times_after(
            self._bounds.calendar, int(times[-1]), self._bounds.horizon
        )  # the forecast's times, too, must be in range
        came = dict(zip(times.tolist(), range(first, first + len(times)), strict=True))
        for at in grid.tolist():
            seq += 1
            row = came.get(at, FILLER)
            if row != FILLER:
                self._here[member, at] = row, len(self._taken)
            self._taken.append((member, self._waves[member], seq, at, row, push))
            self._waves[member] += 1
        self._seq[member], self._time[member] = seq, int(times[-1])
        self._newest[push], self._accepted[push] = len(self._taken) - 1, len(times)
        if gaps := len(grid) - len(times):
            detail = f"{gaps} steps before or between the rows have none; they were taken as missing"
            self._cautions[push] = (Caution("gap", detail),)


def _same(one: Float[np.ndarray, " columns"], other: Float[np.ndarray, " columns"]) -> bool:
    return bool(np.array_equal(one, other, equal_nan=True))


def _changed(time: int) -> Changed:
    message = f"the row of {utc(time)} was accepted with other values; PUT corrects it"
    return Changed(message)

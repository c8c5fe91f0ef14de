"""History: rows from before the first push. They are logged and nothing else; the first push begins from them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from forecasting.errors import Begun, GatecastError
from forecasting.log.interface import Log
from forecasting.log.records import Advance, Commit, Key, Kind, Observation, Stream
from forecasting.streams.accepting import FILLER, Verdicts, judge
from forecasting.streams.beginning import begun
from forecasting.streams.gridding import Bounds
from forecasting.streams.pool import Facts
from forecasting.streams.pushes import Outcomes, Pushes, blank, distinct
from forecasting.streams.recording import cut
from forecasting.streams.streamed import Streamed


def import_history(
    model: Streamed, log: Log, pushes: Pushes, most_gaps: int, room: Callable[[str], int], now: int
) -> Outcomes:
    """Log rows of streams that nothing was pushed to yet; outcomes have no forecasts.

    Raises:
        LogUnavailable, Outrun: nothing was written.
    """
    names, members = distinct(pushes.names)
    first = {member: push for push, member in reversed(list(enumerate(members.tolist())))}
    keys = [Key(pushes.principal, model.version.model, name) for name in names]
    given = [pushes.columns(first[member]) for member in range(len(names))]
    streams, errors = begun(model, log, keys, given, room, now)
    streams = _with_gaps(streams, errors, len(names), keys)
    refused = {push: errors[member] for push, member in enumerate(members.tolist()) if member in errors}
    facts = Facts.about(streams)
    bounds = Bounds(model.spec.calendar, model.spec.horizon, most_gaps)
    verdicts = judge(bounds, pushes, members, facts, log, refused)
    if late := [push for push, member in enumerate(members.tolist()) if streams[member].tracker]:
        refused |= {push: _late() for push in late if verdicts.accepted[push]}  # known rows are what they were
        verdicts = judge(bounds, pushes, members, facts, log, refused)
    if len(verdicts.plan.member):
        log.commit(_commit(streams, facts, verdicts, pushes, now))
    return _outcomes(model, verdicts)


def _with_gaps(streams: list[Stream], errors: dict[int, GatecastError], count: int, keys: list[Key]) -> list[Stream]:
    """Return a stream for every place; those of refused ones are stand-ins that nothing is done with."""
    given = iter(streams)
    return [Stream(0, keys[at], None, "{}", "", 0) if at in errors else next(given) for at in range(count)]


def _late() -> Begun:
    message = "rows were pushed to this stream already; history comes before the first push"
    return Begun(message)


def _commit(streams: list[Stream], before: Facts, verdicts: Verdicts, pushes: Pushes, now: int) -> Commit:
    plan, values = verdicts.plan, pushes.values[verdicts.plan.row]
    values[plan.row == FILLER] = np.nan
    taking = sorted(set(plan.member.tolist()))
    stands = before.moved(plan.member, plan.seq, plan.time)
    return Commit(
        created=[streams[member] for member in taking if streams[member].seq < 0],
        advanced=[
            Advance(one.id, one.seq, one.epoch, int(stands.seq[member]), int(stands.time[member]), b"", "", 0)
            for member in taking
            for one in (streams[member],)
        ],
        observations=[
            Observation(stream, seq, time, value, now, int(Kind.FILLER if row == FILLER else Kind.HISTORY))
            for stream, seq, time, value, row in zip(
                before.id[plan.member].tolist(),
                plan.seq.tolist(),
                plan.time.tolist(),
                cut(values),
                plan.row.tolist(),
                strict=True,
            )
        ],
        issued=[],
        snapshots=[],
        origins=[],
    )


def _outcomes(model: Streamed, verdicts: Verdicts) -> Outcomes:
    spec, tracking, newest = model.spec, model.tracking, verdicts.newest
    out = blank(len(newest), (spec.horizon, len(spec.targets)), 2 * len(tracking.levels), tracking.scored)
    there = newest >= 0
    out.seq[there], out.time[there] = verdicts.plan.seq[newest[there]], verdicts.plan.time[newest[there]]
    out.accepted[:] = verdicts.accepted
    for push, seq in verdicts.replays.items():
        out.seq[push], out.replayed[push] = seq, True
    out.errors.update(verdicts.errors)
    out.cautions.update(verdicts.cautions)
    return out

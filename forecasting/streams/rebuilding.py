"""What is held of a stream, made again from the log: the newest snapshot, then the rows behind it.

The state of a stream under a version is *defined* as the unroll from zero over the log from a recorded origin: row 0,
or, where a version meets a stream that is older, `replay_rows` back from there. A snapshot is a shortcut, never an
origin.

A model that is worse streamed than from fresh windows (see `settling`) is re-synchronised: every `resync_every` rows
its unroll begins anew, `resync_rows` back. Then the state is a function of the last rows alone, without snapshots.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from jaxtyping import Float

from forecasting.errors import Outrun
from forecasting.log.interface import Log
from forecasting.log.records import Commit, Issued, Observation, Origin, Stream
from forecasting.statics import Coded
from forecasting.streams.accepting import Plan
from forecasting.streams.advancing import Arrived, Held, Profile, unrolled
from forecasting.streams.pool import Facts, Some
from forecasting.streams.streamed import Streamed

MOST_CELLS = 8_000_000
"""Numbers of rows that are unrolled together, at most: 32 MB."""


class HasRows(Protocol):
    """A log, as far as an unroll needs it."""

    def rows(self, wanted: Sequence[tuple[int, int, int]]) -> list[list[Observation]]:
        """Return rows as `Log.rows` does."""


class Begin(NamedTuple):
    """Where an unroll begins: behind a snapshot, or at a row with the zero state."""

    seq: int
    state: np.ndarray | None = None


def rebuild(model: Streamed, log: Log, streams: Sequence[Stream], replay_rows: int) -> Some:
    """Return what is to be held of streams; where the version meets one for the first time, the origin is recorded."""
    origins = find_origins(model, log, streams, replay_rows)
    begins = find_begins(model, log, [(one.id, one.seq) for one in streams], origins)
    profile = profile_of(model, streams)
    states = states_behind(model, log, [(one.id, one.seq) for one in streams], begins, profile)
    held = Held(states, trackers_of(model, streams), pending_of(model, log, [(one.id, one.seq) for one in streams]))
    facts = Facts.about(streams)
    return Some(facts, held, profile)


def find_origins(model: Streamed, log: Log, streams: Sequence[Stream], replay_rows: int) -> list[int]:
    """Return the origins of streams under the version, of which new ones are recorded before they are used."""
    ids, version = [one.id for one in streams], model.version
    known = log.origins(ids, version)
    strange = [one for one, origin in zip(streams, known, strict=True) if origin is None]
    if not strange:
        return [origin for origin in known if origin is not None]
    oldest = log.oldest([one.id for one in strange])
    new = [
        Origin(one.id, version, max(first or 0, one.seq + 1 - replay_rows))
        for one, first in zip(strange, oldest, strict=True)
    ]
    log.commit(Commit([], [], [], [], [], new))
    recorded = zip(ids, log.origins(ids, version), strict=True)  # by another process, perhaps, an instant before
    if gone := [stream for stream, origin in recorded if origin is None]:
        message = f"{len(gone)} streams were deleted meanwhile"
        raise Outrun(message)
    return find_origins(model, log, streams, replay_rows)


def find_begins(model: Streamed, log: Log, wanted: Sequence[tuple[int, int]], origins: Sequence[int]) -> list[Begin]:
    """Return where the unrolls behind some (stream, seq) begin."""
    if model.resync is not None:
        every, rows = model.resync
        return [
            Begin(max(origin, (seq + 1) // every * every - rows))
            for (_, seq), origin in zip(wanted, origins, strict=True)
        ]
    width = model.engine.width
    found = []
    for snapshot, origin in zip(log.snapshots(wanted, model.version), origins, strict=True):
        state = None if snapshot is None else np.frombuffer(snapshot.state, np.float32)
        if snapshot is None or state is None or len(state) != width:
            found.append(Begin(origin))
        else:
            found.append(Begin(snapshot.seq + 1, state))
    return found


def states_behind(
    model: Streamed, log: HasRows, wanted: Sequence[tuple[int, int]], begins: Sequence[Begin], profile: Profile
) -> Float[np.ndarray, "stream width"]:
    """Unroll to some (stream, seq), those with as many rows side by side."""
    states = model.engine.initial(len(wanted))
    for place, begin in enumerate(begins):
        if begin.state is not None:
            states[place] = begin.state
    lengths = np.array([seq + 1 - begin.seq for (_, seq), begin in zip(wanted, begins, strict=True)], dtype=np.int64)
    for length in np.unique(lengths[lengths > 0]).tolist():
        places = np.flatnonzero(lengths == length)
        each = max(MOST_CELLS // (length * len(model.spec.columns.row)), 1)
        for low in range(0, len(places), each):
            some = places[low : low + each]
            asked = [(wanted[place][0], begins[place].seq, wanted[place][1]) for place in some.tolist()]
            values, times = arrays_of(model, log.rows(asked))
            states[some] = unrolled(model, profile.of(some), values, times, states[some])
    return states


def arrays_of(model: Streamed, rows: Sequence[Sequence[Observation]]) -> tuple[np.ndarray, np.ndarray]:
    """Return values and times of as many rows of each of some streams."""
    columns = len(model.spec.columns.row)
    joined = b"".join([one.values for each in rows for one in each])
    values = np.frombuffer(joined, np.float32).reshape(len(rows), -1, columns)
    return values, np.array([[one.time for one in each] for each in rows], dtype=np.int64)


def profile_of(model: Streamed, streams: Sequence[Stream]) -> Profile:
    """Return scales and static covariates of streams."""
    places = np.array([model.scales.place(one.series) for one in streams], dtype=np.int64)
    if not model.bundle.statics.columns:
        return Profile(places, None)
    coded = [model.encoded(one.series, one.static) for one in streams]
    return Profile(places, Coded(*(np.stack(part) for part in zip(*coded, strict=True))))


def trackers_of(model: Streamed, streams: Sequence[Stream]) -> Float[np.ndarray, "stream tracked"]:
    """Return the trackers of streams; those of another shape are begun anew."""
    trackers = model.tracking.start(len(streams))
    for place, one in enumerate(streams):
        if one.shape == model.tracking.shape:
            trackers[place] = np.frombuffer(one.tracker, np.float64)
    return trackers


def pending_of(
    model: Streamed, log: Log, wanted: Sequence[tuple[int, int]]
) -> Float[np.ndarray, "stream horizon horizon target two"]:
    """Return the forecasts that were issued at the last rows up to some (stream, seq)."""
    pending = model.tracking.nothing(len(wanted))
    horizon = model.spec.horizon
    issued = log.issued([(stream, max(seq + 1 - horizon, 0), seq) for stream, seq in wanted])
    for own, (_, seq), each in zip(pending, wanted, issued, strict=True):
        for one in each:
            put_pending(own, seq - one.seq, one)
    return pending


def put_pending(pending: Float[np.ndarray, "horizon horizon target two"], ago: int, issued: Issued) -> None:
    """Put in what was said so many rows ago, if it was of the same shape."""
    said = np.frombuffer(issued.said, np.float32)
    if said.size == pending[ago].size:
        pending[ago] = said.reshape(pending[ago].shape)


def unrolled_anew(
    model: Streamed, log: Log, some: Some, plan: Plan, rows: Arrived
) -> Callable[[np.ndarray, np.ndarray], np.ndarray] | None:
    """Return what re-synchronises states behind places of a plan where that is due; None where the model needs none."""
    if model.resync is None:
        return None
    every, back = model.resync
    origins = dict(zip(some.facts.id.tolist(), log.origins(some.facts.id.tolist(), model.version), strict=True))

    def anew(states: np.ndarray, places: np.ndarray) -> np.ndarray:
        for at, place in enumerate(places.tolist()):
            if (int(plan.seq[place]) + 1) % every == 0:
                first = max(int(plan.seq[place]) + 1 - back, origins[int(some.facts.id[plan.member[place]])] or 0)
                values, times = _rows_up_to(log, some, plan, rows, place, first)
                profile = some.profile.of(plan.member[place : place + 1])
                states[at] = unrolled(model, profile, values, times, model.engine.initial(1))[0]
        return states

    return anew


def _rows_up_to(
    log: Log, some: Some, plan: Plan, rows: Arrived, place: int, first: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows from `first` to a place of the plan: those of the log, then those of the plan."""
    member, seq = plan.member[place], int(plan.seq[place])
    stream, was = int(some.facts.id[member]), int(some.facts.seq[member])
    logged = log.rows([(stream, first, was)])[0] if first <= was else []
    here = np.flatnonzero((plan.member == member) & (plan.seq <= seq) & (plan.seq >= first))
    old = np.frombuffer(b"".join([one.values for one in logged]), np.float32).reshape(-1, rows.values.shape[1])
    times = [*(one.time for one in logged), *rows.times[here].tolist()]
    return np.concatenate([old, rows.values[here]])[None], np.array(times, dtype=np.int64)[None]

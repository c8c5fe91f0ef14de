"""A row corrected: what followed from it is played again, and replaces what was written.

Behind the corrected row forecasts are made again, each by the version that issued it as long as that one is open; a
forecast of a version that is not open stands as it was issued. Scores, intervals and drift follow. So a stream with a
correction is what it would be had the row come like that; what had been told at the time is marked as revised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from forecasting.errors import NoSuchObservation, NotFinite, WindowRejected
from forecasting.log.interface import Log
from forecasting.log.records import Advance, Correction, Issued, Kind, Observation, Snapshot, Stream, Version
from forecasting.streams.advancing import is_far, scaled
from forecasting.streams.pushes import Outcomes, blank
from forecasting.streams.rebuilding import find_origins, profile_of
from forecasting.streams.recording import untold
from forecasting.streams.replaying import Patched, Replay, begin_replay
from forecasting.streams.streamed import Streamed

MOST_ROWS = 100_000
"""Rows that are played again for one correction, at most."""

SPAN = 64
"""Rows that are looked through together for one that came."""


@dataclass(frozen=True)
class Change:
    """A row with other values than it was accepted with, of a stream whose models are `models`."""

    models: Mapping[Version, Streamed]
    model: Streamed
    log: Log
    stream: Stream
    row: Observation


@dataclass
class Followed:
    """What follows from a change: the scores of later rows, and the forecasts issued from there on."""

    scores: dict[int, bytes | None] = field(default_factory=dict)
    issued: list[Issued] = field(default_factory=list)


def correct(change: Change, replay_rows: int) -> Outcomes:
    """Write a correction and return the forecast at the newest row of the stream.

    Raises:
        NotFinite: with these values a model's forecast is not finite; nothing was changed.
        NoSuchObservation: what follows cannot be made anew, or nobody can forecast from a row that had not come.
        LogUnavailable, Outrun: nothing was changed.
    """
    stream, model, log = change.stream, change.model, change.log
    if not stream.tracker:  # nothing was pushed yet, so nothing follows
        log.correct(Correction(change.row, _advance(stream, b"", "", 0), {}, [], []))
        return _outcome(model, stream, None, changed=True)
    replay = _replay(change, replay_rows)
    followed = _follow(change, replay)
    held, shape = replay.held, replay.model.tracking.shape
    tracker = held.tracker[0].tobytes()
    log.correct(
        Correction(
            change.row._replace(score=followed.scores.pop(change.row.seq, None)),
            _advance(stream, tracker, shape, replay.drift),
            followed.scores,
            followed.issued,
            _snapshots(change, replay, tracker),
        )
    )
    return _outcome(model, stream, followed.issued[-1] if followed.issued else None, changed=True)


def _replay(change: Change, replay_rows: int) -> Replay:
    find_origins(change.model, change.log, [change.stream], replay_rows)
    patched = Patched(change.log, change.row)
    replay = begin_replay(change.models, change.model, patched, change.stream, change.row.seq)
    if change.stream.seq - replay.seq > MOST_ROWS:
        message = f"more than {MOST_ROWS} rows would have to be played again; correct newer rows only"
        raise NoSuchObservation(message)
    return replay


def changed_row(
    model: Streamed, log: Log, stream: Stream, time: int, values: Float[np.ndarray, " columns"]
) -> Observation | None:
    """Return a row with its new values; None where it has them already.

    Raises:
        NoSuchObservation: the stream has no row of that time.
        WindowRejected: a value is absurdly far from what the model was trained on.
    """
    old = log.at(stream.id, [time])[0]
    if old is None:
        message = "the stream has no row of that time; GET .../ledger lists them"
        raise NoSuchObservation(message)
    if is_far(scaled(model, profile_of(model, [stream]), values[None]))[0]:
        message = "a value is absurdly far from what the model was trained on; check its unit"
        raise WindowRejected(message, "/observation")
    if np.array_equal(np.frombuffer(old.values, np.float32), values, equal_nan=True):
        return None
    kind = old.kind
    if kind == Kind.FILLER:  # before the first push it is of the history, from which nothing is forecast
        came = _came_before(log, stream.id, old.seq)
        kind = Kind.PUSHED if came is None else came.kind
    return old._replace(values=values.tobytes(), revision=old.revision + 1, kind=int(kind))


def _came_before(log: Log, stream: int, seq: int) -> Observation | None:
    """Return the last row before one that is no filler row; None where it was deleted by age, or there is none."""
    for stop in range(seq, 0, -SPAN):
        rows = log.rows([(stream, max(stop - SPAN, 0), stop - 1)])[0]
        came = [row for row in rows if row.kind != Kind.FILLER]
        if came:
            return came[-1]
    return None


def _issuer_before(change: Change, seq: int) -> Version:
    """Return which version issued the last forecast before a row, else the one that is asked."""
    stream, log = change.stream.id, change.log
    came = _came_before(log, stream, seq)
    issued = [] if came is None else log.issued([(stream, came.seq, came.seq)])[0]
    return issued[0].version if issued else change.model.version


def unchanged(model: Streamed, log: Log, stream: Stream) -> Outcomes:
    """Return the forecast at the newest row as it is."""
    issued = log.issued([(stream.id, stream.seq, stream.seq)])[0]
    return _outcome(model, stream, issued[0] if issued else None, changed=False)


def _follow(change: Change, replay: Replay) -> Followed:
    stream, first, followed = change.stream, change.row.seq, Followed()
    rows = replay.log.rows([(stream.id, replay.seq + 1, stream.seq)])[0]
    issued = {one.seq: one for one in change.log.issued([(stream.id, replay.seq + 1, stream.seq)])[0]}
    issuer = _issuer_before(change, replay.seq + 1)
    for row in rows:
        before = issued.get(row.seq)
        issuer = _issuer(change, replay, row, issuer) if before is None else before.version
        tracked = replay.take(row, issuer, before)
        if tracked is None or row.seq < first:
            continue
        if not tracked.finite[0]:
            message = "with these values the model's forecast is not finite; look at them, then at the model"
            raise NotFinite(message)
        if row.kind == Kind.PUSHED:
            followed.scores[row.seq] = tracked.score[0].tobytes()
            followed.issued.append(replay.issued(row, issuer, before, tracked))
    return followed


def _issuer(change: Change, replay: Replay, row: Observation, last: Version) -> Version:
    """Return which version issues the first forecast at a row: the last that issued any, else the one that is asked.

    Raises:
        NoSuchObservation: neither can say what it would have forecast there.
    """
    if row.kind != Kind.PUSHED or replay.tells(last, row.seq):
        return last
    asked = change.model.version
    if replay.tells(asked, row.seq):
        return asked
    message = (
        f"no forecast was issued at that row; version {last.version} is served no longer, and version {asked.version} "
        "has begun behind it, so nobody can tell what it would have been: a row so old cannot be filled in"
    )
    raise NoSuchObservation(message)


def _advance(stream: Stream, tracker: bytes, shape: str, drift: int) -> Advance:
    return Advance(stream.id, stream.seq, stream.epoch, stream.seq, stream.time, tracker, shape, drift)


def _snapshots(change: Change, replay: Replay, tracker: bytes) -> list[Snapshot]:
    """Return a snapshot at the newest row, since those behind the corrected one are gone."""
    model, stream = change.model, change.stream
    state = replay.states.get(model.version)
    if state is None or model.resync is not None or model.tracking.shape != replay.model.tracking.shape:
        return []
    return [Snapshot(stream.id, model.version, stream.seq, state[0].tobytes(), tracker, model.tracking.shape)]


def _outcome(model: Streamed, stream: Stream, issued: Issued | None, *, changed: bool) -> Outcomes:
    spec, tracking = model.spec, model.tracking
    out = blank(1, (spec.horizon, len(spec.targets)), 2 * len(tracking.levels), tracking.scored)
    out.seq[0], out.time[0], out.accepted[0] = stream.seq, stream.time, int(changed)
    out.replayed[0] = not changed
    parts = None if issued is None else untold(model, issued.values)
    if issued is not None and parts is not None:
        out.point[0], out.median[0], out.ends[0] = parts
        out.answered[0] = issued.version
    return out

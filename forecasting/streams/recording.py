"""From what was played to what is written, and back from what was written to an answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import repeat
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np

from forecasting.admission import Caution
from forecasting.log.records import Advance, Commit, Issued, Kind, Observation, Origin, Snapshot, Stream
from forecasting.streams.accepting import FILLER, Plan
from forecasting.streams.playing import Played
from forecasting.streams.pool import Facts
from forecasting.streams.streamed import Streamed
from forecasting.streams.tracking import drift_of

PUSHED, FILLED = int(Kind.PUSHED), int(Kind.FILLER)
T = TypeVar("T", bound=tuple[Any, ...])


class Batch(NamedTuple):
    """A plan that was played for streams that stood at `before`, at a time in UTC nanoseconds, and are at `after`."""

    model: Streamed
    before: Facts
    after: Facts
    plan: Plan
    played: Played
    now: int


def commit_of(batch: Batch, created: Sequence[Stream]) -> Commit:
    """Return all that a batch writes; the origin of a new stream is its first row."""
    if len(batch.plan.member) == len(batch.before.table) == 1 and batch.plan.row[0] != FILLER:
        return _of_one(batch, created)
    return Commit(
        created=list(created),
        advanced=_advances(batch),
        observations=_observations(batch),
        issued=_issued(batch),
        snapshots=_snapshots(batch),
        origins=[Origin(one.id, batch.model.version, 0) for one in created],
    )


def _of_one(batch: Batch, created: Sequence[Stream]) -> Commit:
    """Return the same of the usual push, a row of one stream, in a third of the time that columns take."""
    played, version = batch.played, batch.model.version
    stream, epoch, before, _ = batch.before.table[0].tolist()
    seq, time = batch.after.table[0, 2:].tolist()
    ahead = None if played.rows.ahead is None else played.rows.ahead.tobytes()
    values, score, cautions = played.rows.values.tobytes(), played.score.tobytes(), played.cautions.get(0)
    tracker, drift = played.held.tracker, int(drift_of(played.held.tracker)[0])
    notes = None if cautions is None else write_notes(cautions)
    return Commit(
        created=list(created),
        advanced=[
            Advance(stream, before, epoch, seq, time, tracker.tobytes(), batch.model.tracking.shape, drift),
        ],
        observations=[Observation(stream, seq, time, values, batch.now, PUSHED, ahead, score)],
        issued=[Issued(stream, seq, version, played.values.tobytes(), played.said.tobytes(), notes)],
        snapshots=_snapshots(batch) if played.shots else [],
        origins=[Origin(stream, version, 0)] if created else [],
    )


def _advances(batch: Batch) -> list[Advance]:
    before, now, trackers = batch.before, batch.after, batch.played.held.tracker
    columns = [before.id, before.seq, before.epoch, now.seq, now.time]
    if not (now.seq > before.seq).all():
        moved = np.flatnonzero(now.seq > before.seq)
        trackers, columns = trackers[moved], [column[moved] for column in columns]
    shape = repeat(batch.model.tracking.shape)
    return _made(Advance, *columns, cut(trackers), shape, drift_of(trackers))


def _observations(batch: Batch) -> list[Observation]:
    plan, played = batch.plan, batch.played
    ids, rows = batch.before.id[plan.member], played.rows
    ahead = repeat(None) if rows.ahead is None else cut(rows.ahead)
    filler = plan.row == FILLER
    score: list[bytes | None] = [*cut(played.score)]
    if filler.any():
        score = [None if lacking else one for one, lacking in zip(score, filler.tolist(), strict=True)]
    kinds = np.where(filler, FILLED, PUSHED)
    parts = (ids, plan.seq, plan.time, cut(rows.values), repeat(batch.now), kinds, ahead, score, repeat(0))
    return _made(Observation, *parts)


def _issued(batch: Batch) -> list[Issued]:
    plan, played = batch.plan, batch.played
    notes: Iterable[str | None] = repeat(None)
    if played.cautions:
        told = {place: write_notes(cautions) for place, cautions in played.cautions.items()}
        notes = [told.get(place) for place in range(len(plan.member))]
    ids = batch.before.id[plan.member]
    version = repeat(batch.model.version)
    made = _made(Issued, ids, plan.seq, version, cut(played.values), cut(played.said), notes, repeat(False))
    if (plan.row == FILLER).any():
        return [one for one, row in zip(made, plan.row.tolist(), strict=True) if row != FILLER]
    return made


def _made(kind: type[T], *columns: np.ndarray | Iterable[Any]) -> list[T]:
    """Return records from their columns; a thousand at a time, without a call of Python for each."""
    parts = [column.tolist() if isinstance(column, np.ndarray) else column for column in columns]
    return list(map(tuple.__new__, repeat(kind), zip(*parts, strict=False)))


def _snapshots(batch: Batch) -> list[Snapshot]:
    plan, model = batch.plan, batch.model
    if model.resync is not None:
        return []
    return [
        Snapshot(
            int(batch.before.id[plan.member[shot.place]]),
            model.version,
            int(plan.seq[shot.place]),
            shot.state,
            shot.tracker,
            model.tracking.shape,
        )
        for shot in batch.played.shots
    ]


def cut(rows: np.ndarray) -> list[bytes]:
    """Return the bytes of each row."""
    raw = rows.tobytes()
    if len(rows) <= 1:  # the usual push
        return [raw] * len(rows)
    each = len(raw) // len(rows)
    return [raw[low : low + each] for low in range(0, len(raw), each)] if each else [b""] * len(rows)


def parts_of(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return points, medians and ends of forecasts."""
    return values[:, 0], values[:, 1], values[:, 2:]


def untold(model: Streamed, values: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return point, median and ends of a forecast that was written; None where the model has another shape now."""
    shape = (2 + 2 * len(model.tracking.levels), model.spec.horizon, len(model.spec.targets))
    flat = np.frombuffer(values, np.float32)
    if flat.size != np.prod(shape):
        return None
    parts = flat.reshape(shape)
    return parts[0], parts[1], parts[2:]


@lru_cache(maxsize=4096)
def write_notes(cautions: tuple[Caution, ...]) -> str:
    """Return cautions as they are kept."""
    return msgspec.json.encode(cautions).decode()


def read_notes(notes: str | None) -> tuple[Caution, ...]:
    """Return cautions that were kept."""
    return () if notes is None else msgspec.json.decode(notes, type=tuple[Caution, ...])

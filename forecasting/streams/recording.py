"""From what was played to what is written, and back from what was written to an answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec
import numpy as np

from forecasting.admission import Caution
from forecasting.log.records import Advance, Commit, Issued, Kind, Observation, Origin, Snapshot, Stream
from forecasting.streams.accepting import FILLER, Plan
from forecasting.streams.playing import Played
from forecasting.streams.pool import Facts
from forecasting.streams.streamed import Streamed
from forecasting.streams.tracking import drift_of


class Batch(NamedTuple):
    """A plan that was played for streams that stood at `before`, at a time in UTC nanoseconds."""

    model: Streamed
    before: Facts
    plan: Plan
    played: Played
    now: int


def after(before: Facts, plan: Plan) -> Facts:
    """Return where the streams stand behind the plan."""
    seq, time = before.seq.copy(), before.time.copy()
    seq[plan.member], time[plan.member] = plan.seq, plan.time  # of rows of one stream the last one stays
    return before._replace(seq=seq, time=time)


def commit_of(batch: Batch, created: Sequence[Stream]) -> Commit:
    """Return all that a batch writes; the origin of a new stream is its first row."""
    return Commit(
        created=list(created),
        advanced=_advances(batch),
        observations=_observations(batch),
        issued=_issued(batch),
        snapshots=_snapshots(batch),
        origins=[Origin(one.id, batch.model.version, 0) for one in created],
    )


def _advances(batch: Batch) -> list[Advance]:
    before, now = batch.before, after(batch.before, batch.plan)
    moved = np.flatnonzero(now.seq > before.seq)
    trackers = batch.played.held.tracker[moved]
    shape = batch.model.tracking.shape
    columns = (before.id, before.seq, before.epoch, now.seq, now.time)
    return [
        Advance(stream, was, epoch, seq, time, tracker, shape, drift)
        for stream, was, epoch, seq, time, tracker, drift in zip(
            *(column[moved].tolist() for column in columns),
            cut(trackers),
            drift_of(trackers).tolist(),
            strict=True,
        )
    ]


def _observations(batch: Batch) -> list[Observation]:
    plan, played, now = batch.plan, batch.played, batch.now
    ids = batch.before.id[plan.member].tolist()
    values, scores = cut(played.rows.values), cut(played.score)
    aheads = [None] * len(ids) if played.rows.ahead is None else cut(played.rows.ahead)
    return [
        Observation(stream, seq, time, value, now, _kind(row), ahead, score if row != FILLER else None)
        for stream, seq, time, value, row, ahead, score in zip(
            ids, plan.seq.tolist(), plan.time.tolist(), values, plan.row.tolist(), aheads, scores, strict=True
        )
    ]


def _kind(row: int) -> int:
    return int(Kind.FILLER if row == FILLER else Kind.PUSHED)


def _issued(batch: Batch) -> list[Issued]:
    plan, played, version = batch.plan, batch.played, batch.model.version
    notes = {place: write_notes(cautions) for place, cautions in played.cautions.items()}
    ids, values, said = batch.before.id[plan.member].tolist(), cut(played.values), cut(played.said)
    return [
        Issued(stream, seq, version, value, says, notes.get(place))
        for place, (stream, seq, row, value, says) in enumerate(
            zip(ids, plan.seq.tolist(), plan.row.tolist(), values, said, strict=True)
        )
        if row != FILLER
    ]


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
    if not len(rows):
        return []
    raw = rows.tobytes()
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

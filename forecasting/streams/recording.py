"""From what was played to what is written, and back from what was written to an answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import repeat
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np
from jaxtyping import Float, Int

from forecasting.admission import Caution
from forecasting.log.records import PUSHED, Advance, Commit, Issued, Kind, Observation, Onward, Origin, Snapshot, Stream
from forecasting.streams.accepting import FILLER, Plan
from forecasting.streams.advancing import Advanced
from forecasting.streams.playing import Played, Shot
from forecasting.streams.pool import Facts
from forecasting.streams.streamed import Streamed
from forecasting.streams.tracking import drift_of

FILLED = int(Kind.FILLER)
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
    return Commit(
        created=list(created),
        advanced=_advances(batch),
        observations=_observations(batch),
        issued=_issued(batch),
        snapshots=_snapshots(batch),
        origins=[Origin(one.id, batch.model.version, 0) for one in created],
    )


class Next(NamedTuple):
    """The next row of each of some streams, that stand at `before` (id, epoch, seq, time each), then at `after`."""

    model: Streamed
    before: Int[np.ndarray, "stream four"]
    after: Int[np.ndarray, "stream four"]
    values: Float[np.ndarray, "stream columns"]
    step: Advanced
    cautions: dict[int, tuple[Caution, ...]]
    now: int


def commit_of_next(rows: Next, shots: Sequence[Shot]) -> Commit:
    """Return all that is written of usual rows; `shots` are snapshots of the streams at some places."""
    tracked, tracking = rows.step.tracked, rows.model.tracking
    streams, epochs, seqs, times = rows.after.T.tolist()
    onward = Onward(
        streams,
        rows.before[:, 2].tolist(),
        epochs,
        seqs,
        times,
        cut(tracked.tracker),
        list(map(int, tracked.score[:, tracking.drift_at].tolist())),
        cut(rows.values),
        cut(tracked.score),
        cut(tracked.values),
        cut(tracked.said),
        _notes(rows.cautions, len(streams)) if rows.cautions else [None] * len(streams),
        tracking.shape,
        rows.now,
        rows.model.version,
    )
    kept = [
        Snapshot(streams[one.place], rows.model.version, seqs[one.place], one.state, one.tracker, tracking.shape)
        for one in shots
    ]
    return Commit([], [], [], [], kept, [], onward)


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
    notes = _notes(played.cautions, len(plan.member))
    ids = batch.before.id[plan.member]
    version = repeat(batch.model.version)
    made = _made(Issued, ids, plan.seq, version, cut(played.values), cut(played.said), notes, repeat(False))
    if (plan.row == FILLER).any():
        return [one for one, row in zip(made, plan.row.tolist(), strict=True) if row != FILLER]
    return made


def _notes(cautions: dict[int, tuple[Caution, ...]], count: int) -> list[str | None]:
    return [None if (said := cautions.get(place)) is None else write_notes(said) for place in range(count)]


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

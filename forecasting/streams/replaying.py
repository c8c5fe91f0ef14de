"""The rows of one stream played again, one by one, under all versions that issued forecasts at them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forecasting.engines import ZForecast
from forecasting.errors import NoSuchObservation
from forecasting.log.interface import Log
from forecasting.log.records import Issued, Kind, Observation, Snapshot, Stream, Version
from forecasting.streams.advancing import Arrived, Held, Profile, follow, scaled, stepped
from forecasting.streams.rebuilding import find_begins, pending_of, profile_of, put_pending, states_behind
from forecasting.streams.streamed import Streamed
from forecasting.streams.tracking import Tracked, drift_of


@dataclass(frozen=True)
class Patched:
    """The rows of a log, of which one has other values already."""

    log: Log
    row: Observation

    def rows(self, wanted: Sequence[tuple[int, int, int]]) -> list[list[Observation]]:
        """Return rows as `Log.rows` does."""
        return [
            [self.row if (one.stream, one.seq) == (self.row.stream, self.row.seq) else one for one in each]
            for each in self.log.rows(wanted)
        ]


@dataclass
class Replay:
    """A stream behind row `seq`: its state under each version that is open, and what belongs to no version."""

    models: Mapping[Version, Streamed]
    model: Streamed
    log: Patched
    stream: Stream
    seq: int
    origins: dict[Version, int]
    profiles: dict[Version, Profile]
    states: dict[Version, np.ndarray]
    held: Held

    @property
    def drift(self) -> int:
        """The code of its drift."""
        return int(drift_of(self.held.tracker)[0])

    def tells(self, version: Version, seq: int) -> bool:
        """Tell whether a version is open and has begun at a row, so that it says what follows."""
        origin = self.origins.get(version)
        return origin is not None and origin <= seq

    def take(self, row: Observation, issuer: Version, before: Issued | None) -> Tracked | None:
        """Take the next row, whose forecast `issuer` issued, as `before`; None where the row is from the history."""
        said = self._step(row)
        self.seq = row.seq
        if row.kind == Kind.HISTORY:
            return None
        if issuer in said:
            self._turn_to(self.models[issuer])
        arrived = row.kind != Kind.FILLER
        forecast = said[issuer] if issuer in said else self._as_issued(before)
        profile = self.profiles[self.model.version]
        tracked = follow(self.model, self.held, profile, self._actual(row), np.array([arrived]), forecast)
        self.held = Held(self.held.state, tracked.tracker, tracked.pending)
        if before is not None and (issuer not in said or row.seq < self.log.row.seq):
            put_pending(self.held.pending[0], 0, before)  # it stands as it was issued
        return tracked

    def issued(self, row: Observation, issuer: Version, before: Issued | None, tracked: Tracked) -> Issued:
        """Return the forecast at a row as it is now; that of a version that is not open is what it was."""
        if before is not None and issuer not in self.states:
            return before
        said, notes = tracked.pending[0, 0].tobytes(), None if before is None else before.notes
        return Issued(self.stream.id, row.seq, issuer, tracked.values[0].tobytes(), said, notes, revised=True)

    def _step(self, row: Observation) -> dict[Version, ZForecast]:
        """Step the states of all versions that have begun, and return what they say."""
        said = {}
        for version, model in self.models.items():
            if not self.tells(version, row.seq):
                continue
            state = self.states.get(version)
            state = model.engine.initial(1) if state is None else state
            profile, rows = self.profiles[version], _arrived(model, row)
            z = scaled(model, profile, rows.values)
            said[version], state = stepped(model, state, profile, rows, z)
            self.states[version] = self._anew(model, row.seq, state)
        return said

    def _anew(self, model: Streamed, seq: int, state: np.ndarray) -> np.ndarray:
        if model.resync is None or (seq + 1) % model.resync[0]:
            return state
        wanted = [(self.stream.id, seq)]
        begins = find_begins(model, self.log.log, wanted, [self.origins[model.version]])
        return states_behind(model, self.log, wanted, begins, self.profiles[model.version])

    def _turn_to(self, model: Streamed) -> None:
        """Go on under another version; what it cannot take over is begun anew, as it was when the streams went on."""
        if model.tracking.shape != self.model.tracking.shape:
            pending = model.tracking.nothing(1)
            if pending.shape == self.held.pending.shape:
                pending = self.held.pending
            self.held = Held(self.held.state, model.tracking.start(1), pending)
        self.model = model

    def _actual(self, row: Observation) -> np.ndarray:
        values = np.frombuffer(row.values, np.float32)[None]
        z = scaled(self.model, self.profiles[self.model.version], values)
        targets = len(self.model.spec.targets)
        return np.where(np.isnan(z[:, :targets]), np.float32(np.nan), values[:, :targets])

    def _as_issued(self, before: Issued | None) -> ZForecast:
        """Return a forecast of a version that is not open in z units of one that is; of nothing, nothing."""
        spec = self.model.spec
        shape = (spec.horizon, len(spec.targets))
        said = np.zeros((*shape, 2), np.float32) if before is None else np.frombuffer(before.said, np.float32)
        if said.size != 2 * shape[0] * shape[1]:
            said = np.zeros((*shape, 2), np.float32)
        median, scale = np.moveaxis(said.reshape(*shape, 2), -1, 0)
        units = self.model.scales.of_targets(self.profiles[self.model.version].places)
        z = ((median - units.mean) / units.std)[None].astype(np.float32)
        return ZForecast(z, z, (scale / units.std)[None].astype(np.float32))


def begin_replay(
    models: Mapping[Version, Streamed], model: Streamed, log: Patched, stream: Stream, corrected: int
) -> Replay:
    """Return a stream behind the newest snapshot before the corrected row, or before its first row.

    Raises:
        NoSuchObservation: the rows it would have to be played from are deleted.
    """
    snapshot = _newest(log.log, models, stream.id, corrected - 1)
    seq = -1 if snapshot is None else snapshot.seq
    if snapshot is None and (log.log.oldest([stream.id])[0] or 0) > 0:
        message = "rows from before it were deleted by age, so that what follows from it cannot be made anew"
        raise NoSuchObservation(message)
    known = {version: log.log.origins([stream.id], version)[0] for version in models}
    origins = {version: origin for version, origin in known.items() if origin is not None}
    profiles = {version: profile_of(one, [stream]) for version, one in models.items()}
    states = {
        version: states_behind(
            models[version],
            log,
            [(stream.id, seq)],
            find_begins(models[version], log.log, [(stream.id, seq)], [origin]),
            profiles[version],
        )
        for version, origin in origins.items()
        if origin <= seq
    }
    tracker = model.tracking.start(1)
    if snapshot is not None and snapshot.shape == model.tracking.shape:
        tracker[0] = np.frombuffer(snapshot.tracker, np.float64)
    held = Held(np.zeros((1, 0), np.float32), tracker, pending_of(model, log.log, [(stream.id, seq)]))
    return Replay(models, model, log, stream, seq, origins, profiles, states, held)


def _newest(log: Log, models: Mapping[Version, Streamed], stream: int, seq: int) -> Snapshot | None:
    found = [one for version in models if (one := log.snapshots([(stream, seq)], version)[0]) is not None]
    return max(found, key=lambda one: one.seq, default=None)


def _arrived(model: Streamed, row: Observation) -> Arrived:
    values = np.frombuffer(row.values, np.float32)[None]
    horizon, known = model.spec.horizon, len(model.spec.columns.known)
    ahead = None if row.ahead is None else np.frombuffer(row.ahead, np.float32).reshape(1, horizon, known)
    return Arrived(values, np.array([row.time], dtype=np.int64), np.array([row.kind != Kind.FILLER]), ahead)

"""One step of many streams: a pure function from what is held of them, and a row each, to the same one step later."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from forecasting.admission import FARTHEST
from forecasting.engines import Inputs, Steps, ZForecast
from forecasting.scaling import Units
from forecasting.statics import Coded
from forecasting.streams import kernel
from forecasting.streams.streamed import Places, Streamed
from forecasting.streams.tracking import Tracked


class Held(NamedTuple):
    """What is carried of each of some streams: the state under a version, and what belongs to no version."""

    state: Float[np.ndarray, "stream width"]
    tracker: Float[np.ndarray, "stream tracked"]
    pending: Float[np.ndarray, "stream horizon horizon target two"]

    def of(self, streams: slice | Int[np.ndarray, " some"]) -> Held:
        """Return some of them, as copies unless they are asked for by a slice."""
        return Held(self.state[streams], self.tracker[streams], self.pending[streams])

    def put(self, streams: slice | Int[np.ndarray, " some"], held: Held) -> None:
        """Replace some of them."""
        self.state[streams], self.tracker[streams], self.pending[streams] = held


class Profile(NamedTuple):
    """What does not change about each of some streams: its scale, and its static covariates."""

    places: Places
    static: Coded | None

    def of(self, streams: slice | Int[np.ndarray, " some"]) -> Profile:
        """Return some of them."""
        static = None if self.static is None else Coded(*(part[streams] for part in self.static))
        return Profile(self.places[streams], static)


class Arrived(NamedTuple):
    """A row of each of some streams, in the units of the data; `arrived` is False where it is a filler, all NaN."""

    values: Float[np.ndarray, "stream columns"]
    times: Int[np.ndarray, " stream"]
    arrived: Bool[np.ndarray, " stream"]
    ahead: Float[np.ndarray, "stream horizon known"] | None = None


class Advanced(NamedTuple):
    """What came of a step; `screened` tells which rows had implausible values, `far` which had absurd ones.

    `usual` says that no row had either, and that all that is said is finite.
    """

    held: Held
    tracked: Tracked
    screened: Bool[np.ndarray, " stream"]
    far: Bool[np.ndarray, " stream"]
    usual: bool


def advance(model: Streamed, held: Held, profile: Profile, rows: Arrived) -> Advanced:
    """Take a row of each stream: score the last forecast by it, step the state, say what comes next."""
    z, actual, screened, far, odd = _scaled(model, profile, rows.values)
    said, state = stepped(model, held.state, profile, rows, z)
    tracked = follow(model, held, profile, actual, rows.arrived, said)
    usual = not odd and tracked.good == len(far)
    return Advanced(Held(state, tracked.tracker, tracked.pending), tracked, screened, far, usual)


def _scaled(
    model: Streamed, profile: Profile, values: Float[np.ndarray, "stream columns"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]:
    """Return rows in z units, targets without what is implausible, which rows had such and absurd values, how many."""
    streams = len(values)
    if not model.scales.plain:
        z = scaled(model, profile, values)
        lost, actual = np.isnan(z) & ~np.isnan(values), values[:, : len(model.spec.targets)]
        actual = np.where(lost[:, : actual.shape[1]], np.float32(np.nan), actual)
        screened, far = lost.any(axis=1), is_far(z)
        return z, actual, screened, far, int(np.count_nonzero(screened | far))
    z, actual = np.empty(values.shape, np.float32), np.empty((streams, model.targets), np.float32)
    screened, far = np.empty(streams, np.bool_), np.empty(streams, np.bool_)
    edges = model.scales.edges(profile.places)
    odd = kernel.scale(np.ascontiguousarray(values), *edges, FARTHEST, z, actual, screened, far)
    return z, actual, screened, far, odd


def stepped(
    model: Streamed, state: np.ndarray, profile: Profile, rows: Arrived, z: Float[np.ndarray, "stream columns"]
) -> tuple[ZForecast, Float[np.ndarray, "stream width"]]:
    """Step the network alone, by rows in z units."""
    return model.engine.step(_steps(model, profile, rows, z), state)


def follow(
    model: Streamed,
    held: Held,
    profile: Profile,
    actual: Float[np.ndarray, "stream target"],
    arrived: Bool[np.ndarray, " stream"],
    said: ZForecast,
) -> Tracked:
    """Score the last forecast by what came, and turn what the network says into a forecast with intervals."""
    units = model.scales.of_targets(profile.places)
    return model.tracking.advance(held.tracker, held.pending, actual, arrived, said, units, model.shift)


def scaled(
    model: Streamed, profile: Profile, values: Float[np.ndarray, "stream columns"]
) -> Float[np.ndarray, "stream columns"]:
    """Return rows in z units; what is implausible is missing."""
    with np.errstate(over="ignore", invalid="ignore"):
        return model.scales.of(profile.places).to_z(values)


def is_far(z: Float[np.ndarray, "stream columns"]) -> Bool[np.ndarray, " stream"]:
    """Tell which rows have a cell absurdly far from what the model was trained on."""
    size = np.abs(z)
    if not np.fmax.reduce(size, axis=None) > FARTHEST:
        return np.zeros(len(z), dtype=bool)
    return np.asarray(np.fmax.reduce(size, axis=1) > FARTHEST)


def _steps(model: Streamed, profile: Profile, rows: Arrived, z: np.ndarray) -> Steps:
    spec = model.spec
    if not spec.columns.known:
        nothing = np.empty((len(z), 1 + spec.horizon, 0), np.float32)
        return Steps(z, _calendar(model, rows.times), nothing, profile.static)
    seen = spec.columns.seen
    known = np.zeros((len(z), 1 + spec.horizon, len(spec.columns.known)), np.float32)
    known[:, 0] = z[:, seen:]
    known[:, 1:] = np.nan if rows.ahead is None else _ahead_z(model, profile, rows.ahead)
    return Steps(z[:, :seen], _calendar(model, rows.times), known, profile.static)


def _ahead_z(model: Streamed, profile: Profile, ahead: np.ndarray) -> Float[np.ndarray, "stream horizon known"]:
    units = model.scales.of(profile.places).of(slice(model.spec.columns.seen, None))
    between = Units._make([*(part[:, None] if part.ndim == 2 else part for part in units[:-1]), units.plain])  # noqa: PLR2004
    return between.to_z(ahead)


def _calendar(model: Streamed, times: Int[np.ndarray, "*rows"]) -> Float[np.ndarray, "*rows feature"]:
    calendar = model.spec.calendar
    if not calendar.width:
        return np.zeros((*times.shape, 0), np.float32)
    return calendar.features_at(int(times[0])) if times.shape == (1,) else calendar.features(times)


def unrolled(
    model: Streamed,
    profile: Profile,
    values: Float[np.ndarray, "stream time columns"],
    times: Int[np.ndarray, "stream time"],
    state: Float[np.ndarray, "stream width"],
) -> Float[np.ndarray, "stream width"]:
    """Return the states behind many rows of each stream, the same number of each; nothing is said or scored."""
    spec = model.spec
    streams, rows = times.shape
    units = model.scales.of(profile.places)
    wide = Units._make([*(part[:, None] if part.ndim == 2 else part for part in units[:-1]), units.plain])  # noqa: PLR2004
    with np.errstate(over="ignore", invalid="ignore"):
        z = wide.to_z(values)
    known = np.full((streams, rows + spec.horizon, len(spec.columns.known)), np.nan, np.float32)
    known[:, :rows] = z[..., spec.columns.seen :]
    return model.engine.unroll(
        Inputs(z[..., : spec.columns.seen], _calendar(model, times), known, profile.static), state
    )

"""Playing a plan: wave after wave the streams of a batch take their rows; nothing is written and nothing kept here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from forecasting.admission import Caution
from forecasting.streams.accepting import FILLER, Plan
from forecasting.streams.advancing import Arrived, Held, advance, scaled
from forecasting.streams.pool import Some
from forecasting.streams.pushes import Pushes
from forecasting.streams.streamed import Streamed
from forecasting.streams.tracking import Tracked

Anew = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From the states of the streams that stand at some places of a plan, and these places, to the states to go on with."""


class Snapshots(NamedTuple):
    """When states are kept or made anew.

    About every `every` rows of a stream a snapshot is taken, of different streams at different rows. `anew` replaces
    states that are to be unrolled anew behind some places of the plan.
    """

    every: int
    anew: Anew | None = None


class Shot(NamedTuple):
    """State and tracker of a stream behind a row of the plan, to be kept as a snapshot."""

    place: int
    state: bytes
    tracker: bytes


@dataclass
class Played:
    """What came of each row of the plan, and what is held of each stream at the end; see `Tracked`."""

    held: Held
    rows: Arrived
    values: Float[np.ndarray, "taken parts horizon target"]
    said: Float[np.ndarray, "taken horizon target two"]
    score: Float[np.ndarray, "taken scored"]
    finite: Bool[np.ndarray, " taken"]
    screened: Bool[np.ndarray, " taken"]
    far: Bool[np.ndarray, " taken"]
    shots: list[Shot] = field(default_factory=list)
    cautions: dict[int, tuple[Caution, ...]] = field(default_factory=dict)
    """What readers of the forecasts issued at some rows should know."""


def rows_of(model: Streamed, pushes: Pushes, plan: Plan, *, plain: bool) -> Arrived:
    """Return the rows of a plan; those that never came are NaN."""
    arrived = plan.row != FILLER
    values = pushes.values if plain else pushes.values[plan.row]
    if not plain and not arrived.all():
        values[~arrived] = np.nan
    ahead = _ahead(model, pushes, plan, values) if model.spec.columns.known else None
    return Arrived(values, plan.time, arrived, ahead)


def _ahead(
    model: Streamed, pushes: Pushes, plan: Plan, values: Float[np.ndarray, "taken columns"]
) -> Float[np.ndarray, "taken horizon known"]:
    """Return the known covariates behind each row: those of the rows of its push that follow, then `ahead` of it."""
    horizon, seen = model.spec.horizon, model.spec.columns.seen
    ahead = np.full((len(values), horizon, values.shape[1] - seen), np.nan, np.float32)
    for push in np.unique(plan.push).tolist():
        places = np.flatnonzero(plan.push == push)
        after = np.full((horizon, ahead.shape[2]), np.nan, np.float32) if pushes.ahead is None else pushes.ahead[push]
        reach = np.concatenate([values[places, seen:], after])
        windows = np.lib.stride_tricks.sliding_window_view(reach[1:], horizon, axis=0)
        ahead[places] = windows.transpose(0, 2, 1)[: len(places)]
    return ahead


def far_pushes(model: Streamed, some: Some, plan: Plan, played: Played) -> dict[int, str]:
    """Return the pushes with a cell absurdly far from what the model was trained on, and the name of its column."""
    places = np.flatnonzero(played.far)
    z = np.abs(scaled(model, some.profile.of(plan.member[places]), played.rows.values[places]))
    columns = model.spec.columns.row
    return {
        int(plan.push[place]): columns[int(np.nanargmax(size))] for place, size in zip(places.tolist(), z, strict=True)
    }


def play(model: Streamed, some: Some, plan: Plan, rows: Arrived, snapshots: Snapshots, *, plain: bool) -> Played:
    """Take all rows; `plain` says that they are of one stream each, in their order."""
    every, anew = snapshots
    if plain:
        return _at_once(model, some, rows, (plan.seq + some.facts.id) % every == 0, anew)
    return _in_waves(model, some, plan, rows, (plan.seq + some.facts.id[plan.member]) % every == 0, anew)


def _at_once(model: Streamed, some: Some, rows: Arrived, due: Bool[np.ndarray, " taken"], anew: Anew | None) -> Played:
    held, tracked, screened, far, _ = advance(model, some.held, some.profile, rows)
    if anew is not None:
        held = held._replace(state=anew(held.state, np.arange(len(due))))
    found = due.nonzero()[0].tolist()
    return Played(held, rows, *_told(tracked), screened, far, shots_of(held, found, found))


def _in_waves(
    model: Streamed, some: Some, plan: Plan, rows: Arrived, due: Bool[np.ndarray, " taken"], anew: Anew | None
) -> Played:
    held = Held(*(part.copy() for part in some.held))
    played = _blank(model, held, rows, len(plan.member))
    parts = (played.values, played.said, played.score, played.finite)
    for wave in range(int(plan.wave.max(initial=-1)) + 1):
        places = np.flatnonzero(plan.wave == wave)
        members = plan.member[places]
        taken = Arrived(*(None if part is None else part[places] for part in rows))  # type: ignore[arg-type]
        after, tracked, screened, far, _ = advance(model, held.of(members), some.profile.of(members), taken)
        if anew is not None:
            after = after._replace(state=anew(after.state, places))
        held.put(members, after)
        for part, told in zip(parts, _told(tracked), strict=True):
            part[places] = told
        played.screened[places], played.far[places] = screened, far
        shot = np.flatnonzero(due[places])
        played.shots.extend(shots_of(after, shot.tolist(), places[shot].tolist()))
    return played


def _blank(model: Streamed, held: Held, rows: Arrived, count: int) -> Played:
    """Return what is filled wave by wave."""
    tracking, shape = model.tracking, (model.spec.horizon, len(model.spec.targets))
    return Played(
        held,
        rows,
        values=np.empty((count, 2 + 2 * len(tracking.levels), *shape), np.float32),
        said=np.empty((count, *shape, 2), np.float32),
        score=np.empty((count, tracking.scored), np.float32),
        finite=np.empty(count, bool),
        screened=np.empty(count, bool),
        far=np.empty(count, bool),
    )


def _told(tracked: Tracked) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return tracked.values, tracked.said, tracked.score, tracked.finite


def shots_of(held: Held, streams: Sequence[int], places: Sequence[int]) -> list[Shot]:
    """Return what is to be kept of some streams, that stand behind rows at some places of the plan."""
    return [
        Shot(place, held.state[stream].tobytes(), held.tracker[stream].tobytes())
        for stream, place in zip(streams, places, strict=True)
    ]

"""One turn: a batch of pushes under one version, from what came to what is answered, with one commit between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int
from numpy import count_nonzero  # a fifth of what `any` costs

from forecasting.admission import FARTHEST
from forecasting.errors import GatecastError, NotFinite, Outrun, StreamError, WindowRejected
from forecasting.log.interface import Log
from forecasting.log.records import Issued, Key, Observation, Stream
from forecasting.streams.accepting import Verdicts, judge
from forecasting.streams.beginning import begun, fresh, strangers
from forecasting.streams.cautioning import cautions_about
from forecasting.streams.gridding import Bounds
from forecasting.streams.playing import Played, Snapshots, far_pushes, play, rows_of
from forecasting.streams.pool import Pool, Some, concatenated
from forecasting.streams.promptly import Prompt
from forecasting.streams.pushes import Outcomes, Pushes, blank, distinct, join, select
from forecasting.streams.rebuilding import rebuild, unrolled_anew
from forecasting.streams.recording import Batch, commit_of, parts_of, read_notes, untold


class Brought(NamedTuple):
    """Streams that are to take rows, and what must be written about them beside that."""

    some: Some
    slots: Int[np.ndarray, " stream"]
    created: Sequence[Stream]


class Turn:
    """Takes pushes for the streams of one pool."""

    def __init__(
        self,
        pool: Pool,
        log: Log,
        replay_rows: int,
        snapshot_rows: int,
        max_gap_rows: int,
        room: Callable[[str], int],
    ) -> None:
        """Take over what is to be used; `room` says how many streams a principal may add."""
        self.pool, self._log, self._room = pool, log, room
        self._replay_rows, self._snapshot_rows, self._gaps = replay_rows, snapshot_rows, max_gap_rows
        self._prompt = Prompt(pool, log, snapshot_rows)

    def take(self, pushes: Pushes, now: int) -> Outcomes:
        """Take pushes, write what follows, and say what came of each.

        Raises:
            LogUnavailable, Outrun: nothing was written, and nothing is held that was not before.
        """
        if (usual := self._prompt.take(pushes, now)) is not None:
            return usual
        names, members = distinct(pushes.names)
        brought, errors = self._bring(pushes, names, members, now)
        if errors:
            return self._without(pushes, members, errors, now)
        model = self.pool.model
        verdicts, played = self._played(pushes, members, brought)
        self._refuse_stale(pushes.principal, names, members, brought, verdicts)
        if played is not None:
            played.cautions.update(cautions_about(model, brought.some, verdicts, played))
            before, plan = brought.some.facts, verdicts.plan
            after = before.moved(plan.member, plan.seq, plan.time)
            batch = Batch(model, before, after, plan, played, now)
            taking = set(batch.before.id[verdicts.plan.member].tolist()) if brought.created else ()
            self._log.commit(commit_of(batch, [one for one in brought.created if one.id in taking]))
            self._keep(pushes.principal, names, brought, batch)
        return self._outcomes(brought.some.facts.id[members], verdicts, played)

    def _bring(
        self, pushes: Pushes, names: Sequence[str], members: Int[np.ndarray, " pushes"], now: int
    ) -> tuple[Brought, dict[int, GatecastError]]:
        """Return the streams of a batch, from memory where they are held; and why some cannot be had, by member."""
        pool = self.pool
        slots = pool.find(pushes.principal, names)
        if not count_nonzero(slots < 0):
            return Brought(pool.take(slots), slots, ()), {}
        absent = np.flatnonzero(slots < 0)
        keys = [Key(pushes.principal, pool.model.version.model, names[place]) for place in absent.tolist()]
        first = {member: push for push, member in reversed(list(enumerate(members.tolist())))}
        given = [pushes.columns(first[place]) for place in absent.tolist()]
        begins, errors = begun(pool.model, self._log, keys, given, self._room, now)
        if errors:
            none = Brought(pool.take(slots[:0]), slots[:0], ())
            return none, {int(absent[place]): error for place, error in errors.items()}
        known = [one for one in begins if one.seq >= 0]
        new = [one for one in begins if one.seq < 0]
        places = {one.id: place for one, place in zip(begins, absent.tolist(), strict=True)}
        parts = [(np.flatnonzero(slots >= 0), pool.take(slots[slots >= 0]))]
        if known:
            some = rebuild(pool.model, self._log, known, self._replay_rows)
            parts.append((np.array([places[one.id] for one in known]), some))
        if new:
            parts.append((np.array([places[one.id] for one in new]), fresh(pool.model, new)))
        return Brought(concatenated(parts), slots, new), {}

    def _without(
        self, pushes: Pushes, members: Int[np.ndarray, " pushes"], errors: dict[int, GatecastError], now: int
    ) -> Outcomes:
        """Answer the pushes for streams that cannot be had by why, and take the others."""
        bad = np.isin(members, list(errors))
        refused = np.flatnonzero(bad)
        nothing = self._blank(len(refused))
        nothing.errors.update({at: errors[int(members[place])] for at, place in enumerate(refused.tolist())})
        if bad.all():
            return nothing
        others = np.flatnonzero(~bad)
        return join([(others, self.take(select(pushes, others), now)), (refused, nothing)])

    def _played(
        self, pushes: Pushes, members: Int[np.ndarray, " pushes"], brought: Brought
    ) -> tuple[Verdicts, Played | None]:
        """Judge and play; a push that turns out to be absurd, or to make the model say nonsense, is left out."""
        model, some = self.pool.model, brought.some
        bounds = Bounds(model.spec.calendar, model.spec.horizon, self._gaps)
        refused = strangers(model, pushes, some.profile.places[members])
        while True:
            verdicts = judge(bounds, pushes, members, some.facts, self._log, refused)
            plan = verdicts.plan
            if not len(plan.member):
                return verdicts, None
            rows = rows_of(model, pushes, plan, plain=verdicts.plain)
            anew = unrolled_anew(model, self._log, some, plan, rows)
            played = play(model, some, plan, rows, Snapshots(self._snapshot_rows, anew), plain=verdicts.plain)
            if count_nonzero(played.far):
                far = far_pushes(model, some, plan, played)
                refused |= {push: _too_far(column) for push, column in far.items()}
            elif count_nonzero(played.finite) == len(played.finite):
                return verdicts, played
            else:
                message = "the model's forecast is not finite; look at the row's values, then at the model"
                refused |= {push: NotFinite(message) for push in plan.push[~played.finite].tolist()}

    def _refuse_stale(
        self,
        principal: str,
        names: Sequence[str],
        members: Int[np.ndarray, " pushes"],
        brought: Brought,
        verdicts: Verdicts,
    ) -> None:
        """Raise `Outrun` where a push was refused by what memory holds of its stream, and the log is further."""
        if not verdicts.errors:
            return
        held = [place for place in set(members[list(verdicts.errors)].tolist()) if brought.slots[place] >= 0]
        keys = [Key(principal, self.pool.model.version.model, names[place]) for place in held]
        facts = brought.some.facts
        for place, stream in zip(held, self._log.find(keys), strict=True):
            stands = facts.id[place], facts.seq[place], facts.epoch[place]
            if stream is None or (stream.id, stream.seq, stream.epoch) != stands:
                message = "another process has written to the stream"
                raise Outrun(message)

    def _keep(self, principal: str, names: Sequence[str], brought: Brought, batch: Batch) -> None:
        some = Some(batch.after, batch.played.held, brought.some.profile)
        if not count_nonzero(some.facts.seq < 0):
            self.pool.keep(principal, names, brought.slots, some)
        else:
            there = np.flatnonzero(some.facts.seq >= 0)
            kept = [names[place] for place in there.tolist()]
            self.pool.keep(principal, kept, brought.slots[there], some.of(there))

    def _blank(self, count: int) -> Outcomes:
        spec, tracking = self.pool.model.spec, self.pool.model.tracking
        return blank(count, (spec.horizon, len(spec.targets)), 2 * len(tracking.levels), tracking.scored)

    def _outcomes(self, ids: Int[np.ndarray, " pushes"], verdicts: Verdicts, played: Played | None) -> Outcomes:
        plan, count = verdicts.plan, len(verdicts.newest)
        if played is not None and verdicts.plain:
            arrays = (*parts_of(played.values), played.score)
            again = np.zeros(count, bool)
            out = Outcomes({}, plan.seq, plan.time, verdicts.accepted, again, *arrays, {}, {})
        else:
            out = self._blank(count)
            self._fill(out, verdicts, played)
        self._replay(out, ids, verdicts)
        out.errors.update(verdicts.errors)
        if played is not None and played.cautions:
            told = ((push, played.cautions.get(place)) for push, place in enumerate(verdicts.newest.tolist()))
            out.cautions.update({push: cautions for push, cautions in told if cautions})
        return out

    def _fill(self, out: Outcomes, verdicts: Verdicts, played: Played | None) -> None:
        there = np.flatnonzero(verdicts.newest >= 0)
        if played is None or not len(there):
            return
        places = verdicts.newest[there]
        for part, new in zip(
            (out.seq, out.time, out.point, out.median, out.ends, out.score),
            (verdicts.plan.seq, verdicts.plan.time, *parts_of(played.values), played.score),
            strict=True,
        ):
            part[there] = new[places]
        out.accepted[there] = verdicts.accepted[there]
        out.replayed[there] = verdicts.accepted[there] == 0

    def _replay(self, out: Outcomes, ids: Int[np.ndarray, " pushes"], verdicts: Verdicts) -> None:
        """Answer pushes whose rows were known by what was answered then."""
        if not verdicts.replays:
            return
        wanted = [(int(ids[push]), seq, seq) for push, seq in verdicts.replays.items()]
        found = zip(verdicts.replays, self._log.rows(wanted), self._log.issued(wanted), strict=True)
        for push, rows, issued in found:
            if issued and rows:
                self._answer_again(out, push, rows[0], issued[0])
            else:
                message = "the rows were accepted as history; nothing was forecast from them"
                out.errors[push] = StreamError(message)

    def _answer_again(self, out: Outcomes, push: int, row: Observation, issued: Issued) -> None:
        parts = untold(self.pool.model, issued.values)
        if parts is None:
            message = "the row was answered by a version with another horizon or other levels; GET .../ledger shows it"
            out.errors[push] = StreamError(message)
            return
        out.seq[push], out.time[push], out.replayed[push] = row.seq, row.time, True
        out.point[push], out.median[push], out.ends[push] = parts
        score = np.frombuffer(row.score or b"", np.float32)
        if score.size == out.score.shape[1]:
            out.score[push] = score
        out.answered[push] = issued.version
        if cautions := read_notes(issued.notes):
            out.cautions[push] = cautions


def _too_far(column: str) -> WindowRejected:
    message = (
        f"a value of {column} is more than {FARTHEST:.0e} standard deviations from what the model was trained on; "
        "check its unit"
    )
    return WindowRejected(message, "/observations")

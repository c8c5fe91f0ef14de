"""The usual push, promptly: one look at all its rows, one step, one commit.

Usual are pushes each of which is the one next row of a stream of its own that is held in memory, of a model that is
carried on and on and knows nothing in advance, with nothing odd about a row or its forecast. So are nearly all. What a
`Turn` does in a dozen general steps takes a third of the time here; whatever is not usual is handed back to it before
anything was changed. Both take their step by `advancing.advance`, so what is answered is the same to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from forecasting.log.interface import Log
from forecasting.stepping import LATEST, fixed_step
from forecasting.streams import kernel
from forecasting.streams.advancing import Advanced, Arrived, advance
from forecasting.streams.cautioning import Cautions, knows_series, standing
from forecasting.streams.playing import shots_of
from forecasting.streams.pool import Facts, Pool, Slots
from forecasting.streams.pushes import Outcomes, Pushes
from forecasting.streams.recording import Next, commit_of_next


class Prompt:
    """Takes usual pushes for the streams of one pool."""

    def __init__(self, pool: Pool, log: Log, snapshot_rows: int) -> None:
        """Look once at what does not change: whether any push to this model can be usual."""
        spec = pool.model.spec
        step = fixed_step(spec.calendar)
        self._pool, self._log, self._every = pool, log, snapshot_rows
        self._able = step is not None and pool.model.resync is None and not spec.columns.known
        self._knows_series = knows_series(pool.model)
        self._step, self._lookback = step or 1, spec.lookback
        self._latest = LATEST - self._step * spec.horizon

    def take(self, pushes: Pushes, now: int) -> Outcomes | None:
        """Take pushes and say what came of each; None where one is not usual, and nothing was done.

        Raises:
            LogUnavailable, Outrun: nothing was written, and nothing is held that was not before.
        """
        slots = self._slots(pushes)
        if slots is None:
            return None
        some, times = self._pool.take(slots), pushes.times
        before, after = some.facts.table, np.empty(some.facts.table.shape, np.int64)
        due, short = kernel.onward(before, times, self._step, self._latest, self._lookback, self._every, after)
        if due < 0:
            return None
        model, came = self._pool.model, Arrived(pushes.values, times, np.ones(len(times), np.bool_))
        step = advance(model, some.held, some.profile, came)
        if not step.usual:
            return None
        shots = shots_of(step.held, *self._due(after)) if due else ()
        cautions = standing(model, after[:, 2], some.profile.places) if short or self._knows_series else {}
        self._log.commit(commit_of_next(Next(model, before, after, pushes.values, step, cautions, now), shots))
        self._pool.put(slots, Facts(after), step.held)
        return _outcomes(after, step, cautions)

    def _slots(self, pushes: Pushes) -> Slots | None:
        """Return where the streams of pushes of one row each are held; None where these are other pushes."""
        count, names = len(pushes.times), pushes.names
        if not self._able or pushes.series is not None or pushes.static is not None or len(names) != count:
            return None
        if count > 1 and (len(set(names)) < count or np.count_nonzero(pushes.starts[1:] - pushes.starts[:-1] != 1)):
            return None
        return self._pool.slots_of(pushes.principal, names)

    def _due(self, after: Int[np.ndarray, "stream four"]) -> tuple[Sequence[int], Sequence[int]]:
        found = np.flatnonzero((after[:, 0] + after[:, 2]) % self._every == 0).tolist()
        return found, found


def _outcomes(after: Int[np.ndarray, "stream four"], step: Advanced, cautions: dict[int, Cautions]) -> Outcomes:
    tracked, count = step.tracked, len(after)
    return Outcomes(
        {},
        after[:, 2],
        after[:, 3],
        np.ones(count, np.int64),
        np.zeros(count, np.bool_),
        tracked.point,
        tracked.median,
        tracked.ends,
        tracked.score,
        {},
        cautions,
    )

"""What the linear road is fitted to: regressors and targets of rows, and the sums that normal equations need of them.

Regressors of a row are lags of the target, anchored on its last value (z_(t-k) - z_t; a sum of changes, so that what is
unknown is 0), the last changes of other columns, levels, the calendar, the known covariates now and at the step asked
for, and a constant. Targets are what the next rows add to the last value.

The lags are those of the target itself and not its changes, though both say the same: ridge holds back what is asked
of it, and a slow return to the mean of a week takes 168 small weights on lags, but 168 large ones on changes (lab log).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from forecasting.filling import fill_alone
from forecasting.scaled import Part, ScaledSeries, origins, targets

CHUNK = 4_096


class Candidate(NamedTuple):
    """A choice of regressors for each target.

    `lags` of the target itself; `others` changes of every column beside it; the `levels` of the target itself (own), of
    the columns beside it as well (all), or none. Without lags nothing is looked at: the last value stays.
    """

    lags: int
    others: int
    levels: str


class History(NamedTuple):
    """Rows of one series from `first` on, without holes; `known` also after them."""

    one: ScaledSeries
    first: int
    level: Float[np.ndarray, "rows seen"]
    changes: Float[np.ndarray, "rows seen"]
    calendar: Float[np.ndarray, "rows features"]
    known: Float[np.ndarray, "reach known"]

    @property
    def whole(self) -> Part:
        """All rows there are."""
        return self.block(0, 1)

    def block(self, number: int, blocks: int) -> Part:
        """Return one of several blocks of all rows."""
        rows = len(self.level)
        return Part(self.first + rows * number // blocks, self.first + rows * (number + 1) // blocks)


class Question(NamedTuple):
    """What is asked of the histories: one target, by one candidate, so many steps ahead, with these columns beside."""

    target: int
    beside: list[int]
    candidate: Candidate
    horizon: int

    @property
    def levels(self) -> list[int]:
        """The columns whose levels are looked at."""
        return {"own": [self.target], "all": [self.target, *self.beside]}[self.candidate.levels]

    def places(self, wider: Question, history: History) -> list[int]:
        """Return where the regressors stand among those of a question with as many lags, more columns and levels."""
        lags, near, levels, *others = wider.sizes(history)
        behind = lags + near
        kept = [*range(lags), *(range(lags, behind) if self.candidate.others else ())]
        kept += [behind + place for place, column in enumerate(wider.levels) if column in self.levels]
        return kept + list(range(behind + levels, behind + levels + sum(others)))

    def sizes(self, history: History) -> list[int]:
        """Count regressors: own lags, changes of others, levels, calendar, known now, constant, known ahead."""
        near, known = self.candidate.others * len(self.beside), history.known.shape[1]
        return [self.candidate.lags, near, len(self.levels), history.calendar.shape[1], known, 1, known]


class Moments(NamedTuple):
    """Sums over rows, by step: of regressors times regressors, times targets; of squared targets; and of targets seen.

    `shared` is of the rows that have the targets of all steps, the same for each step; `own` of the others.
    """

    shared: Float[np.ndarray, "regressor regressor"]
    own: Float[np.ndarray, "step regressor regressor"]
    cross: Float[np.ndarray, "step regressor"]
    power: Float[np.ndarray, " step"]
    cells: Float[np.ndarray, " step"]

    def at(self, places: Sequence[int]) -> Moments:
        """Return the sums of some regressors alone."""
        square = np.ix_(places, places)
        return self._replace(
            shared=self.shared[square], own=self.own[:, square[0], square[1]], cross=self.cross[:, places]
        )

    def plus(self, more: Moments) -> Moments:
        """Return the sums over both."""
        return Moments(*(ours + theirs for ours, theirs in zip(self, more, strict=True)))


class _Rows(NamedTuple):
    """Of some rows: what all steps share, what is different for each, and what is to be said (NaN unobserved)."""

    shared: Float[np.ndarray, "rows regressor"]
    ahead: Float[np.ndarray, "rows step known"]
    added: Float[np.ndarray, "rows step"]

    def of(self, step: int) -> Float[np.ndarray, "rows regressor"]:
        """Return all regressors of one step."""
        return np.concatenate([self.shared, self.ahead[:, step]], axis=1) if self.ahead.shape[2] else self.shared


def history_of(one: ScaledSeries, stop: int, most: int, horizon: int) -> History:
    """Fill the holes of the newest `most` rows before `stop`."""
    first = max(stop - most, 0)
    filled = fill_alone(torch.from_numpy(one.z(first, stop)))
    known = np.nan_to_num(one.known(first, stop + horizon))
    return History(one, first, filled.level[0].numpy(), filled.changes[0].numpy(), one.features(first, stop), known)


def moments_of(histories: Sequence[History], question: Question, parts: Sequence[Part]) -> Moments:
    """Sum over a part of each history."""
    sizes, horizon = question.sizes(histories[0]), question.horizon
    size, known = sum(sizes), sizes[-1]
    shared, own = np.zeros((size, size)), np.zeros((horizon, size, size))
    cross, power, cells = np.zeros((horizon, size)), np.zeros(horizon), np.zeros(horizon)
    for history, part in zip(histories, parts, strict=True):
        for rows in _rows(history, question, part):
            seen = ~np.isnan(rows.added)
            added = np.where(seen, rows.added, 0.0)
            whole = seen.all(axis=1) & (known == 0)
            shared += rows.shared[whole].T @ rows.shared[whole] if whole.any() else 0.0
            for step in range(0 if whole.all() else horizon):
                broken = rows.of(step)[seen[:, step] & ~whole]
                own[step] += broken.T @ broken
            cross[:, : size - known] += added.T @ rows.shared
            cross[:, size - known :] += np.einsum("rs,rsk->sk", added, rows.ahead)
            power += np.square(added).sum(axis=0)
            cells += seen.sum(axis=0)
    return Moments(shared, own, cross, power, cells)


def _rows(history: History, question: Question, part: Part) -> Iterator[_Rows]:
    """Yield the regressors and targets of one column in chunks, float64."""
    target, beside, candidate, horizon = question
    at = origins(part, horizon)
    for low in range(max(at.start, history.first), at.stop, CHUNK):
        rows = range(low, min(low + CHUNK, at.stop))
        here = slice(rows.start - history.first, rows.stop - history.first)
        level = history.level[here]
        shared = [
            _anchored(_lagged(history.changes[:, [target]], candidate.lags, here)),
            _lagged(history.changes[:, beside], candidate.others if beside else 0, here),
            level[:, question.levels],
            history.calendar[here],
            history.known[here],
            np.ones((len(rows), 1)),
        ]
        reach = history.known[here.start + 1 : here.stop + horizon]
        ahead = np.lib.stride_tricks.sliding_window_view(reach, horizon, axis=0).transpose(0, 2, 1)
        added = targets(history.one, rows, horizon)[:, :, target] - level[:, [target]]
        yield _Rows(np.concatenate(shared, axis=1, dtype=np.float64), ahead, added.astype(np.float64))


def _lagged(changes: np.ndarray, lags: int, here: slice) -> Float[np.ndarray, "here regressor"]:
    """Changes of the last `lags` rows, oldest first, as a convolution kernel wants them; 0 before the first row."""
    if not lags:
        return np.zeros((here.stop - here.start, 0))
    start = here.start - lags + 1
    window = np.concatenate([np.zeros((max(-start, 0), changes.shape[1])), changes[max(start, 0) : here.stop]])
    return np.lib.stride_tricks.sliding_window_view(window, lags, axis=0).reshape(here.stop - here.start, -1)


def _anchored(changes: Float[np.ndarray, "rows lag"]) -> Float[np.ndarray, "rows lag"]:
    """Return the lags 1, 2, ... less the last value: minus the sum of the changes since."""
    return -np.cumsum(changes[:, ::-1], axis=1, dtype=np.float64)


def on_changes(weights: Float[np.ndarray, "step lag"]) -> Float[np.ndarray, "step lag"]:
    """Return the weights on changes, oldest first, that say what these weights on anchored lags 1, 2, ... say."""
    return -np.cumsum(weights[:, ::-1], axis=1)

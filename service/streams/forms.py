"""Forms of answers: JSON with places for what differs from one push to the next.

The numbers of a push are written by JSON's writer, which knows how few digits a 32-bit float needs, then taken apart
again: as texts in a row, from which each place of a form takes its own. What would be dozens of numpy's smallest calls
is a list then.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain, pairwise
from operator import itemgetter
from typing import NamedTuple

import msgspec
import numpy as np
import orjson
from jaxtyping import Int

from forecasting.streams.pushes import Outcomes
from forecasting.streams.scoring import Scores
from forecasting.streams.streamed import Streamed
from service.telemetry import DRIFTS

PUSH = (
    b'{"model":%b,"stream":"%b","sequence":%d,"timestamp":"%b","accepted":%d,"replayed":%b,"forecast":[%b],"score":%b,'
    b'"skill":%b,"coverage":%b,"scored":%d,"drift":"%b","warnings":%b,"status":"%b","units":%b}'
)
"""The answer to a single push."""

OUTCOME = (
    b'{"stream":"%b"%b,"sequence":%d,"timestamp":"%b","accepted":%d,"replayed":%b,"forecast":[%b],"score":%b,'
    b'"skill":%b,"coverage":%b,"scored":%d,"drift":"%b","warnings":%b,"cold":%b,"status":200}'
)
"""What came of one of many."""

COLUMN = b'%b:{"actual":%%b,"point":%%b,"median":%%b,"error":%%b,"covered":{%b}}'
"""How the forecast of one column fared."""

MOST_NUMBERS = 2_000
"""Numbers that are written at once; more gain nothing, and who is asked for in another form is written in vain."""

SCORE = b'{"step":1,"columns":{%b}}'
NULL = b"null"


class Told(NamedTuple):
    """What is said of a push, as JSON: its forecast, how the one before fared, and all of them so far."""

    forecast: bytes = b""
    score: bytes = NULL
    skill: bytes = NULL
    coverage: bytes = NULL
    scored: int = 0
    drift: bytes = DRIFTS[0].encode()


class Places(NamedTuple):
    """Where the numbers of a push are in its row; `running` has count, drift, skill by target and coverage by level."""

    point: Int[np.ndarray, "step target"]
    median: Int[np.ndarray, "step target"]
    actual: Int[np.ndarray, "three target"]
    running: Int[np.ndarray, " running"]
    error: Int[np.ndarray, " target"]
    covered: Int[np.ndarray, "target level"]
    ends: Int[np.ndarray, "end step target"]
    times: Int[np.ndarray, " step"]

    @classmethod
    def of(cls, horizon: int, targets: int, levels: int) -> Places:
        """Count them; so many levels are told."""
        shapes = (
            *((horizon, targets), (horizon, targets), (3, targets), (2 + targets + levels,)),
            *((targets,), (targets, levels), (2 * levels, horizon, targets), (horizon,)),
        )
        starts = np.cumsum([0, *map(math.prod, shapes)]).tolist()
        return cls(*(np.arange(*span).reshape(shape) for span, shape in zip(pairwise(starts), shapes, strict=True)))

    def forecast(self, steps: int, levels: int) -> list[int]:
        """Return those that the steps of a forecast are filled from."""
        found: list[int] = []
        for step in range(steps):
            found += [int(self.times[step]), *self.point[step].tolist(), *self.median[step].tolist()]
            for level in range(levels):
                found += self.ends[2 * level : 2 * level + 2, step].T.ravel().tolist()
        return found

    def column(self, target: int) -> list[int]:
        """Return those that tell how the forecast of a column fared."""
        return [*self.actual[:, target].tolist(), int(self.error[target]), *self.covered[target].tolist()]


class Block(NamedTuple):
    """The numbers of neighbouring pushes as texts, and which neighbours they are."""

    block: int
    rows: list[list[bytes]]


Texts = dict["Form", Block]
"""What was last written of some outcomes, by form. Each outcomes have their own: a form serves many threads."""


class Form:
    """What is said of a push, for one choice of levels and steps."""

    def __init__(self, model: Streamed, levels: tuple[int, ...], steps: int) -> None:
        """Write down what does not differ, and where the numbers are that do."""
        names = [msgspec.json.encode(name).replace(b"%", b"%%") for name in model.spec.targets]
        places = Places.of(model.spec.horizon, len(names), len(levels))
        chosen = [model.tracking.levels.index(level) for level in levels]
        scores = model.tracking.split(np.arange(model.tracking.scored)[None])
        self._targets, self._levels = len(names), len(levels)
        self._taken, self._held = _taken(scores, chosen), scores.covered[0][:, chosen].ravel()
        self._ends = np.array([end for level in chosen for end in (2 * level, 2 * level + 1)], dtype=np.int64)
        covered = b",".join(b'"%d":%%b' % level for level in levels)
        self._forecast = _steps(names, levels, steps), itemgetter(*places.forecast(steps, len(levels)))
        self._columns = [(COLUMN % (name, covered), name % () + b":null") for name in names]
        self._scored = [places.column(target) for target in range(len(names))]
        self._score = SCORE % b",".join(form for form, _ in self._columns), itemgetter(*chain(*self._scored))
        self._running = slice(int(places.running[0]), int(places.running[-1]) + 1)
        self._coverage = b"{%b}" % covered
        self._block = max(MOST_NUMBERS // int(places.times[0]), 1)

    def told(self, outcomes: Outcomes, place: int, times: Sequence[bytes], texts: Texts) -> Told:
        """Return what is said of the push at a place among outcomes; `times` are those of the steps after its row."""
        row = [*self._row(outcomes, place, texts), *times]
        form, fill = self._forecast
        forecast = form % fill(row)
        count, drift, *rest = row[self._running]
        drifts = Told().drift if drift == NULL else DRIFTS[int(float(drift))].encode()
        if count in {NULL, b"0.0"}:
            return Told(forecast, drift=drifts)
        skills, shares = rest[: self._targets], rest[self._targets :]
        coverage = self._coverage % tuple(shares) if shares else NULL
        return Told(forecast, self._fared(row), _mean(skills), coverage, int(float(count)), drifts)

    def _row(self, outcomes: Outcomes, place: int, texts: Texts) -> list[bytes]:
        """Return the numbers of a push as texts; those of the pushes beside it are written at the same time."""
        block, at = divmod(place, self._block)
        written = texts.get(self)
        if written is None or written.block != block:
            pushes = slice(block * self._block, (block + 1) * self._block)
            written = texts[self] = Block(block, self._texts_of(outcomes, pushes))
        return written.rows[at]

    def _texts_of(self, outcomes: Outcomes, pushes: slice) -> list[list[bytes]]:
        """Return the numbers of some pushes as texts, row by row; NaN is null."""
        score, targets = outcomes.score[pushes], self._targets
        taken = score.take(self._taken, axis=1)
        error = taken[:, :targets] - taken[:, targets : 2 * targets]
        parts = [*map(np.ascontiguousarray, (outcomes.point[pushes], outcomes.median[pushes])), taken, error]
        if self._levels:
            parts += [score.take(self._held, axis=1) > 0, outcomes.ends[pushes].take(self._ends, axis=1)]
        text: bytes = orjson.dumps(parts, option=orjson.OPT_SERIALIZE_NUMPY)
        numbers = text.translate(None, b"[]").split(b",")
        if len(score) == 1:
            return [numbers]
        sizes = [part[0].size for part in parts]
        starts = np.cumsum([0, *(part.size for part in parts[:-1])]).tolist()
        spans = list(zip(starts, sizes, strict=True))
        return [
            list(chain.from_iterable(numbers[start + at * size : start + (at + 1) * size] for start, size in spans))
            for at in range(len(score))
        ]

    def _fared(self, row: list[bytes]) -> bytes:
        """Return how the forecast before fared; null where nothing of it could be scored."""
        form, fill = self._score
        filled = fill(row)
        if NULL not in filled:
            whole: bytes = form % filled
            return whole
        parts = [tuple([row[place] for place in places]) for places in self._scored]
        if all(NULL in part for part in parts):
            return NULL
        columns = zip(self._columns, parts, strict=True)
        return SCORE % b",".join(nothing if NULL in part else form % part for (form, nothing), part in columns)


def _taken(scores: Scores, chosen: Sequence[int]) -> Int[np.ndarray, " some"]:
    """Return where in a score the numbers are that are told as they are: those of `Places.actual` and `running`."""
    return np.concatenate(
        [
            *(scores.actual[0], scores.point[0], scores.median[0]),
            *(scores.count, scores.drift, scores.skills[0], scores.coverage[0, chosen]),
        ]
    )


def _mean(skills: Sequence[bytes]) -> bytes:
    there = [float(skill) for skill in skills if skill != NULL]
    return f"{sum(there) / len(there):.7g}".encode() if there else NULL


def _steps(names: Sequence[bytes], levels: Sequence[int], steps: int) -> bytes:
    each = b"{%b}" % b",".join(name + b":%b" for name in names)
    pairs = b"{%b}" % b",".join(name + b":[%b,%b]" for name in names)
    intervals = b",".join(b'"%d":%b' % (level, pairs) for level in levels)
    form = b'{"timestamp":"%%b","step":%d,"point":%b,"median":%b,"intervals":{%b}}'
    return b",".join(form % (step, each, each, intervals) for step in range(1, steps + 1))

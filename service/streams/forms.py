"""Forms of answers: JSON with places for what differs from one push to the next."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import orjson
from jaxtyping import Float

from forecasting.streams.pushes import Outcomes
from forecasting.streams.streamed import Streamed
from forecasting.streams.tracking import Scores

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

COLUMN = (
    ("actual", "point", "median", "error"),
    b'%b:{"actual":%%b,"point":%%b,"median":%%b,"error":%%b,"covered":{%b}}',
)
"""How the forecast of one column fared: its numbers, before those by level, and their form."""

NULL = b"null"
FLAGS = {b"1.0": b"true", b"0.0": b"false", NULL: NULL}

Row = list[bytes]
"""Numbers of one push as texts: of each step point, median, and by level and column low and high; of each column of the
forecast before what `COLUMN` names, and by level whether it was covered; the skill; by level the coverage."""


class Form:
    """The parts of an answer for one choice of levels and steps."""

    def __init__(self, model: Streamed, levels: tuple[int, ...], steps: int) -> None:
        """Write down what does not differ."""
        targets, known = model.spec.targets, model.tracking.levels
        names = [msgspec.json.encode(name).replace(b"%", b"%%") for name in targets]
        self._targets, self._count, self._steps = len(targets), steps, _steps(names, levels, steps)
        self._chosen = [known.index(level) for level in levels]
        self._ends = [end for level in self._chosen for end in (2 * level, 2 * level + 1)]
        self._width = self._targets * (2 + len(self._ends))
        self._scored = len(COLUMN[0]) + len(levels)
        covered = b",".join(b'"%d":%%b' % level for level in levels)
        self._columns = [(COLUMN[1] % (name, covered), name % () + b":null") for name in names]
        self._coverage = b"{%b}" % covered
        self._skill = steps * self._width + self._targets * self._scored

    def rows(self, outcomes: Outcomes, places: slice | Sequence[int], scores: Scores) -> list[Row]:
        """Return the numbers of some pushes, with as few digits as tell a 32-bit float from its neighbours."""
        point, median, ends = (part[places] for part in (outcomes.point, outcomes.median, outcomes.ends))
        count, steps, targets = len(point), self._count, self._targets
        said = np.empty((count, self._skill + 1 + len(self._chosen)), dtype=np.float32)
        forecast = said[:, : steps * self._width].reshape(count, steps, self._width)
        forecast[..., :targets], forecast[..., targets : 2 * targets] = point[:, :steps], median[:, :steps]
        if self._ends:
            pairs = forecast[..., 2 * targets :].reshape(count, steps, len(self._chosen), targets, 2)
            pairs[...] = ends[:, self._ends, :steps].reshape(count, -1, 2, steps, targets).transpose(0, 3, 1, 4, 2)
        last = said[:, steps * self._width : self._skill].reshape(count, targets, self._scored)
        last[..., 0], last[..., 1], last[..., 2] = scores.actual, scores.point, scores.median
        np.subtract(scores.actual, scores.point, out=last[..., 3])
        last[..., len(COLUMN[0]) :] = scores.covered[..., self._chosen]
        said[:, self._skill], said[:, self._skill + 1 :] = means_of(scores.skills), scores.coverage[:, self._chosen]
        return texts_of(said)

    def forecast(self, row: Row, times: Sequence[bytes]) -> bytes:
        """Return the steps of a forecast, one behind the other."""
        width = self._width
        filled: list[bytes] = []
        for step in range(self._count):
            filled.append(times[step])
            filled += row[step * width : (step + 1) * width]
        return self._steps % tuple(filled)

    def score(self, row: Row) -> bytes:
        """Return how the forecast before fared; null where nothing of it could be scored."""
        width, begin = self._scored, self._count * self._width
        parts = [row[at : at + width] for at in range(begin, self._skill, width)]
        if all(part[0] == NULL for part in parts):
            return NULL
        columns = (_column(*form, part) for form, part in zip(self._columns, parts, strict=True))
        return b'{"step":1,"columns":{%b}}' % b",".join(columns)

    def running(self, row: Row) -> tuple[bytes, bytes]:
        """Return the skill, and the coverage by level."""
        coverage = row[self._skill + 1 :]
        return row[self._skill], self._coverage % tuple(coverage) if coverage else NULL


def texts_of(rows: Float[np.ndarray, "rows numbers"]) -> list[Row]:
    """Return numbers as texts; JSON's writer knows how few digits a 32-bit float needs. NaN is null."""
    text = orjson.dumps(rows, option=orjson.OPT_SERIALIZE_NUMPY)
    return [row.split(b",") for row in text[2:-2].split(b"],[")]


def _steps(names: Sequence[bytes], levels: Sequence[int], steps: int) -> bytes:
    each = b"{%b}" % b",".join(name + b":%b" for name in names)
    pairs = b"{%b}" % b",".join(name + b":[%b,%b]" for name in names)
    intervals = b",".join(b'"%d":%b' % (level, pairs) for level in levels)
    form = b'{"timestamp":"%%b","step":%d,"point":%b,"median":%b,"intervals":{%b}}'
    return b",".join(form % (step, each, each, intervals) for step in range(1, steps + 1))


def _column(form: bytes, nothing: bytes, part: Row) -> bytes:
    if part[0] == NULL:
        return nothing
    first = len(COLUMN[0])
    return form % (*part[:first], *(FLAGS[flag] for flag in part[first:]))


def means_of(skills: Float[np.ndarray, "pushes target"]) -> list[float]:
    """Return the mean of what there is of each row; to ask numpy for it takes five times as long for one row."""
    there = ([one for one in row if one == one] for row in skills.tolist())  # noqa: PLR0124 - NaN is not
    return [sum(row) / len(row) if row else np.nan for row in there]

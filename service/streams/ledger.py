"""The ledger as its readers see it: every forecast that was issued beside what came, in JSON or as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
from jaxtyping import Float

from forecasting.log.records import Entry, Issued
from forecasting.stepping import times_after
from forecasting.streams.streamed import Streamed
from service.answers import rfc3339

Numbers = Float[np.ndarray, " target"]


class Line(NamedTuple):
    """A step of a forecast that was issued at row `sequence`, and what came; `intervals` are by level, low and high.

    `actual` is None where nothing has come (yet), NaN where the value is missing; `revised`: made again after a
    correction of an earlier row.
    """

    sequence: int
    issued: str
    timestamp: str
    step: int
    version: str
    revised: bool
    actual: Numbers | None
    point: Numbers
    median: Numbers
    intervals: dict[int, tuple[Numbers, Numbers]]

    @property
    def came(self) -> Numbers:
        """What came, NaN where nothing did."""
        return np.full_like(self.point, np.nan) if self.actual is None else self.actual

    @property
    def covered(self) -> dict[int, list[bool | None]]:
        """By level whether each value that came lies between the ends, None where none came."""
        came = self.came
        return {
            level: [
                None if np.isnan(one) else bool(lower <= one <= upper)
                for one, lower, upper in zip(came, *ends, strict=True)
            ]
            for level, ends in self.intervals.items()
        }


def lines_of(model: Streamed, entries: Sequence[Entry], rows: int, steps: int) -> Iterator[Line]:
    """Yield lines of the first `rows` entries, of `steps` steps each at most; the entries behind tell what came."""
    targets = len(model.spec.targets)
    actual = {one.observation.seq: np.frombuffer(one.observation.values, np.float32)[:targets] for one in entries}
    for entry in entries[:rows]:
        if entry.issued is not None:
            yield from _lines(model, entry, entry.issued, actual, steps)


def _lines(model: Streamed, entry: Entry, issued: Issued, actual: dict[int, Numbers], steps: int) -> Iterator[Line]:
    parts = _parts(model, issued)
    horizon, row = parts.shape[1], entry.observation
    levels = model.tracking.levels if parts.shape[0] == 2 + 2 * len(model.tracking.levels) else ()
    times = times_after(model.spec.calendar, row.time, horizon)
    for step in range(min(steps, horizon)):
        yield Line(
            sequence=row.seq,
            issued=rfc3339(row.time),
            timestamp=rfc3339(int(times[step])),
            step=step + 1,
            version=issued.version.version,
            revised=issued.revised,
            actual=actual.get(row.seq + step + 1),
            point=parts[0, step],
            median=parts[1, step],
            intervals={
                level: (parts[2 + 2 * place, step], parts[3 + 2 * place, step]) for place, level in enumerate(levels)
            },
        )


def _parts(model: Streamed, issued: Issued) -> Float[np.ndarray, "parts horizon target"]:
    """Return what was issued; another version may have had another horizon, or other levels."""
    targets = len(model.spec.targets)
    horizon = len(issued.said) // (8 * targets)
    return np.frombuffer(issued.values, np.float32).reshape(-1, horizon, targets)


def write_json(model: Streamed, stream: str, lines: Sequence[Line], following: str | None) -> bytes:
    """Return a page in JSON; `following` is the cursor of the next."""
    targets = model.spec.targets
    page = {
        "stream": stream,
        "units": model.spec.units,
        "forecasts": [_object(targets, line) for line in lines],
        "next": following,
    }
    return orjson.dumps(page, option=orjson.OPT_SERIALIZE_NUMPY)


def _object(targets: Sequence[str], line: Line) -> dict[str, Any]:
    return {
        "sequence": line.sequence,
        "issued": line.issued,
        "timestamp": line.timestamp,
        "step": line.step,
        "version": line.version,
        "revised": line.revised,
        "actual": None if line.actual is None else _by_column(targets, line.actual),
        "point": _by_column(targets, line.point),
        "median": _by_column(targets, line.median),
        "error": None if line.actual is None else _by_column(targets, line.actual - line.point),
        "intervals": {
            str(level): dict(zip(targets, zip(*ends, strict=True), strict=True))
            for level, ends in line.intervals.items()
        },
        "covered": {str(level): dict(zip(targets, held, strict=True)) for level, held in line.covered.items()},
    }


def _by_column(targets: Sequence[str], values: Numbers) -> dict[str, np.float32 | None]:
    return {name: None if np.isnan(one) else one for name, one in zip(targets, values, strict=True)}


def write_csv(model: Streamed, lines: Sequence[Line]) -> str:
    """Return a page as a table, with the columns that `gatecast forecast` writes and what came beside them."""
    levels = model.tracking.levels
    text = io.StringIO()
    writer = csv.writer(text)
    names = ["sequence", "issued", "timestamp", "step", "version", "revised"]
    for target in model.spec.targets:
        names += [f"{target}-actual", target, f"{target}-median", f"{target}-error"]
        names += [f"{target}-{part}-{level}" for level in levels for part in ("lo", "hi", "covered")]
    writer.writerow(names)
    writer.writerows(_cells(line, levels) for line in lines)
    return text.getvalue()


def _cells(line: Line, levels: Sequence[int]) -> list[Any]:
    cells: list[Any] = [*line[:5], _flag(line.revised)]
    came, covered = line.came, line.covered
    for place, (actual, point, median) in enumerate(zip(came, line.point, line.median, strict=True)):
        cells += map(_number, (actual, point, median, actual - point))
        for level in levels:
            ends = line.intervals.get(level)
            cells += (
                [""] * 3 if ends is None else [*(_number(end[place]) for end in ends), _flag(covered[level][place])]
            )
    return cells


def _number(value: np.float32) -> str:
    """Write a 32-bit float with as few digits as it needs; nothing where it is missing."""
    return "" if np.isnan(value) else orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY).decode()


def _flag(value: bool | None) -> str:
    return "" if value is None else str(value).lower()

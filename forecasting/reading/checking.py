"""Check the cells of a table: header, series ids, and numbers that become float32."""

from __future__ import annotations

import difflib
import textwrap
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from forecasting.reading.tables import MISSING, place, quoted
from forecasting.report import Finding, counted
from forecasting.series import WIDE

if TYPE_CHECKING:
    from forecasting.project import DataSection


def wanted_columns(data: DataSection) -> list[str]:
    """Return the columns that a project reads: time, series, targets."""
    return [data.time, *([data.series] if data.series else []), *data.targets]


def check_header(header: tuple[str, ...], data: DataSection) -> tuple[Finding, ...]:
    """Demand every column once."""
    findings = [_check_name(name, header) for name in wanted_columns(data)]
    return tuple(finding for finding in findings if finding)


def _check_name(name: str, header: tuple[str, ...]) -> Finding | None:
    stripped = [one.strip() for one in header]
    if name not in stripped:
        near = difflib.get_close_matches(name, stripped, n=1)
        advice = f"did you mean {near[0]!r}?" if near else "correct [data]"
        columns = textwrap.shorten(", ".join(stripped), 300, placeholder=" ...")
        message = f"there is no column {name!r} among {columns}; {advice}"
        return Finding(code="missing-column", action="refused", message=message, column=name)
    if (times := stripped.count(name)) > 1:
        message = f"the header names {name!r} {times} times; keep the one that is meant"
        return Finding(code="duplicate-column", action="refused", message=message, count=times, column=name)
    if name not in header:
        message = f"white space around the name of column {name!r} was taken off"
        return Finding(code="spaced-header", action="noted", message=message, column=name)
    return None


def without_blank_rows(frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """Leave out the rows in which every cell is empty; refuse a table that has no other."""
    if frame.empty:
        return frame, (Finding(code="empty-table", action="refused", message="a header and no rows; give it data"),)
    blank = np.ones(len(frame), dtype=bool)
    for name in frame:
        blank &= (frame[name].isna() | (frame[name] == "")).to_numpy(bool)
        if not blank.any():
            return frame, ()
    count = int(blank.sum())
    message = f"{counted(count, 'row')} without any value left out"
    where = place(frame.index, blank)
    finding = Finding(code="blank-rows", action="repaired", message=message, count=count, where=where)
    if blank.all():
        finding = Finding(code="empty-table", action="refused", message="a header and blank rows; give it data")
    return frame[~blank], (finding,)


def read_ids(
    frame: pd.DataFrame, column: str | None
) -> tuple[Int[np.ndarray, " rows"], tuple[str, ...], tuple[Finding, ...]]:
    """Return the number of each row's series, the sorted ids (text as written), and findings."""
    if column is None:
        return np.zeros(len(frame), dtype=np.int64), (WIDE,), ()
    codes, ids = pd.factorize(frame[column].astype("str").replace("", None), sort=True)
    lost = codes < 0
    if not lost.any():
        return codes, tuple(ids), ()
    count = int(lost.sum())
    finding = Finding(
        code="missing-id",
        action="refused",
        message=f"{counted(count, 'row')} without an id in {column!r}; say which series they belong to",
        count=count,
        column=column,
        where=place(frame.index, lost),
    )
    return codes, tuple(ids), (finding,)


def read_values(
    frame: pd.DataFrame, targets: list[str]
) -> tuple[Float[np.ndarray, "rows columns"], tuple[Finding, ...]]:
    """Return the targets as float32, NaN where a cell is missing or refused, and findings."""
    values = np.empty((len(frame), len(targets)), dtype=np.float32)
    findings: list[Finding] = []
    for at, name in enumerate(targets):
        numbers, found = _read_numbers(frame[name])
        with np.errstate(over="ignore"):
            values[:, at] = numbers
        findings += [*found, *_infinite(frame[name], values[:, at]), *_missing(name, numbers, found)]
    return values, tuple(findings)


def _read_numbers(cells: pd.Series) -> tuple[Float[np.ndarray, " rows"], tuple[Finding, ...]]:
    if pd.api.types.is_numeric_dtype(cells) and not pd.api.types.is_bool_dtype(cells):
        return cells.to_numpy(np.float64, na_value=np.nan), ()
    text = cells.where(cells.isna(), cells.astype("str").str.strip())
    missing = (cells.isna() | text.isin(MISSING)).to_numpy(bool)
    numbers = pd.to_numeric(text.mask(missing).astype(object), errors="coerce").to_numpy(np.float64)
    wrong = np.isnan(numbers) & ~missing
    return numbers, (_wrong_type(cells, wrong),) if wrong.any() else ()


def _wrong_type(cells: pd.Series, wrong: np.ndarray) -> Finding:
    count, first = int(wrong.sum()), str(cells[wrong].iloc[0])
    advice = "write numbers with a point and without separators" if "," in first else "write numbers, or leave it empty"
    return Finding(
        code="wrong-type",
        action="refused",
        message=f"no number in {counted(count, 'cell')} of {cells.name!r}; {advice}",
        count=count,
        column=str(cells.name),
        where=quoted(cells, wrong),
    )


def _infinite(cells: pd.Series, values: np.ndarray) -> tuple[Finding, ...]:
    infinite = np.isinf(values)
    if not infinite.any():
        return ()
    count = int(infinite.sum())
    finding = Finding(
        code="infinite",
        action="refused",
        message=f"infinity, or more than float32 holds (3.4e38), in {counted(count, 'cell')} of {cells.name!r}; "
        "leave a cell empty where nothing was observed",
        count=count,
        column=str(cells.name),
        where=quoted(cells, infinite),
    )
    return (finding,)


def _missing(name: str, numbers: np.ndarray, found: tuple[Finding, ...]) -> tuple[Finding, ...]:
    count = int(np.isnan(numbers).sum()) - sum(finding.count for finding in found)
    if not count:
        return ()
    message = f"{counted(count, 'missing cell')} in {name!r}, {count / len(numbers):.1%} of its rows"
    return (Finding(code="missing-cells", action="noted", message=message, count=count, column=name),)

"""Check the cells of a table: header, series ids, numbers that become float32, and values that a series has once."""

from __future__ import annotations

import difflib
import textwrap
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from forecasting.reading.tables import MISSING, Wanted, first_place, quoted
from forecasting.report import Finding, counted
from forecasting.series import WIDE

if TYPE_CHECKING:
    from forecasting.columns import Columns
    from forecasting.sections import DataSection

_FLAGS = {"true": "1", "false": "0"}


def wanted_columns(data: DataSection) -> Wanted:
    """Return the columns that a project reads; times, ids and categories as they are written."""
    keys = [data.time, *([data.series] if data.series else [])]
    return Wanted([*keys, *data.columns.row, *data.static], [*keys, *data.categorical])


def check_header(header: tuple[str, ...], data: DataSection) -> tuple[Finding, ...]:
    """Demand every column once."""
    findings = [_check_name(name, header) for name in wanted_columns(data).columns]
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
    where = first_place(frame.index, blank)
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
        where=first_place(frame.index, lost),
    )
    return codes, tuple(ids), (finding,)


def read_values(frame: pd.DataFrame, columns: Columns) -> tuple[Float[np.ndarray, "rows columns"], tuple[Finding, ...]]:
    """Return the values of the rows as float32, NaN where a cell is missing or refused, and findings."""
    values = np.empty((len(frame), len(columns.row)), dtype=np.float32)
    findings: list[Finding] = []
    for at, name in enumerate(columns.row):
        numbers, wrong = numbers_of(frame[name], flags=name not in columns.targets)
        with np.errstate(over="ignore"):
            values[:, at] = numbers
        findings += [*_wrong_type(frame[name], wrong), *infinite(frame[name], values[:, at])]
        findings += _missing(name, np.isnan(numbers) & ~wrong, known=name in columns.known)
    return values, tuple(findings)


def numbers_of(cells: pd.Series, *, flags: bool) -> tuple[Float[np.ndarray, " rows"], Bool[np.ndarray, " rows"]]:
    """Return cells as numbers, NaN where there is none, and which of them are neither a number nor missing.

    With `flags`, true and false are 1 and 0.
    """
    if pd.api.types.is_numeric_dtype(cells) and (flags or not pd.api.types.is_bool_dtype(cells)):
        return cells.to_numpy(np.float64, na_value=np.nan), np.zeros(len(cells), dtype=bool)
    text = text_of(cells)
    if flags:
        text = text.mask(text.str.lower().isin(_FLAGS), text.str.lower().map(_FLAGS))
    numbers = pd.to_numeric(text.astype(object), errors="coerce").to_numpy(np.float64)
    return numbers, np.isnan(numbers) & text.notna().to_numpy(bool)


def text_of(cells: pd.Series) -> pd.Series:
    """Return cells as text without white space around it, None where they hold a missing marker."""
    text = cells.astype("str").str.strip()
    return text.mask(cells.isna() | text.isin(MISSING), None)


def _wrong_type(cells: pd.Series, wrong: np.ndarray) -> tuple[Finding, ...]:
    if not wrong.any():
        return ()
    count, first = int(wrong.sum()), str(cells[wrong].iloc[0])
    advice = "write numbers with a point and without separators" if "," in first else "write numbers, or leave it empty"
    finding = Finding(
        code="wrong-type",
        action="refused",
        message=f"no number in {counted(count, 'cell')} of {cells.name!r}; {advice}",
        count=count,
        column=str(cells.name),
        where=quoted(cells, wrong),
    )
    return (finding,)


def infinite(cells: pd.Series, values: Float[np.ndarray, " rows"]) -> tuple[Finding, ...]:
    """Refuse numbers that have no end."""
    endless = np.isinf(values)
    if not endless.any():
        return ()
    count = int(endless.sum())
    finding = Finding(
        code="infinite",
        action="refused",
        message=f"infinity, or more than float32 holds (3.4e38), in {counted(count, 'cell')} of {cells.name!r}; "
        "leave a cell empty where nothing was observed",
        count=count,
        column=str(cells.name),
        where=quoted(cells, endless),
    )
    return (finding,)


def _missing(name: str, missing: np.ndarray, *, known: bool) -> tuple[Finding, ...]:
    count = int(missing.sum())
    if not count:
        return ()
    message = f"{counted(count, 'missing cell')} in {name!r}, {count / len(missing):.1%} of its rows"
    if not known:
        return (Finding(code="missing-cells", action="noted", message=message, count=count, column=name),)
    message += "; what is known in advance should be there for every one"
    return (Finding(code="missing-known", action="noted", message=message, count=count, column=name),)

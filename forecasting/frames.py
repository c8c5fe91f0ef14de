"""Tables to windows: rows in named columns, of one series or several, as MLflow's pyfunc and its protocol have them.

A table has the columns of targets, past and known covariates, oldest row first, with a DatetimeIndex or a column
`timestamp` (UTC where it names no zone), for several series a column `series` and, if training had any, static columns.
Rows behind the last one with a target or a past covariate hold the known covariates of the steps to come.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from forecasting.admission import Window
from forecasting.bundle import Spec
from forecasting.calendar import nanoseconds
from forecasting.errors import WindowRejected
from forecasting.history import History, history_window
from forecasting.statics import StaticValue
from forecasting.stepping import Times
from forecasting.windows import build_window

TIME, SERIES = "timestamp", "series"

EXAMPLE = "2024-03-01T09:00:00Z"
_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)? ?(Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
"""What is taken as a time: pandas would take `now` as well."""

Places = Int[np.ndarray, " rows"]


def columns_of(spec: Spec) -> tuple[str, ...]:
    """Return the columns that a table for a model can have."""
    return (TIME, SERIES, *spec.columns.row, *spec.columns.static)


def table_windows(spec: Spec, table: pd.DataFrame) -> list[Window]:
    """Return the window of each series, in the order in which they first come; a window names its series, if one came.

    Raises:
        WindowRejected: rows cannot be used by this model; where one cell is at fault, the pointer is `/row/column`.
    """
    for name in spec.columns.row:
        if name not in table:
            message = f"column {name!r} is missing; the model takes {', '.join(spec.columns.row)}"
            raise WindowRejected(message)
    if not len(table):
        message = "no rows came; send at least one"
        raise WindowRejected(message)
    values = table[list(spec.columns.row)].to_numpy(dtype="float64", na_value=float("nan"))
    times, blocks = _times(table), _blocks(table)
    windows = []
    for number, (series, places) in enumerate(blocks, start=1):
        static = _static(spec, table.iloc[places])
        history = History(values[places], None if times is None else times[places], series, static)
        where = f"series {number} of {len(blocks)}: " if len(blocks) > 1 else ""
        windows.append(_window(spec, history, places, where))
    return windows


def _window(spec: Spec, history: History, places: Places, where: str) -> Window:
    rows = 0
    try:
        raw = history_window(spec, history)
        rows = len(raw.rows)
        return build_window(spec, raw)
    except WindowRejected as error:
        raise WindowRejected(where + str(error), _cell(spec, error.pointer, places, rows)) from error


def _cell(spec: Spec, pointer: str, places: Places, newest: int) -> str:
    """Turn a pointer into a window into one into the table it was cut from, where it is to one of its cells."""
    match pointer.split("/")[1:]:
        case ["data", row, column]:
            return f"/{places[int(row)]}/{spec.columns.row[int(column)]}"
        case ["timestamps", row]:
            return f"/{places[int(row)]}/{TIME}"
        case ["known_future", row, column]:
            return f"/{places[newest + int(row)]}/{spec.columns.known[int(column)]}"
        case _:
            return ""


def _blocks(table: pd.DataFrame) -> list[tuple[str | None, Places]]:
    """Return the series of a table, each with the places of its rows."""
    if SERIES not in table:
        return [(None, np.arange(len(table)))]
    codes, names = pd.factorize(table[SERIES])
    if len(lacking := np.flatnonzero(codes < 0)):
        message = f"row {lacking[0]} names no series; name one in each row, or leave the column out"
        raise WindowRejected(message, f"/{lacking[0]}/{SERIES}")
    ends = np.bincount(codes).cumsum()[:-1]
    places = np.split(np.argsort(codes, kind="stable"), ends)
    return [(str(name), own) for name, own in zip(names, places, strict=True)]


def _static(spec: Spec, table: pd.DataFrame) -> dict[str, StaticValue]:
    """Return the newest value of each static column that is there; None where all are missing."""
    found = {name: table[name].dropna() for name in spec.columns.static if name in table}
    return {name: _plain(values.iloc[-1]) if len(values) else None for name, values in found.items()}


def _plain(value: Any) -> StaticValue:
    return value if isinstance(value, str) else float(value)


def _times(table: pd.DataFrame) -> Times | None:
    times = table.get(TIME, table.index)
    if TIME not in table and not isinstance(times, pd.DatetimeIndex):
        return None
    if pd.api.types.is_numeric_dtype(times.dtype):
        message = f"timestamps came as numbers, whose unit nothing tells; send text as in RFC 3339, such as {EXAMPLE}"
        raise WindowRejected(message)
    for place, time in enumerate(times) if times.dtype.kind == "O" else ():
        if isinstance(time, str) and not _RFC3339.fullmatch(time):
            raise _no_time(place)
    try:
        index = pd.DatetimeIndex(pd.to_datetime(times, utc=True, format="ISO8601"))
        if len(absent := np.flatnonzero(index.isna())):
            raise _no_time(int(absent[0]))
        return nanoseconds(index)
    except (ValueError, TypeError, OverflowError) as error:
        message = f"a timestamp is none, or outside the years 1800 to 2199; send text as in RFC 3339, such as {EXAMPLE}"
        raise WindowRejected(message) from error


def _no_time(place: int) -> WindowRejected:
    return WindowRejected(f"row {place} has no time; send text as in RFC 3339, such as {EXAMPLE}", f"/{place}/{TIME}")

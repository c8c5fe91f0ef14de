"""The tables of MLflow's scoring protocol, in each of its JSON forms, and the windows in them."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
import pandas as pd
from msgspec import Meta

from forecasting.bundle import Spec
from forecasting.errors import WindowRejected
from forecasting.frames import SERIES, TIME, columns_of, table_windows
from forecasting.prediction import Asked
from service.body import decode_as, refuse_repeated_keys
from service.schemas import ColumnName, Levels, Limits

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")

TableCell = float | Annotated[str, Meta(max_length=256)] | None
Row = dict[ColumnName, TableCell]
Column = Sequence[TableCell]


class SplitTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table as pandas' `to_dict(orient="split")` writes it; `index` is not read."""

    columns: Annotated[list[ColumnName], Meta(min_length=1)]
    data: Annotated[list[list[TableCell]], Meta(min_length=1, description="Rows, oldest first; null is missing.")]
    index: list[TableCell] | None = None


Records = Annotated[list[Row], Meta(min_length=1, description="Rows by column, oldest first; null is missing.")]
Inputs = Annotated[dict[ColumnName, list[TableCell]], Meta(min_length=1, description="Columns, all of one length.")]


class ScoringParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked for beside the rows."""

    levels: Levels | None = None


class ScoringRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table in exactly one of four forms.

    Its columns are `timestamp` (RFC 3339; UTC where it names no zone), `series` where there are several, targets, past
    and known covariates, and static columns. Rows behind the last one with a target or a past covariate hold the known
    covariates of the steps to come.
    """

    dataframe_split: SplitTable | None = None
    dataframe_records: Records | None = None
    instances: Records | None = None
    inputs: Inputs | None = None
    params: ScoringParams | None = None


class ScoringAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A row a series and step: `series` and `timestamp` where they came, `step`, each target's mean, and others.

    `<target>-median` is its median, `<target>-lo-90` and `<target>-hi-90` are the ends of its 90 % interval.
    """

    predictions: list[dict[str, float | str]]


EXAMPLES = {
    "records": {
        "value": {
            "dataframe_records": [
                {"timestamp": "2013-12-30T21:00:00Z", "dewp": 26.1, "temp": 39.0},
                {"timestamp": "2013-12-30T22:00:00Z", "dewp": None, "temp": 39.9},
            ]
        }
    },
    "split": {
        "value": {
            "dataframe_split": {
                "columns": ["timestamp", "series", "temp", "dewp"],
                "data": [["2013-12-30T21:00:00Z", "JFK", 39.0, 26.1], ["2013-12-30T22:00:00Z", "JFK", 39.9, 27.0]],
            },
            "params": {"levels": [80, 95]},
        }
    },
}

_DECODER = msgspec.json.Decoder(ScoringRequest)


class Table(NamedTuple):
    """A table by column, and how to point to one of its cells in the body it came with."""

    columns: Mapping[str, Column]
    pointer: Callable[[int, str], str]


def read_tables(spec: Spec, body: bytes, limits: Limits) -> list[Asked]:
    """Return the windows, one a series, that a scoring request asks about.

    Raises:
        NotJson, WindowRejected: the body, or one of its windows, cannot be used; then none is answered.
    """
    request = decode_as(_DECODER, body, _advice)
    refuse_repeated_keys(body)
    table = _table(spec, request)
    _refuse_many(table, limits)
    frame = _frame(spec, table)
    try:
        windows = table_windows(spec, frame)
    except WindowRejected as error:
        _, row, name = error.pointer.split("/", 2) if error.pointer else ("", "", "")
        raise WindowRejected(str(error), table.pointer(int(row), name) if row else "") from error
    levels = request.params.levels if request.params else None
    return [Asked(window, levels) for window in windows]


def _advice(key: str) -> str:
    near = difflib.get_close_matches(key, [*FORMS, "params", "levels"], n=1, cutoff=0.6)
    return f"unknown key; did you mean {near[0]}?" if near else f"unknown key; {_EXPECTED}"


_EXPECTED = f"send one of {', '.join(FORMS)} and, if wanted, params with levels"


def _table(spec: Spec, request: ScoringRequest) -> Table:
    given = [form for form in FORMS if getattr(request, form) is not None]
    if len(given) != 1:
        message = f"{len(given) or 'no'} tables came; {_EXPECTED}"
        raise WindowRejected(message)
    form = given[0]
    if request.dataframe_split is not None:
        return _from_split(spec, request.dataframe_split)
    if request.inputs is not None:
        return _from_columns(spec, request.inputs)
    return _from_records(spec, request.dataframe_records or request.instances or [], f"/{form}")


def _from_split(spec: Spec, table: SplitTable) -> Table:
    names, rows = table.columns, table.data
    for place, name in enumerate(names):
        _refuse_unknown(spec, name, f"/dataframe_split/columns/{place}")
        if name in names[:place]:
            message = f"column {place} is named twice; name each column once"
            raise WindowRejected(message, f"/dataframe_split/columns/{place}")
    for place, row in enumerate(rows):
        if len(row) != len(names):
            message = f"row {place} has {len(row)} values; expected {len(names)}, one a column"
            raise WindowRejected(message, f"/dataframe_split/data/{place}")
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    return Table(columns, lambda row, name: f"/dataframe_split/data/{row}/{names.index(name)}")


def _from_records(spec: Spec, rows: Sequence[Row], pointer: str) -> Table:
    names: dict[str, None] = {}
    for place, row in enumerate(rows):
        for name in row.keys() - names.keys():
            _refuse_unknown(spec, name, f"{pointer}/{place}")
        names |= dict.fromkeys(row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    return Table(columns, lambda row, name: f"{pointer}/{row}/{_escaped(name)}")


def _from_columns(spec: Spec, columns: Mapping[str, Column]) -> Table:
    for name in columns:
        _refuse_unknown(spec, name, "/inputs")
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        message = f"columns of {min(lengths)} and of {max(lengths)} values came; send as many of each"
        raise WindowRejected(message, "/inputs")
    return Table(columns, lambda row, name: f"/inputs/{_escaped(name)}/{row}")


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _refuse_unknown(spec: Spec, name: str, pointer: str) -> None:
    if name in (valid := columns_of(spec)):
        return
    near = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    advice = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(valid)}"
    message = f"the model has no such column; {advice}"
    raise WindowRejected(message, pointer)


def _refuse_many(table: Table, limits: Limits) -> None:
    """Keep to the limits of the native route: windows, and rows of each."""
    rows = len(next(iter(table.columns.values()), ()))
    counts = Counter(table.columns[SERIES]) if SERIES in table.columns else Counter({None: rows})
    if len(counts) > limits.max_windows:
        message = f"{len(counts)} series came; at most {limits.max_windows} are taken"
        raise WindowRejected(message)
    if (most := max(counts.values(), default=0)) > limits.max_rows:
        message = f"{most} rows of one series came; at most {limits.max_rows} are taken"
        raise WindowRejected(message)


def _frame(spec: Spec, table: Table) -> pd.DataFrame:
    """Return a table with numbers where numbers, and texts where texts belong."""
    columns: dict[str, object] = {}
    for name, cells in table.columns.items():
        if name in spec.columns.static:
            columns[name] = pd.Series(list[Any](cells), dtype=object)
        elif name in {TIME, SERIES}:
            _refuse_kind(table, name, float, "a text, in RFC 3339" if name == TIME else "a text")
            columns[name] = pd.Series(list[Any](cells), dtype=object)
        else:
            _refuse_kind(table, name, str, "a number, or null where it is missing")
            columns[name] = np.array(cells, dtype=np.float64)
    return pd.DataFrame(columns)


def _refuse_kind(table: Table, name: str, kind: type, expected: str) -> None:
    for row, cell in enumerate(table.columns[name]):
        if isinstance(cell, kind):
            message = f"row {row}, column {name!r} has to be {expected}"
            raise WindowRejected(message, table.pointer(row, name))

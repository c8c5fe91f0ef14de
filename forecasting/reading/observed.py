"""Rows that streams have observed, joined to a history: what there is to learn from where nobody keeps a file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from forecasting.calendar import nanoseconds
from forecasting.reading.tables import Table, refuse_too_many
from forecasting.statics import StaticValue

if TYPE_CHECKING:
    from forecasting.sections import DataSection
    from forecasting.series import Panel, Series


_SERIES, _ARRIVED = "\0series", "\0arrived"
"""Columns that no table has."""


class Observed(NamedTuple):
    """Rows of a stream, in the units of the data, in the columns of a row; times, and when each arrived, in UTC ns."""

    series: str
    times: Int[np.ndarray, " rows"]
    values: Float[np.ndarray, "rows column"]
    arrived: Int[np.ndarray, " rows"]
    static: Mapping[str, StaticValue]


def joined(history: Panel | None, digest: str, streams: Sequence[Observed], data: DataSection, source: str) -> Table:
    """Return a table of the rows of a history, whose digest is given, and those of streams behind or among them.

    Of the rows of a series at one time the one that arrived last counts, and a stream's before that of the history.
    """
    parts = [_frame(one, data) for one in (*map(_kept, history or ()), *streams)]
    refuse_too_many(source, sum(map(len, parts)))
    frame = pd.concat(parts, ignore_index=True).sort_values([_SERIES, _ARRIVED], kind="stable")
    frame = frame.drop_duplicates([_SERIES, data.time], keep="last")
    frame = frame.sort_values([_SERIES, data.time], kind="stable", ignore_index=True)
    frame = _with_statics(frame, data)
    names = [data.time, *([data.series] if data.series else []), *data.columns.row, *data.static]
    frame = frame.rename(columns={_SERIES: data.series} if data.series else {})[names]
    return Table(source, _digest(digest, streams), tuple(names), frame)


def _kept(one: Series) -> Observed:
    times = nanoseconds(one.index)
    return Observed(one.id, times, one.values, np.zeros_like(times), one.static)


def _frame(one: Observed, data: DataSection) -> pd.DataFrame:
    """Return rows as a frame, without those in which nothing was observed: they are made again where they belong."""
    frame = pd.DataFrame(one.values, columns=list(data.columns.row))
    frame.insert(0, data.time, pd.DatetimeIndex(one.times, tz="UTC"))
    frame = frame.assign(**{name: one.static.get(name) for name in data.static})
    frame[_SERIES], frame[_ARRIVED] = one.series, one.arrived
    return frame.iloc[np.flatnonzero(np.isfinite(one.values).any(axis=1))]


def _with_statics(frame: pd.DataFrame, data: DataSection) -> pd.DataFrame:
    """Give every row of a series its oldest static values: a stream need not repeat what the history says."""
    for name in data.static:
        frame[name] = frame.groupby(_SERIES)[name].transform("first")
    return frame


def _digest(history: str, streams: Sequence[Observed]) -> str:
    content = hashlib.sha256(history.encode())
    for one in sorted(streams, key=lambda stream: stream.series):
        content.update(one.series.encode() + one.times.tobytes() + np.ascontiguousarray(one.values).tobytes())
    return content.hexdigest()

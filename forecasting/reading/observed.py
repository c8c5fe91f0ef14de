"""Rows that streams have observed, joined to a history: what there is to learn from where nobody keeps a file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from forecasting.reading.tables import Table, refuse_too_many
from forecasting.statics import StaticValue

if TYPE_CHECKING:
    from forecasting.sections import DataSection
    from forecasting.series import Panel


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
    parts = [_past(one.id, one.index, one.values, one.static, data) for one in history or ()]
    parts += [_frame(one, data) for one in streams]
    refuse_too_many(source, sum(map(len, parts)))
    frame = pd.concat(parts, ignore_index=True).sort_values([_SERIES, _ARRIVED], kind="stable")
    frame = frame.drop_duplicates([_SERIES, data.time], keep="last")
    frame = frame.sort_values([_SERIES, data.time], kind="stable", ignore_index=True)
    frame = _with_statics(frame, data)
    names = [data.time, *([data.series] if data.series else []), *data.columns.row, *data.static]
    frame = frame.rename(columns={_SERIES: data.series} if data.series else {})[names]
    return Table(source, _digest(digest, streams), tuple(names), frame)


_SERIES, _ARRIVED = "\0series", "\0arrived"


def _frame(one: Observed, data: DataSection) -> pd.DataFrame:
    return _past(one.series, pd.DatetimeIndex(one.times, tz="UTC"), one.values, one.static, data, one.arrived)


def _past(
    series: str,
    index: pd.DatetimeIndex,
    values: Float[np.ndarray, "rows column"],
    static: Mapping[str, StaticValue],
    data: DataSection,
    arrived: Int[np.ndarray, " rows"] | int = 0,
) -> pd.DataFrame:
    """Return rows as a frame, without those in which nothing was observed: they are made again where they belong."""
    frame = pd.DataFrame(values, columns=list(data.columns.row))
    frame.insert(0, data.time, index)
    frame = frame.assign(**{name: static.get(name) for name in data.static})
    frame[_SERIES], frame[_ARRIVED] = series, arrived
    return frame.iloc[np.flatnonzero(np.isfinite(values).any(axis=1))]


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

"""Where the rows of a project come from: its file or database, or what was pushed to its streams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import chain

import msgspec
import numpy as np

from forecasting.errors import NoSuchSource, UnreadableSource
from forecasting.keys import ANONYMOUS
from forecasting.log.interface import Log
from forecasting.log.opening import FILE
from forecasting.log.records import Stream
from forecasting.project import Project
from forecasting.reading import Observed, read_joined, read_panel
from forecasting.report import DataReport, counted
from forecasting.sections import LOG
from forecasting.series import WIDE, Panel
from forecasting.statics import StaticValue
from forecasting.streams.streamed import contract_of
from pipelines.logs import open_existing
from pipelines.settings import Settings

PAGE = 1_000
ROWS = 100_000
"""Streams, and rows of one, that are asked for at a time."""


def read_rows(project: Project, settings: Settings) -> tuple[Panel, DataReport]:
    """Read the rows of a project, wherever they are.

    Raises:
        DataError: they cannot be used.
        LogUnavailable: the database of the observation log does not answer.
    """
    if project.data.source != LOG:
        return read_panel(project)
    streams, where = [], f"{settings.home / FILE}, which is not there"
    if log := open_existing(settings):
        with closing(log):
            streams, where = list(_observed(log, project)), "the log"
    if not streams and project.data.history is None:
        message = (
            f"no row was pushed to a stream of {project.name} by {_principal(project)}, says {where}; push some "
            "(gatecast stream), set GATECAST_LOG_URL to the service's, or name a file with data.history"
        )
        raise NoSuchSource(message)
    return read_joined(project, streams)


def _principal(project: Project) -> str:
    return project.data.principal or ANONYMOUS


def _observed(log: Log, project: Project) -> Iterator[Observed]:
    for stream in _chosen(list(_streams(log, project)), project):
        values, times, arrived = _rows(log, stream, len(project.data.columns.row))
        if len(times):
            static = msgspec.json.decode(stream.static, type=dict[str, StaticValue])
            yield Observed(_series(stream, project), times, values, arrived, static)


def _streams(log: Log, project: Project) -> Iterator[Stream]:
    after = ""
    while page := log.streams(_principal(project), project.name, after, PAGE):
        yield from page
        after = page[-1].key.stream


def _chosen(streams: Sequence[Stream], project: Project) -> list[Stream]:
    """Return the streams to learn from.

    Raises:
        UnreadableSource: their rows are others than the project's, or there are several where one is meant.
    """
    data, wanted = project.data, contract_of(project.data.columns, project.data.freq, project.data.timezone)
    named = [one for one in streams if data.stream in (None, one.key.stream)]
    if other := next((one for one in named if one.contract != wanted), None):
        message = (
            f"rows of stream {other.key.stream!r} of {project.name} have other columns, or another step or time zone, "
            "than [data] says; keep those of the model, or learn from a file"
        )
        raise UnreadableSource(message)
    if data.series is None and len(named) > 1:
        message = (
            f"{counted(len(named), 'stream')} of {project.name}, such as {named[0].key.stream!r}, and no data.series "
            "to tell them apart; name the one to learn from with data.stream"
        )
        raise UnreadableSource(message)
    return named


def _series(stream: Stream, project: Project) -> str:
    return (stream.series or stream.key.stream) if project.data.series else WIDE


def _rows(log: Log, stream: Stream, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return values, times and arrivals of the rows of a stream, the oldest first."""
    (oldest,) = log.oldest([stream.id])
    first = stream.seq + 1 if oldest is None else oldest
    spans = [(stream.id, at, min(at + ROWS - 1, stream.seq)) for at in range(first, stream.seq + 1, ROWS)]
    rows = list(chain.from_iterable(log.rows([span])[0] for span in spans))
    values = np.frombuffer(b"".join(row.values for row in rows), dtype="<f4").reshape(-1, width)
    times, arrived = (np.array([getattr(row, name) for row in rows], dtype=np.int64) for name in ("time", "arrived"))
    return values, times, arrived

"""From a file to requests: which rows go to which stream, in which order, and how they are written."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
import orjson
from jaxtyping import Float, Int

from forecasting.calendar import nanoseconds
from forecasting.columns import Columns
from forecasting.errors import DataError
from forecasting.project import Project, load_project, parse_project
from forecasting.reading import read_history
from forecasting.reading.files import read_files
from forecasting.reading.tables import Wanted
from forecasting.report import Finding
from forecasting.series import Series
from forecasting.statics import StaticValue
from pipelines.pushing import Described

TIMES, SERIES = ("timestamp", "time"), "series"
"""Names that columns of times and of ids are looked for under."""

NUMBER_BYTES, ROW_BYTES, TEXT_BYTES, PUSH_BYTES = 16, 40, 300, 600
"""What a number, a row beside its numbers, a static value, and a push beside all these may take as JSON."""

MOST_ROWS = 1000
LONGEST_NAME = 128
OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z

Rows = Int[np.ndarray, " rows"]


class Source(NamedTuple):
    """A file and how to read it: with the columns of a project file, or with those of the model and these."""

    path: Path
    project: Path | None = None
    time: str | None = None
    series: str | None = None
    timezone: str | None = None


class Feed(NamedTuple):
    """A series on its grid and the stream it goes to.

    `rows` are those in which something was observed, oldest first: the others are left to the service, which makes
    steps of what never came. Those before `rows[begin]` are history. `series` is None where the model has no series.
    The last row of a file is not pushed to a model with known covariates: those of the next step would be missing.
    """

    stream: str
    series: str | None
    static: Mapping[str, StaticValue]
    times: Int[np.ndarray, " grid"]
    values: Float[np.ndarray, "grid columns"]
    rows: Rows
    begin: int


class Piece(NamedTuple):
    """Rows of one feed, by their places on its grid."""

    feed: Feed
    rows: Rows


class Request(NamedTuple):
    """Rows of several streams that travel together."""

    pieces: Sequence[Piece]
    history: bool = False

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(len(one.rows) for one in self.pieces)


def read_feeds(
    source: Source, described: Described, name: str | None, last: int | None
) -> tuple[list[Feed], tuple[Finding, ...]]:
    """Read a file into feeds, of which the `last` rows are to be pushed (None: all), and what was found in it.

    `name` is the stream of a single series, and the beginning of the names of several.

    Raises:
        NoSuchSource: there is no such file.
        DataError: its rows cannot be used, or an id is too long to name a stream.
    """
    project = load_project(source.project) if source.project else _project(source, described, name)
    if project.data.columns != described.columns:
        message = (
            f"a row of the project is {', '.join(project.data.columns.row)}; of the model in production it is "
            f"{', '.join(described.columns.row)}: use the project it was trained with"
        )
        raise DataError(message)
    panel, report = read_history(project, source.path)
    several = project.data.series is not None
    named = [_stream(one.id, name) if several else name or described.model.name for one in panel]
    feeds = [_feed(one, stream, described.columns, last) for one, stream in zip(panel, named, strict=True)]
    found = [one if several and described.series else one._replace(series=None) for one in feeds if len(one.rows)]
    if not found:
        message = f"{source.path} has no row with a value of {', '.join(described.columns.targets)}; nothing to push"
        raise DataError(message)
    return found, report.findings


def _feed(one: Series, stream: str, columns: Columns, last: int | None) -> Feed:
    came = np.flatnonzero(~np.isnan(one.values[:, : columns.seen]).all(axis=1))
    end = came[-1] + 1 if len(came) else 0
    if columns.known and last != 0:  # a forecast from the file's last row would lack the covariates of the step behind
        end = min(end, len(one) - 1)
    rows = np.flatnonzero(~np.isnan(one.values[:end]).all(axis=1))
    begin = 0 if last is None else max(len(rows) - last, 0)
    static = {key: value for key, value in one.static.items() if value is not None}
    return Feed(stream, one.id, static, nanoseconds(one.index), np.ascontiguousarray(one.values), rows, begin)


def _stream(series: str, prefix: str | None) -> str:
    """Name the stream of a series: letters, digits and -._~ as they are, any other byte as ~ and two digits."""
    stream = f"{prefix or ''}{quote(series, safe='').replace('%', '~')}"
    if len(stream) > LONGEST_NAME:
        message = (
            f"series {series[:60]!r} makes a stream's name of {len(stream)} characters; at most {LONGEST_NAME} may be"
        )
        raise DataError(message)
    return stream


def _project(source: Source, described: Described, name: str | None) -> Project:
    """Make a project of what the service says of the model, and of the header of the file.

    A file without a column of ids is one series, if the stream it goes to has a name.
    """
    columns = described.columns
    header = read_files(source.path, Wanted([])).names
    others = [one for one in header if one not in {*columns.row, *columns.static}]
    time = source.time or _chosen(others, TIMES, "--time", "the times")
    data: dict[str, Any] = {
        "source": str(source.path),
        "time": time,
        "timezone": source.timezone or described.timezone,
        "freq": described.freq,
        "categorical": [one.name for one in described.static if one.kind == "category"],
        **{role: list(getattr(columns, role)) for role in ("targets", "past", "known", "static")},
    }
    others = [one for one in others if one != time]
    if source.series or (described.series and (name is None or SERIES in others)):
        data["series"] = source.series or _chosen(others, (SERIES,), "--series", "the ids")
    return parse_project({"name": described.model.name, "data": data}, origin=str(source.path))


def _chosen(names: Sequence[str], usual: Collection[str], option: str, what: str) -> str:
    """Choose the column with a usual name, or the only one there is."""
    found = [one for one in names if one in usual] or names
    if len(found) == 1:
        return found[0]
    message = (
        f"which column holds {what}? name it with {option}: one of {', '.join(names) or 'none, the file has no more'}"
    )
    raise DataError(message)


def pushes(feeds: Sequence[Feed], batch: int) -> Iterator[Request]:
    """Yield the rows to push in the order of their times, a row a stream and at most `batch` streams a request."""
    owners = np.concatenate([np.full(len(one.rows) - one.begin, place) for place, one in enumerate(feeds)])
    rows = np.concatenate([one.rows[one.begin :] for one in feeds])
    times = np.concatenate([one.times[one.rows[one.begin :]] for one in feeds])
    order = np.lexsort((owners, times))
    waves = np.split(order, np.flatnonzero(np.diff(times[order])) + 1)
    for wave in waves if len(order) else ():
        for start in range(0, len(wave), batch):
            yield Request([Piece(feeds[owners[one]], rows[one : one + 1]) for one in wave[start : start + batch]])


def histories(feeds: Sequence[Feed], most: int) -> Iterator[Request]:
    """Yield the rows before those, at most `most` a request, those of several short series together."""
    gathered: list[Piece] = []
    room = most
    for one in feeds:
        start = 0
        while start < one.begin:
            end = min(start + room, one.begin)
            gathered.append(Piece(one, one.rows[start:end]))
            room, start = room - (end - start), end
            if not room:
                yield Request(gathered, history=True)
                gathered, room = [], most
    if gathered:
        yield Request(gathered, history=True)


def fitting(described: Described, batch: int) -> tuple[int, int]:
    """Return how many streams, of at most `batch`, and how many rows of history fit into a request."""
    columns, limits = described.columns, described.limits
    row = ROW_BYTES + NUMBER_BYTES * len(columns.row)
    rest = PUSH_BYTES + TEXT_BYTES * len(columns.static)
    ahead = described.horizon * (ROW_BYTES + NUMBER_BYTES * len(columns.known)) if columns.known else 0
    streams = min(batch, limits.max_body_bytes // (rest + row + ahead), limits.max_rows)
    return max(streams, 1), max(min(limits.max_body_bytes // (rest + row), limits.max_rows, MOST_ROWS), 1)


def write(request: Request, described: Described, opened: Collection[str]) -> tuple[str, bytes]:
    """Return path and body of a request: of a stream by itself, or of several.

    What a new stream is (its series and static values) is told until it is among those `opened`.
    """
    base = f"/v1/models/{described.model.name}/streams"
    seen, horizon = described.columns.seen, described.horizon if described.columns.known else 0
    bodies = [
        _push(one, seen, 0 if request.history else horizon, one.feed.stream not in opened) for one in request.pieces
    ]
    if request.history:
        bodies = [{**one, "history": True} for one in bodies]
    if len(bodies) == 1:
        return f"{base}/{request.pieces[0].feed.stream}/observations", orjson.dumps(bodies[0], option=OPTIONS)
    named = [{"stream": one.feed.stream, **body} for one, body in zip(request.pieces, bodies, strict=True)]
    return f"{base}:observe", orjson.dumps({"streams": named}, option=OPTIONS)


def _push(piece: Piece, seen: int, horizon: int, new: bool) -> dict[str, Any]:
    """Return a push; one row has its time in the form that the service reads fastest."""
    feed, rows = piece
    times = feed.times[rows].view("datetime64[ns]")
    body: dict[str, Any] = {"observations": feed.values[rows]}
    body |= {"timestamps": times} if len(rows) > 1 else {"last_timestamp": times[0]}
    ahead = feed.values[rows[-1] + 1 : rows[-1] + 1 + horizon, seen:]
    if ahead.size:
        body["known_future"] = np.ascontiguousarray(ahead)
        if len(ahead) < horizon:
            body["horizon"] = len(ahead)
    if new and feed.series is not None:
        body["series"] = feed.series
    if new and feed.static:
        body["static"] = dict(feed.static)
    return body

"""`gatecast stream`: replay a file into a running service. It shows streams, loads the service and imports history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from rich.console import Console

from forecasting.conformal import JUDGED
from forecasting.errors import DataError, GatecastError
from pipelines.feeds import Feed, Source, fitting, histories, pushes, read_feeds
from pipelines.live import shown
from pipelines.pushing import Client, Described
from pipelines.replay import SHOWN, Replay, Step
from pipelines.stopping import stoppable
from pipelines.tallies import Board, Tally

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_COLUMNS = 4
"""Targets that a picture shows."""

NOTHING = (np.nan, np.nan)


@dataclass(frozen=True)
class Options:
    """What goes where, and how fast.

    `name` is a stream, or how the names of several begin; the `last` rows of each series are pushed (None: all), and
    with `history` those before them are imported (without `last`: all); at most `batch` streams travel in a request,
    `rate` rows go a second.
    """

    name: str | None = None
    history: bool = False
    last: int | None = None
    batch: int = 256
    rate: float | None = None
    picture: Path | None = None

    @property
    def pushed(self) -> int | None:
        """How many rows of a series are pushed at most."""
        return 0 if self.history and self.last is None else self.last


class Streamed(NamedTuple):
    """What a replay came to, and what ended it or became of some rows; None where all went well."""

    summary: dict[str, Any]
    fault: BaseException | None


def stream_file(client: Client, name: str, source: Source, options: Options, console: Console) -> Streamed:
    """Push the rows of a file to streams of a model, a series each, and show how they fare.

    What goes wrong once rows are on their way is in the answer, beside what had come of them by then.

    Raises:
        NoSuchModel: the service has no such model.
        SettingsError: it asks for another key.
        ConnectionError: it does not answer.
        DataError: the file cannot be used.
    """
    described = client.describe(name)
    feeds, findings = read_feeds(source, described, options.name, options.pushed)
    for finding in findings:
        if (
            finding.action == "repaired" and finding.code != "gap"
        ):  # gaps stay gaps here: the service makes steps of them
            console.print(finding.sentence, markup=False, highlight=False, soft_wrap=True)
    board = Board(name, client.url, {one.stream: Tally() for one in feeds})
    rows = sum(len(one.rows) if options.history else len(one.rows) - one.begin for one in feeds)
    fault: BaseException | None = None
    with (
        stoppable(lambda: console.print("stopping behind this request")) as stop,
        shown(board, rows, console) as screen,
    ):
        replay = Replay(client, described, screen, stop, feeds[0].stream if options.picture else "")
        client.pause, client.say = replay.pause, screen.say
        try:
            _run(replay, feeds, options)
        except (KeyboardInterrupt, GatecastError, OSError) as error:
            fault = error
    if options.picture and replay.steps:
        picture(feeds[0], replay.steps, described).savefig(options.picture)
    return Streamed(board.summary(interrupted=isinstance(fault, KeyboardInterrupt)), fault or _refused(board))


def _run(replay: Replay, feeds: Sequence[Feed], options: Options) -> None:
    streams, rows = fitting(replay.described, options.batch)
    if options.history:
        replay.run(histories(feeds, rows))
    replay.run(pushes(feeds, streams), options.rate)


def _refused(board: Board) -> DataError | None:
    if not board.reason:
        return None
    message = f"{board.total('refused'):,} rows were refused, all others are accepted; the first: {board.reason}"
    return DataError(message)


def picture(feed: Feed, steps: Sequence[Step], described: Described) -> Figure:
    """Draw forecasts of the next step beside what came, and their 90 % intervals, for the first targets."""
    from forecasting.pictures import Trace, forecast_figure  # noqa: PLC0415 - most replays draw nothing

    columns = described.columns.targets[:MOST_COLUMNS]
    times = pd.DatetimeIndex([one.timestamp for one in steps])
    actual = pd.DataFrame(feed.values[:, : len(columns)], pd.DatetimeIndex(feed.times, tz="UTC")).reindex(times)
    point, median = (np.array([[said[c] for c in columns] for said in part]) for part in _points(steps))
    ends = np.array([[one.intervals.get(str(JUDGED), {}).get(c, NOTHING) for c in columns] for one in steps])
    trace = Trace(times, actual.to_numpy(), point, median, ends[..., 0], ends[..., 1])
    title = f"{feed.stream}: the next step, forecast as each row was pushed to {described.model.name}"
    return forecast_figure(trace, columns, described.units, title, newest=SHOWN)


def _points(steps: Sequence[Step]) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    return [one.point for one in steps], [one.median for one in steps]

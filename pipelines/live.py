"""What a person sees of a replay: a table that lives in a terminal, elsewhere a line now and then, and how it ended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from forecasting.conformal import JUDGED
from pipelines.tallies import Board, Latency, Tally, latency

HEADINGS = ("stream", "rows", "again", "refused", "skill", f"in {JUDGED} %", "p50 ms", "p99 ms", "drift", "version")
LEFT = frozenset({"stream", "drift"})
MOST_SERIES = 24
DRAW_SECONDS, LINE_SECONDS = 0.25, 5.0


def table(board: Board) -> Table:
    """Return the streams, as many as there is room for, and all of them together."""
    drawn = Table(title=f"{board.name} at {board.url}", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for name in HEADINGS:
        drawn.add_column(name, justify="left" if name in LEFT else "right", no_wrap=True)
    for name, one in list(board.tallies.items())[:MOST_SERIES]:
        drawn.add_row(*(Text(cell) for cell in _cells(name, one)))
    drawn.add_section()
    drawn.add_row(*(Text(cell, style="bold") for cell in _together(board)))
    return drawn


def line(board: Board, of: int) -> str:
    """Return in a line where it stands, of so many rows."""
    return (
        f"{board.total('taken') + board.total('refused'):,} of {of:,} rows, {board.speed:,.0f} observations/s, skill "
        f"{_percent(board.mean('skill'))}, {_percent(board.mean('covers'))} in the {JUDGED} % interval"
    )


def _cells(name: str, one: Tally) -> list[str]:
    said, counts = one.last, (f"{count:,}" for count in (one.taken, one.again, one.refused))
    times = _milliseconds(latency(one.seconds))
    return [name, *counts, _percent(said.skill), _percent(said.covers), *times, said.drift, one.version or "-"]


def _together(board: Board) -> list[str]:
    drifting = sum(one.last.drift != "none" for one in board.tallies.values())
    counts = (f"{board.total(count):,}" for count in ("taken", "again", "refused"))
    scores = (_percent(board.mean("skill")), _percent(board.mean("covers")))
    times = _milliseconds(latency(board.seconds))
    return [
        f"{len(board.tallies):,} together",
        *counts,
        *scores,
        *times,
        f"{drifting:,} drift",
        f"{board.speed:,.0f}/s",
    ]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _milliseconds(times: Latency) -> list[str]:
    return ["-" if one is None else f"{one:.1f}" for one in times]


@dataclass
class Screen:
    """Shows a board while it fills: drawn anew in a terminal, else a line now and then."""

    board: Board
    console: Console
    progress: Progress
    task: TaskID
    rows: int
    live: Live | None
    drawn: float = field(default_factory=time.monotonic)

    def moved(self, rows: int) -> None:
        """Count rows that are done, and draw if it is time."""
        self.progress.advance(self.task, rows)
        if time.monotonic() - self.drawn < (DRAW_SECONDS if self.live else LINE_SECONDS):
            return
        if self.live:
            self.live.update(Group(table(self.board), self.progress.get_renderable()), refresh=True)
        else:
            self.say(line(self.board, self.rows))
        self.drawn = time.monotonic()

    def say(self, what: str) -> None:
        """Print a line, above the table where there is one."""
        self.console.print(what, markup=False, highlight=False, soft_wrap=True)

    def conclude(self) -> None:
        """Print how it ended."""
        board = self.board
        self.console.print(table(board))
        if (more := len(board.tallies) - MOST_SERIES) > 0:
            self.say(f"and {more:,} more streams")
        imported, again = board.total("history"), board.total("again")
        if imported:
            self.say(f"{imported:,} rows of history imported in {board.spent_on_history:.1f} s")
        if board.spent:
            self.say(f"{board.total('rows'):,} rows pushed in {board.spent:.1f} s: {board.speed:,.0f} observations/s")
        if again:
            self.say(f"{again:,} of them were known before, and answered as they were then")


@contextmanager
def shown(board: Board, rows: int, console: Console) -> Iterator[Screen]:
    """Show a board while the block takes so many rows, and how it ended, however that was."""
    columns = (TextColumn("rows"), BarColumn(bar_width=12), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    progress = Progress(*columns, console=console, auto_refresh=False)
    live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
    screen = Screen(board, console, progress, progress.add_task("rows", total=rows), rows, live)
    try:
        with live or nullcontext():
            yield screen
    finally:
        screen.conclude()

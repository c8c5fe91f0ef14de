"""What a person sees of a training run: a bar with the time left at most, and the error so far."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from forecasting.training import Epoch

EPOCHS_A_LINE = 10


@dataclass
class Onlooker:
    """A `Watcher` that draws a progress bar, or a line now and then in a file; `stop` is set by Ctrl-C."""

    progress: Progress
    task: TaskID
    stop: bool = False
    least: Epoch | None = None

    def step(self, done: int, most: int) -> None:
        """Move the bar; early stopping usually ends it before its end."""
        self.progress.update(self.task, completed=done, total=most)

    def epoch(self, epoch: Epoch) -> None:
        """Show the squared error on validation rows, and which epoch was the best so far."""
        if self.least is None or epoch.objective < self.least.objective:
            self.least = epoch
        note = f"mse_z {epoch.valid_mse_z:.4g}, best epoch {self.least.epoch}"
        self.progress.update(self.task, note=note)
        if self.progress.disable and epoch.epoch % EPOCHS_A_LINE == 0:
            self.progress.console.print(f"training epoch {epoch.epoch}: {note}", highlight=False)

    def stopping(self) -> bool:
        """Tell whether Ctrl-C was pressed."""
        return self.stop


@contextmanager
def watched(console: Console) -> Iterator[Onlooker]:
    """Draw a bar while the block runs.

    The first Ctrl-C in it ends training after the batch at hand, with the best weights so far; the second one ends
    everything at once.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed twice.
    """
    with Progress(*_columns(), console=console, disable=not console.is_terminal) as progress:
        onlooker = Onlooker(progress, progress.add_task("training", total=None, note="solving the linear road"))
        before = signal.getsignal(signal.SIGINT)

        def on_interrupt(_: int, __: FrameType | None) -> None:
            onlooker.stop = True
            signal.signal(signal.SIGINT, before)
            console.print("stopping after this batch, keeping the best weights; Ctrl-C again ends at once")

        signal.signal(signal.SIGINT, on_interrupt)
        try:
            yield onlooker
        except SystemExit as end:  # Lightning's answer to the second one
            raise KeyboardInterrupt from end
        finally:
            signal.signal(signal.SIGINT, before)


def _columns() -> tuple[ProgressColumn, ...]:
    """Return the parts of one row of at most 80 characters."""
    return (
        TextColumn("training"),
        BarColumn(bar_width=12),
        MofNCompleteColumn(),
        TextColumn("at most"),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
        TextColumn("{task.fields[note]}"),
    )

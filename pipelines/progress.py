"""What a person sees of a training run: a bar with the time left at most, and the error so far."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

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
from pipelines.stopping import Stop, stoppable

EPOCHS_A_LINE = 10


@dataclass
class Onlooker:
    """A `Watcher` that draws a progress bar, or a line now and then in a file; `stop` is set by Ctrl-C."""

    progress: Progress
    task: TaskID
    stop: Stop
    least: Epoch | None = None

    def step(self, done: int, most: int) -> None:
        """Move the bar; early stopping usually ends it before its end."""
        self.progress.update(self.task, completed=done, total=most)

    def epoch(self, epoch: Epoch) -> None:
        """Show the squared error on validation rows, and which epoch was the best so far."""
        if self.least is None or epoch.objective < self.least.objective:
            self.least = epoch
        note = f"{epoch.channels}, mse_z {epoch.valid_mse_z:.4g}, best epoch {self.least.epoch}"
        self.progress.update(self.task, note=note)
        if self.progress.disable and epoch.epoch % EPOCHS_A_LINE == 0:
            self.progress.console.print(f"training epoch {epoch.epoch}: {note}", highlight=False)

    def stopping(self) -> bool:
        """Tell whether Ctrl-C was pressed."""
        return self.stop.asked


@contextmanager
def watched(console: Console) -> Iterator[Onlooker]:
    """Draw a bar while the block runs.

    The first Ctrl-C in it ends training after the batch at hand, with the best weights so far; the second one ends
    everything at once.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed twice.
    """

    def say() -> None:
        console.print("stopping after this batch, keeping the best weights; Ctrl-C again ends at once")

    progress = Progress(*_columns(), console=console, disable=not console.is_terminal)
    with progress, stoppable(say) as stop:
        yield Onlooker(progress, progress.add_task("training", total=None, note="solving the linear road"), stop)


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

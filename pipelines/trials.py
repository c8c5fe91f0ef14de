"""What a search tried, and what a person sees of it: a line for each trial, and a bar over all of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from forecasting.training import Epoch
from pipelines.space import Settings, toml_of


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """A trial that has ended: its settings, and the least objective of its epochs (see `training`).

    `ended` says why it has no objective: it was given up early, or failed.
    """

    number: int
    params: Settings
    objective: float | None
    ended: str = ""


@dataclass(frozen=True)
class Tuned:
    """What a search came to: all trials, the best of them, and the best with the project's own settings."""

    run_id: str
    tried: tuple[Tried, ...]
    best: Tried
    first: Tried

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` says of it."""
        return {
            "run_id": self.run_id,
            "trials": len(self.tried),
            "best": {"params": self.best.params, "objective": self.best.objective},
            "first": {"params": self.first.params, "objective": self.first.objective},
        }

    def sentence(self) -> str:
        """Say how much better than the project's own settings the best ones are."""
        own = self.first.ended if self.first.objective is None else f"{self.first.objective:.4f}"
        best = f"trial {self.best.number} is the best, with objective {self.best.objective:.4f} on validation rows"
        return f"of {len(self.tried)} trials {best}; the project's own settings: {own}"


@dataclass
class Board:
    """Draws a bar over the trials, and prints each as it ends; `best` is the least objective so far."""

    progress: Progress
    task: TaskID
    best: float

    def epoch(self, number: int, epoch: Epoch) -> None:
        """Show where a trial stands."""
        note = f"trial {number} epoch {epoch.epoch}: {epoch.objective:.4f}, best {self.best:.4f}"
        self.progress.update(self.task, note=note)

    def trial(self, tried: Tried) -> None:
        """Print how a trial ended; a star marks the best so far."""
        objective = math.inf if tried.objective is None else tried.objective
        mark = "*" if objective < self.best else " "
        said = tried.ended or f"{objective:.4f} {mark} {brief(tried.params)}"
        self.progress.console.print(f"trial {tried.number}: {said}", markup=False, highlight=False, soft_wrap=True)
        self.best = min(self.best, objective)
        self.progress.update(self.task, advance=1)


def brief(settings: Settings) -> str:
    """Return settings as part of a line."""
    short = {key.partition(".")[2]: f"{one:.2g}" if isinstance(one, float) else one for key, one in settings.items()}
    return (
        "{cell} {channels} {hidden}x{layers} drop {dropout} length {length} rate {learning_rate} decay {weight_decay}"
    ).format(**short)


@contextmanager
def board(console: Console, done: tuple[Tried, ...], wanted: int) -> Iterator[Board]:
    """Draw while the block runs; some of the `wanted` trials were done before."""
    best = min((one.objective for one in done if one.objective is not None), default=math.inf)
    columns = (TextColumn("tuning"), BarColumn(bar_width=12), MofNCompleteColumn(), TextColumn("{task.fields[note]}"))
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield Board(progress, progress.add_task("tuning", total=wanted, completed=len(done), note=""), best)


def show_tuned(tuned: Tuned, console: Console) -> None:
    """Print the settings that were found, to paste into the project file."""
    console.print(tuned.sentence(), markup=False, highlight=False, soft_wrap=True)
    console.print(toml_of(tuned.best.params), markup=False, highlight=False)

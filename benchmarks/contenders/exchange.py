"""What a contender is given and what it gives back: JSON and numpy files in a folder.

`task.json` and `series-I.npy` (rows, targets; z units without gaps) go in, `report.json` and `forecast-I.npy` (origins,
targets) come back. An origin is the row before a row of the test part, so the last `test` rows are forecast.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

Made = TypeVar("Made")


@dataclass(frozen=True)
class Task:
    """What to do. `project` is the path of the project file, `valid` and `test` are rows at the end of each series.

    `steps` is the most that a peer trains.
    """

    contender: str
    project: str
    seed: int
    threads: int
    valid: int
    test: int
    steps: int


@dataclass(frozen=True)
class Spent:
    """Seconds on the clock, and of processor time over all threads."""

    clock: float
    processor: float


@dataclass(frozen=True)
class Report:
    """What it took. `peak_mib` is the most resident memory of the whole process, `notes` is for the reader.

    `since_start` are the seconds from the start of the fit to the end of each epoch, where a contender tells them.
    """

    fit: Spent
    forecast: Spent
    peak_mib: float
    versions: dict[str, str]
    notes: str = ""
    since_start: tuple[float, ...] = ()


def timed(work: Callable[[], Made]) -> tuple[Made, Spent]:
    """Do the work and tell what it took."""
    start, processor = time.perf_counter(), time.process_time()
    made = work()
    return made, Spent(time.perf_counter() - start, time.process_time() - processor)


def write_task(folder: Path, task: Task, series: Sequence[np.ndarray]) -> None:
    """Lay out what a contender needs."""
    (folder / "task.json").write_text(json.dumps(asdict(task)), encoding="utf-8")
    for number, values in enumerate(series):
        np.save(folder / f"series-{number}.npy", values, allow_pickle=False)


def read_task(folder: Path) -> Task:
    """Read what is to be done."""
    return Task(**json.loads((folder / "task.json").read_text(encoding="utf-8")))


def read_series(folder: Path) -> list[np.ndarray]:
    """Read the series of the task."""
    return _arrays(folder, "series")


def write_report(folder: Path, report: Report, forecasts: Sequence[np.ndarray]) -> None:
    """Hand back the forecasts and what they took."""
    for number, values in enumerate(forecasts):
        np.save(folder / f"forecast-{number}.npy", values, allow_pickle=False)
    (folder / "report.json").write_text(json.dumps(asdict(report)), encoding="utf-8")


def read_report(folder: Path) -> tuple[Report, list[np.ndarray]]:
    """Read what a contender handed back."""
    tree = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    spent = {name: Spent(**tree[name]) for name in ("fit", "forecast")}
    return Report(**{**tree, **spent, "since_start": tuple(tree["since_start"])}), _arrays(folder, "forecast")


def columns_of(series: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the columns of all series, each of shape (rows,)."""
    return [column for values in series for column in values.T]


def by_series(columns: np.ndarray, series: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return forecasts of all columns, of shape (columns, origins), as one array (origins, targets) a series."""
    ends = np.cumsum([values.shape[1] for values in series])
    return [part.T for part in np.split(columns, ends[:-1])]


def _arrays(folder: Path, name: str) -> list[np.ndarray]:
    count = len(list(folder.glob(f"{name}-*.npy")))
    return [np.load(folder / f"{name}-{number}.npy", allow_pickle=False) for number in range(count)]

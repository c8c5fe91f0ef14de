"""Gatecast with the settings of the project file: from the file on disk to a forecaster, and over the test rows.

`gatecast` trains to its end. `gatecast, stopped at once` is asked to end at the first occasion, after one batch: `fit`
then gives back the best weights so far, mostly those of the linear road, and what it gives back is what is scored.
"""

from __future__ import annotations

import sys
import time
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np
import torch

from benchmarks.contenders.exchange import Report, read_task, timed, write_report
from benchmarks.resident import peak_mib
from forecasting.assembly import prepare
from forecasting.project import Project, load_project
from forecasting.reading import read_panel
from forecasting.scaled import ScaledSeries, origins
from forecasting.streaming import Job, stream
from forecasting.training import Epoch, Fitted, fit

SOONEST = "gatecast, stopped at once"


class Clock:
    """A watcher that notes when epochs end, and may ask for the end at once."""

    def __init__(self, *, stop: bool) -> None:
        """Start the time."""
        self.stop, self.start = stop, time.perf_counter()
        self.since_start: list[float] = []

    def step(self, done: int, most: int) -> None:
        pass

    def epoch(self, epoch: Epoch) -> None:  # noqa: ARG002 - a watcher hears it
        self.since_start.append(time.perf_counter() - self.start)

    def stopping(self) -> bool:
        return self.stop


def main(folder: Path) -> None:
    """Do the task in the folder."""
    task = read_task(folder)
    torch.set_num_threads(task.threads)
    project = next_step(load_project(Path(task.project)), task.seed, task.threads)
    clock = Clock(stop=task.contender == SOONEST)
    (fitted, panel), spent = timed(lambda: _fitted(project, clock))
    said, forecast = timed(lambda: _said(fitted, panel))
    versions = {name: version(name) for name in ("gatecast", "pytorch-lightning", "torch", "pandas")}
    notes = f"{fitted.best.channels}, epoch {fitted.best.epoch}"
    write_report(folder, Report(spent, forecast, peak_mib(), versions, notes, tuple(clock.since_start)), said)


def next_step(project: Project, seed: int, threads: int) -> Project:
    """Return the project with a horizon of one step, on the CPU."""
    model = msgspec.structs.replace(project.model, horizon=1)
    train = msgspec.structs.replace(project.train, seed=seed, threads=threads, device="cpu")
    return msgspec.structs.replace(project, model=model, train=train)


def _fitted(project: Project, clock: Clock) -> tuple[Fitted, tuple[ScaledSeries, ...]]:
    panel = prepare(read_panel(project)[0], project).series
    return fit(project, panel, clock), panel


def _said(fitted: Fitted, panel: tuple[ScaledSeries, ...]) -> list[np.ndarray]:
    told = stream(fitted.forecaster, [Job(one, origins(one.test, 1)) for one in panel])
    return [one.point[:, 0] for one in told]


if __name__ == "__main__":
    main(Path(sys.argv[1]))

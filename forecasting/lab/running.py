"""Runs a plan, its trainings side by side in processes of one thread each."""

from __future__ import annotations

import os
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from multiprocessing import get_context

import torch

from forecasting.lab.adding import learn
from forecasting.lab.flow import flow_of
from forecasting.lab.growth import growth_of
from forecasting.lab.plan import Plan, Trial
from forecasting.lab.results import Added, Lesson, Results
from forecasting.lab.variants import Variant

Told = Callable[[int, int, str], None]
"""Hears how many of how many trainings are done, and which was the last."""


def run(plan: Plan, told: Told, *, quick: bool = False) -> Results:
    """Run a plan on all cores that this process may use; Ctrl-C ends all of it at once."""
    start, cores = time.monotonic(), _cores()
    with get_context("spawn").Pool(cores, initializer=_alone) as pool:
        waited = [pool.apply_async(learn, trial) for trial in plan.trials]
        flows = [pool.apply_async(flow_of, (variant, plan.seeds)) for variant in plan.flows]
        growths = [pool.apply_async(growth_of, (variant,)) for variant in plan.growths]
        lessons = []
        for trial, one in zip(plan.trials, waited, strict=True):
            lessons.append((trial, one.get()))
            told(len(lessons), len(plan.trials), f"{trial.variant.name}, {trial.length} rows")
        return Results(
            quick=quick,
            seeds=plan.seeds,
            made=datetime.now(UTC).strftime("%Y-%m-%d"),
            versions={"torch": version("torch"), "gatecast": version("gatecast")},
            cores=cores,
            seconds=round(time.monotonic() - start, 1),
            flows=tuple(one.get() for one in flows),
            added=tuple(_added(lessons)),
            growths=tuple(one.get() for one in growths),
        )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _alone() -> None:
    """Work on one thread, and leave Ctrl-C to the one who started it all."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def _added(lessons: Iterable[tuple[Trial, Lesson]]) -> list[Added]:
    """Put the seeds of a variant and a length together, shorter sequences first."""
    found: dict[tuple[Variant, int], list[Lesson]] = defaultdict(list)
    for trial, lesson in lessons:
        found[trial.variant, trial.length].append(lesson)
    rows = [Added(variant=variant, length=length, lessons=tuple(seen)) for (variant, length), seen in found.items()]
    return sorted(rows, key=lambda one: one.length)

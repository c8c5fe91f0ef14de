"""One retraining, top to bottom: lease -> what was left behind -> fresh data -> training -> the gate -> alias.

Whoever is killed at any point leaves a run that says RUNNING, files in its scratch folder and a lease that passes; the
next one to hold the lease ends the run and clears the folder. A version is registered only once it is whole, and the
alias is moved under the lease, last of all.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
from rich.console import Console

from forecasting.project import Project
from forecasting.registry import Registry
from pipelines.calendar.lease import take
from pipelines.calendar.tables import open_calendar
from pipelines.settings import Settings
from pipelines.train import MARK, Trained, read, train_on

NEWEST = 1_000
"""Rows of the test part, at most: the newest ones, so that the model learns from nearly all there is."""


def retrain(project: Project, registry: Registry, settings: Settings, console: Console) -> Trained:
    """Train on what the data are now, compare with the champion on rows that neither has seen, promote or keep.

    Raises:
        LeaseHeld: another run of the project is under way; nothing was done.
        LeaseLost: this run was halted for so long that another may be; the alias was not moved.
        DataError: the data cannot be used; the champion stays, and nothing is recorded.
        RegistryError, LogUnavailable, OSError: the registry, the database of leases or the disk failed; the alias was
            not moved, or the decision that moved it is recorded.
    """
    project = on_newest(project)
    database = closing(open_calendar(settings.log_url, settings.home))
    with database as calendar, take(calendar, project.name, settings.lease_seconds) as lease:
        left = registry.end_orphans(project.name, MARK, str(lease.token))
        if left:
            console.print(f"ended {len(left)} run(s) whose process is gone: {', '.join(left)}", highlight=False)
        with _scratch(settings.home / "scratch" / project.name):
            given = read(project, console)
            return train_on(given, project, registry, settings.home, console, lease)


def on_newest(project: Project) -> Project:
    """Return a project whose test part is at most the newest thousand rows, unless it says another number."""
    backtest = project.backtest
    newest = NEWEST if backtest.newest is None else backtest.newest
    return msgspec.structs.replace(project, backtest=msgspec.structs.replace(backtest, newest=newest))


@contextmanager
def _scratch(folder: Path) -> Iterator[None]:
    """Have temporary files made in a folder that is cleared before and after: who is killed cannot tidy up."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    before = tempfile.tempdir
    tempfile.tempdir = str(folder.absolute())
    try:
        yield
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)

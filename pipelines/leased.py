"""One run of a project at a time, on whatever machine, and what those before it left behind.

Whoever is killed at any point leaves a run that says RUNNING, perhaps a version that nobody decided about, files in its
scratch folder and a lease that passes; the next one to hold the lease ends the run and clears up.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from rich.console import Console

from forecasting.registry import PREVIOUS, Registry
from pipelines.calendar.lease import Lease, take
from pipelines.calendar.tables import open_calendar
from pipelines.promotion import Decision
from pipelines.settings import Settings

MARK = "gatecast.lease"
"""The tag of a run: whose turn it was."""

ABANDONED = Decision(promote=False, by="lease", reason="its run was killed before it could be promoted or kept out")


@contextmanager
def leased(name: str, registry: Registry, settings: Settings, console: Console) -> Iterator[Lease]:
    """Hold the lease of a project while the block runs; what was left behind is cleared up first.

    Raises:
        LeaseHeld: another run of the project is under way; nothing was done.
        RegistryError, LogUnavailable: the registry or the database of leases does not answer.
    """
    database = closing(open_calendar(settings.log_url, settings.home))
    with database as calendar, take(calendar, name, settings.lease_seconds) as lease:
        if left := registry.end_orphans(name, MARK, lease.follows):
            console.print(f"ended {len(left)} run(s) whose process is gone: {', '.join(left)}", highlight=False)
            _keep_out(registry, name, left)
        with _scratch(settings.home / "scratch" / name):
            yield lease


def _keep_out(registry: Registry, name: str, runs: Sequence[str]) -> None:
    """Say of versions that were registered by these runs, and never were in production, that they were not promoted."""
    versions = registry.versions(name) if name in registry.models() else []
    before = {version.tags.get(PREVIOUS) for version in versions}
    for version in versions:
        if version.run_id in runs and not version.aliases and version.version not in before:
            registry.record(version, ABANDONED)


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

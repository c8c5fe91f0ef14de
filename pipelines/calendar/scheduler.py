"""`gatecast schedule`: one process that retrains projects when they are due, one after the other."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from forecasting.errors import LogUnavailable, ProjectError
from forecasting.log.connecting import Database
from forecasting.project import Project, load_project
from forecasting.report import counted
from pipelines.calendar.drift import Drift
from pipelines.calendar.due import Plan, Run, Wait, next_step, tried_again, trigger_for
from pipelines.calendar.runner import Limits, run
from pipelines.calendar.store import claim, finish, seen_of

LOOK_SECONDS = 1.0
LONGEST_QUIET = 30.0
"""Seconds after which is looked again, whatever was found: other schedulers, a new file, a clock that jumped."""

Say = Callable[[str], None]


class Scheduler:
    """Looks once a second whether a project is due; project files are read again at each look that finds them new."""

    def __init__(
        self, database: Database, drift: Drift, paths: Sequence[Path], environ: Mapping[str, str], say: Say
    ) -> None:
        """Read the projects.

        Raises:
            ProjectError: one of them cannot be used.
        """
        self._database, self._drift, self._environ, self._say = database, drift, environ, say
        self._entries = [_Entry(path) for path in paths]
        self._stopped = False

    def run(self, once: bool = False) -> None:
        """Go on until SIGTERM or Ctrl-C; `once` looks once, runs what is due, and returns."""
        for entry in self._entries:
            self._say(f"{entry.project.name}: {entry.project.schedule.cron} ({entry.project.schedule.timezone})")
        with self._signals():
            while not self._stopped:
                for entry in self._entries:
                    self._look(entry)
                if once:
                    return
                time.sleep(0 if self._stopped else LOOK_SECONDS)

    def _look(self, entry: _Entry) -> None:
        if self._stopped or time.monotonic() < entry.quiet_until:
            return
        try:
            entry.refresh()
            past, now = seen_of(self._database, entry.project.name)
            entry.since = now if entry.since is None else entry.since
            drifting = self._drifting(entry.project)
            step = next_step(entry.plan, past, now, entry.since, drifting=drifting > 0)
            if isinstance(step, Wait):
                entry.wait(step.until, now, self._say)
            elif claim(self._database, entry.project.name, past, step):
                self._retrain(entry, step, drifting)
        except (LogUnavailable, ProjectError) as error:
            entry.quiet_until = time.monotonic() + LONGEST_QUIET
            self._say(str(error))

    def _drifting(self, project: Project) -> int:
        """Return how many streams drift, if these are enough to retrain; where the ledger is away the clock goes on."""
        enough = project.schedule.drift
        try:
            found = self._drift.streams(project.name) if enough else 0
        except LogUnavailable as error:
            self._say(f"{project.name}: whether streams drift is not known: {error}")
            return 0
        return found if found >= enough else 0

    def _retrain(self, entry: _Entry, step: Run, drifting: int) -> None:
        name, schedule = entry.project.name, entry.project.schedule
        why = f"; {counted(drifting, 'stream')} of it drifting" if drifting else ""
        reason = f"due {_utc(step.due)}, attempt {step.attempt}{why}"
        self._say(f"{name}: retraining, {reason}")
        limits = Limits(60 * schedule.minutes, schedule.memory_mb)
        outcome, why = run(entry.path, limits, self._environ, lambda: self._stopped, reason)
        finish(self._database, name, step, outcome)
        again = "; it will be tried again" if tried_again(outcome, step.attempt, schedule.retries) else ""
        self._say(f"{name}: {outcome} ({why}){again}")

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def stop(_: int, __: FrameType | None) -> None:
            self._stopped = True

        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Entry:
    """A project of the scheduler, as its file says now; of a file that cannot be used the last good one counts."""

    def __init__(self, path: Path) -> None:
        self.path, self.quiet_until, self._announced = path, 0.0, 0.0  # quiet until: by the monotonic clock
        self.since: float | None = None
        self._late = random.random()  # noqa: S311 - so that not all projects of all machines start at once
        self._read()

    def refresh(self) -> None:
        if self._changed() != self._stamp:
            self._read()

    def wait(self, until: float, now: float, say: Say) -> None:
        if until != self._announced and until > now + LONGEST_QUIET:
            say(f"{self.project.name}: next at {_utc(until)}")
        self._announced = until
        self.quiet_until = time.monotonic() + min(until - now, LONGEST_QUIET)

    def _read(self) -> None:
        self._stamp = self._changed()
        project = load_project(self.path)
        schedule = project.schedule
        trigger = trigger_for(schedule.cron, schedule.timezone)
        late, apart = self._late * schedule.jitter_seconds, 3600 * schedule.drift_hours
        self.plan = Plan(trigger, late, schedule.retries, apart)
        self.project: Project = project

    def _changed(self) -> float:
        return self.path.stat().st_mtime if self.path.exists() else 0.0


def _utc(time_: float) -> str:
    return datetime.fromtimestamp(time_, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

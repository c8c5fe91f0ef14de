"""The command of the calendar: schedule."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from pipelines.commands.calling import PROJECT_FILE, gatecast
from pipelines.settings import Settings


@gatecast.command()
@click.argument("projects", type=PROJECT_FILE, nargs=-1)
@click.option("--once", is_flag=True, help="Retrain what is due or was missed, then return.")
@click.pass_obj
def schedule(settings: Settings, projects: tuple[Path, ...], *, once: bool) -> None:
    """Retrain projects when [schedule] says so, or their streams drift. PROJECTS are files [default: gatecast.toml].

    A time that was missed is caught up once; what failed for a reason that may pass is tried again, bad data are not.
    Several schedulers, on several machines, may look after the same projects: each time is begun by one of them.
    """
    from pipelines.calendar.drift import Drift
    from pipelines.calendar.scheduler import Scheduler
    from pipelines.calendar.tables import open_calendar

    with closing(open_calendar(settings.log_url, settings.home)) as database, closing(Drift(settings)) as drift:
        paths = projects or (Path("gatecast.toml"),)
        Scheduler(database, drift, paths, settings.environment(), click.echo).run(once=once)

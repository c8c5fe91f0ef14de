"""What was done about the due times of projects, as several schedulers see it: each time is begun by one of them."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, and_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from forecasting.log.connecting import Database
from pipelines.calendar.due import Outcome, Past, Run
from pipelines.calendar.tables import leases, now_of, times

GONE_SECONDS = 120.0
"""A run that has not ended, and whose project nobody holds after so long, is over: its scheduler was killed."""


class Seen(NamedTuple):
    """What was done last about a project, None before the first time; and the time now, by the same clock."""

    past: Past | None
    now: float


def seen_of(database: Database, name: str) -> Seen:
    """Return what there is to know of a project."""
    return database.change(lambda connection: _seen(connection, name))


def claim(database: Database, name: str, past: Past | None, run: Run) -> bool:
    """Begin a run, unless another scheduler has begun one since `past` was seen; tell whether it is ours."""
    return database.change(lambda connection: _claimed(connection, name, past, run))


def finish(database: Database, name: str, run: Run, outcome: Outcome) -> None:
    """Write down what came of a run."""

    def write(connection: Connection) -> None:
        ours = and_(times.c.name == name, times.c.due == run.due, times.c.attempt == run.attempt)
        connection.execute(update(times).where(ours).values(ended=now_of(connection), outcome=outcome.value))

    database.change(write)


def _seen(connection: Connection, name: str) -> Seen:
    now, row = now_of(connection), connection.execute(select(times).where(times.c.name == name)).one_or_none()
    if row is None:
        return Seen(None, now)
    past = Past(row.due, row.attempt, row.began, row.ended, row.outcome)
    if past.ended is None and now - past.began >= GONE_SECONDS:
        until = connection.execute(select(leases.c.until).where(leases.c.name == name)).scalar_one_or_none()
        if (until or 0.0) <= now:
            past = past._replace(ended=past.began, outcome=Outcome.FAILED)
    return Seen(past, now)


def _claimed(connection: Connection, name: str, past: Past | None, run: Run) -> bool:
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(insert(times).values(name=name, due=0.0, attempt=0, began=0.0).on_conflict_do_nothing())
    due, attempt = (0.0, 0) if past is None else (past.due, past.attempt)
    unchanged = and_(times.c.name == name, times.c.due == due, times.c.attempt == attempt)
    new = {"due": run.due, "attempt": run.attempt, "began": now_of(connection), "ended": None, "outcome": None}
    done = connection.execute(update(times).where(unchanged).values(new))
    return done.rowcount == 1

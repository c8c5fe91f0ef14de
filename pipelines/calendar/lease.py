"""A lease on a project: who has it may train and promote, nobody else, on whatever machine.

It is a row in a database with a holder and a time until which it is held, by the clock of that database. The holder
renews it; one that was killed, or frozen for too long, has lost it. Each holder gets a token larger than all before
(Kleppmann 2016, fencing): `hold` looks for it with the row locked, and does what is to be done before it lets go, so
that whoever wakes up after his lease has passed moves nothing.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy import Connection, Row, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.elements import ColumnElement

from forecasting.errors import LeaseHeld, LeaseLost, LogUnavailable
from forecasting.log.connecting import Database
from pipelines.calendar.tables import calendars, leases, now_of

SHARE = 3
"""So many times a lease is renewed before it would pass."""

T = TypeVar("T")


@dataclass
class Lease:
    """What is held of `name` by `holder`; `token` grows from holder to holder, in the database `calendar`."""

    database: Database
    name: str
    holder: str
    calendar: str
    token: int
    seconds: float
    _lost: threading.Event = field(default_factory=threading.Event)

    @property
    def mark(self) -> str:
        """Whose turn it is, for others to read."""
        return f"{self.calendar}:{self.token}"

    def follows(self, mark: str) -> bool:
        """Tell whether a mark is of a turn that is over: an earlier one, by tokens of the same database."""
        calendar, _, token = mark.rpartition(":")
        return calendar == self.calendar and token.isdigit() and int(token) < self.token

    def check(self) -> None:
        """Raise `LeaseLost` where somebody else may have it by now."""
        if self._lost.is_set():
            raise self._gone()

    def hold(self, work: Callable[[], T]) -> T:
        """Do something that nobody else can do at the same time: the lease cannot pass to anyone meanwhile.

        Raises:
            LeaseLost: it has passed already; nothing was done.
            LogUnavailable: the database does not answer; whether the work was done shows in what it does.
        """

        def held(connection: Connection) -> T:
            if not self._is_ours(connection):
                self._lost.set()
                raise self._gone()
            return work()

        return self.database.change(held)

    def renew(self) -> bool:
        """Hold it longer; tell whether it was still ours."""
        still = self.database.change(self._renew)
        if not still:
            self._lost.set()
        return still

    def release(self) -> None:
        """Let somebody else have it; the token stays, so that the next one is larger."""
        self.database.change(lambda connection: connection.execute(update(leases).where(self._mine).values(until=0.0)))

    @property
    def _mine(self) -> ColumnElement[bool]:
        return (leases.c.name == self.name) & (leases.c.token == self.token) & (leases.c.holder == self.holder)

    def _is_ours(self, connection: Connection) -> bool:
        row = connection.execute(select(leases).where(self._mine).with_for_update()).one_or_none()
        return row is not None and row.until > now_of(connection)

    def _renew(self, connection: Connection) -> bool:
        if not self._is_ours(connection):
            return False
        connection.execute(update(leases).where(self._mine).values(until=now_of(connection) + self.seconds))
        return True

    def _gone(self) -> LeaseLost:
        return LeaseLost(
            f"the lease on {self.name} passed before it was renewed: this process was halted, or the database away, "
            f"for more than {self.seconds:.0f} s; another run may have taken over, so this one moves nothing"
        )


@contextmanager
def take(database: Database, name: str, seconds: float) -> Iterator[Lease]:
    """Hold a lease while the block runs; a thread renews it, which keeps it for so many seconds each time.

    Raises:
        LeaseHeld: somebody else has it.
        LogUnavailable: the database does not answer.
    """
    holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    calendar, token = database.change(lambda connection: _taken(connection, name, holder, seconds))
    lease, done = Lease(database, name, holder, calendar, token, seconds), threading.Event()
    renewing = threading.Thread(target=_keep, args=(lease, done), name=f"lease {name}", daemon=True)
    renewing.start()
    try:
        yield lease
    finally:
        done.set()
        renewing.join()
        with suppress(LogUnavailable):  # it passes by itself
            lease.release()


def _taken(connection: Connection, name: str, holder: str, seconds: float) -> tuple[str, int]:
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    empty = insert(leases).values(name=name, holder="", token=0, since=0.0, until=0.0)
    connection.execute(empty.on_conflict_do_nothing())
    row = connection.execute(select(leases).where(leases.c.name == name).with_for_update()).one()
    now = now_of(connection)
    if row.until > now:
        raise _held(row, now)
    values = {"holder": holder, "token": row.token + 1, "since": now, "until": now + seconds}
    connection.execute(update(leases).where(leases.c.name == name).values(values))
    return str(connection.execute(select(calendars)).scalar_one()), int(row.token) + 1


def _held(row: Row[tuple[object, ...]], now: float) -> LeaseHeld:
    since = datetime.fromtimestamp(row.since, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    host, pid, _ = row.holder.rsplit(":", 2)
    return LeaseHeld(
        f"another run of {row.name} holds the lease since {since}: process {pid} on {host}; wait for it, or end it and "
        f"come again {row.until - now:.0f} s later"
    )


def _keep(lease: Lease, done: threading.Event) -> None:
    """Renew a lease again and again; a database that is away for a moment is asked again."""
    until = time.monotonic() + lease.seconds
    while not done.wait(lease.seconds / SHARE):
        began = time.monotonic()
        try:
            if not lease.renew():
                return
            until = began + lease.seconds
        except LogUnavailable:
            if time.monotonic() >= until:
                lease._lost.set()  # noqa: SLF001 - this thread is the lease's own
                return

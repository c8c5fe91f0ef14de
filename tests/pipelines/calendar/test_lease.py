"""Of a project there is one holder; whoever lost the lease, by death or by being halted, moves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from forecasting.errors import LeaseHeld, LeaseLost
from forecasting.log.connecting import Database
from pipelines.calendar.lease import take
from pipelines.calendar.tables import open_calendar

SECONDS = 60.0
HOLDER = """
import sys
from pathlib import Path
from pipelines.calendar.lease import take
from pipelines.calendar.tables import open_calendar

url, home, seconds = sys.argv[1:]
with take(open_calendar(url or None, Path(home)), "plant", float(seconds)) as lease:
    print(lease.token, flush=True)
    sys.stdin.readline()
    try:
        lease.hold(lambda: print("moved", flush=True))
    except Exception as error:
        print(type(error).__name__, flush=True)
"""


def holding(address: tuple[str | None, Path], seconds: float) -> subprocess.Popen[str]:
    """Start a process that holds the lease; told a line, it tries to move something."""
    url, home = address
    command = [sys.executable, "-c", HOLDER, url or "", str(home), str(seconds)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def taken_when_it_passes(calendar: Database) -> int:
    """Wait for a lease that nobody renews, and return the token of the one that follows."""
    end = time.monotonic() + 30
    while True:
        try:
            with take(calendar, "plant", SECONDS) as lease:
                return lease.token
        except LeaseHeld:
            assert time.monotonic() < end
            time.sleep(0.05)


def test_only_one_holds_a_project_and_others_are_told_who(calendar: Database) -> None:
    with take(calendar, "plant", SECONDS) as lease:
        lease.check()
        with (
            pytest.raises(LeaseHeld, match=rf"another run of plant holds .*: process {os.getpid()} on "),
            take(calendar, "plant", SECONDS),
        ):
            pass
        with take(calendar, "other", SECONDS) as other:
            assert other.token == 1
    with take(calendar, "plant", SECONDS) as after:
        assert after.token == lease.token + 1


@pytest.mark.usefixtures("calendar")
def test_a_turn_is_over_for_those_who_come_after_it_in_the_same_database(calendar: Database, tmp_path: Path) -> None:
    with take(calendar, "plant", SECONDS) as first:
        pass
    elsewhere = open_calendar(None, tmp_path / "elsewhere")
    with take(elsewhere, "plant", SECONDS), take(calendar, "plant", SECONDS) as second:
        assert second.follows(first.mark)
        assert not first.follows(second.mark)
        assert not second.follows(second.mark)
        with take(elsewhere, "other", SECONDS) as stranger:
            assert not second.follows(stranger.mark)
        assert not any(second.follows(mark) for mark in ("", "1", ":", "x:y", "7:0"))
    elsewhere.close()


def test_of_many_at_once_one_gets_it(address: tuple[str | None, Path]) -> None:
    start, done, got = threading.Barrier(8), threading.Event(), []

    def run() -> None:
        database = open_calendar(*address)
        start.wait()
        try:
            with take(database, "plant", SECONDS) as lease:
                got.append(lease.token)
                done.wait()
        except LeaseHeld:
            got.append(0)
        finally:
            database.close()
            if len(got) == 8:
                done.set()

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    while len(got) < 8:
        time.sleep(0.01)
    done.set()
    for thread in threads:
        thread.join()
    assert sorted(got) == [0] * 7 + [1]


def test_a_lease_outlives_its_seconds_as_long_as_it_is_renewed(calendar: Database) -> None:
    with take(calendar, "plant", 1.0) as lease:
        time.sleep(2.5)
        lease.check()
        assert lease.hold(lambda: "moved") == "moved"


def test_what_fails_under_a_lease_gives_it_back(calendar: Database) -> None:
    message = "disk full"
    with pytest.raises(OSError, match=message), take(calendar, "plant", SECONDS):
        raise OSError(message)
    with take(calendar, "plant", SECONDS):
        pass


def test_the_lease_of_one_who_was_killed_passes(address: tuple[str | None, Path], calendar: Database) -> None:
    with holding(address, 1.0) as process:
        assert said(process) == "1"
        process.kill()
    assert taken_when_it_passes(calendar) == 2


def test_one_who_was_frozen_past_the_lease_moves_nothing(address: tuple[str | None, Path], calendar: Database) -> None:
    with holding(address, 1.0) as process:
        assert said(process) == "1"
        process.send_signal(signal.SIGSTOP)
        assert taken_when_it_passes(calendar) == 2
        process.send_signal(signal.SIGCONT)
        print("go", file=process.stdin, flush=True)
        assert said(process) == LeaseLost.__name__


def test_nobody_takes_a_lease_while_its_holder_moves_something(
    address: tuple[str | None, Path], calendar: Database
) -> None:
    tried = threading.Event()
    with take(calendar, "plant", 1.0) as lease:
        other = open_calendar(*address)
        tokens: list[int] = []

        def rival() -> None:
            tried.set()
            tokens.append(taken_when_it_passes(other))

        thread = threading.Thread(target=rival)

        def move() -> None:
            thread.start()
            tried.wait()
            time.sleep(1.5)  # longer than the lease: the row is locked all the same
            assert tokens == []

        lease.hold(move)
    thread.join()
    other.close()
    assert tokens == [2]

"""A supervisor and real processes: all are started, heard, started again, and none is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.processes import free_port
from pipelines.supervising import LONGEST_SECONDS, SETTLED_SECONDS, Part, Supervisor, next_pause
from tests.pipelines.command import wait_until

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 30

HELLO = "print('hello', flush=True); import time; time.sleep(600)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + HELLO
FAMILY = """
import subprocess, sys, time
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
near, far = subprocess.Popen(sleep), subprocess.Popen(sleep, start_new_session=True)
print(near.pid, far.pid, flush=True)
time.sleep(600)
"""


def part(name: str, code: str, grace_seconds: float = 20, address: tuple[str, int] | None = None) -> Part:
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return Part(name, [sys.executable, "-c", code], environ, grace_seconds, address)


class Listener:
    """Keeps what is said, and signals the supervisor once a line is heard."""

    def __init__(self, last: str = "", number: int = signal.SIGTERM) -> None:
        self.lines: list[tuple[str, str]] = []
        self.last, self.number = last, number

    def __call__(self, name: str, line: str) -> None:
        self.lines.append((name, line))
        if self.last and self.last in line:
            os.kill(os.getpid(), self.number)

    def of(self, name: str) -> list[str]:
        return [line for who, line in self.lines if who == name]


def stop(number: int = signal.SIGTERM) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_parts_the_last_one_first_and_is_told(number: int) -> None:
    heard = Listener()
    assert Supervisor([part("a", HELLO), part("b", HELLO)], heard, stop(number)).run() == number
    assert heard.of("gatecast") == ["ending b", "ending a"]
    assert psutil.Process().children() == []


def test_a_part_is_started_once_the_one_before_answers() -> None:
    port = free_port()
    slow = "import socket, time; time.sleep(.5); print('now', flush=True)"
    slow += f"; held = socket.create_server(('127.0.0.1', {port})); time.sleep(600)"
    heard = Listener("hello")
    Supervisor([part("slow", slow, address=("127.0.0.1", port)), part("next", HELLO)], heard).run()
    assert [line for line in heard.lines if line[0] != "gatecast"] == [("slow", "now"), ("next", "hello")]


def test_a_part_that_ends_is_reported_and_started_again() -> None:
    heard = Listener("ended with code 3 after 0 s; started again in 2 s")
    Supervisor([part("a", "print('so far', end=''); raise SystemExit(3)"), part("b", HELLO)], heard).run()
    assert heard.of("a") == ["so far", "so far"]
    assert heard.of("gatecast")[0] == "a ended with code 3 after 0 s; started again in 1 s"
    assert heard.of("b") == ["hello"]


def test_a_part_that_cannot_be_started_is_reported_with_its_cause() -> None:
    heard = Listener("ended with code 1")
    Supervisor([Part("a", ["/no/such/command"], {**os.environ, "PYTHONPATH": str(ROOT)}, 5)], heard).run()
    assert "No such file or directory: '/no/such/command'" in heard.of("a")[-1]


def test_one_that_does_not_end_when_asked_is_killed_when_its_grace_is_over() -> None:
    heard = Listener("hello")
    Supervisor([part("deaf", DEAF, grace_seconds=0.3)], heard).run()
    assert psutil.Process().children() == []


def test_a_second_signal_does_not_wait_for_the_grace() -> None:
    heard = Listener("ending deaf")
    Supervisor([part("deaf", DEAF, grace_seconds=600)], heard, stop()).run()
    assert psutil.Process().children() == []


@pytest.mark.parametrize("ends", ["time.sleep(600)", "raise SystemExit(0)"])
def test_nothing_that_a_part_has_started_is_left_behind(ends: str) -> None:
    heard = Listener("started again" if "Exit" in ends else " ")
    Supervisor([part("family", FAMILY.replace("time.sleep(600)\n", f"{ends}\n"))], heard).run()
    pids = [int(pid) for pid in heard.of("family")[0].split()]
    assert [pid for pid in pids if psutil.pid_exists(pid)] == []


def test_a_supervisor_that_is_killed_leaves_nothing_behind() -> None:
    code = """
from tests.pipelines.test_supervising import FAMILY, part
from pipelines.supervising import Supervisor
Supervisor([part("family", FAMILY)], lambda _, line: print(line, flush=True)).run()
"""
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        pids = [int(pid) for pid in supervisor.stdout.readline().split()]
        assert len(pids) == 2
        family = psutil.Process(supervisor.pid).children(recursive=True)
        supervisor.kill()
    wait_until(
        lambda: not any(psutil.pid_exists(pid) for pid in [*pids, *(one.pid for one in family)]), PATIENCE_SECONDS
    )


def test_long_lines_and_wrong_bytes_are_passed_on() -> None:
    code = r"import os, time; os.write(1, b'x' * 200_000 + b'\n\xff\r\nend\n'); time.sleep(600)"
    heard = Listener("end")
    Supervisor([part("a", code)], heard).run()
    assert "".join(heard.of("a")[:-2]) == "x" * 200_000
    assert heard.of("a")[-2:] == ["\ufffd", "end"]


@given(st.lists(st.floats(0, 2 * SETTLED_SECONDS), min_size=1))
def test_pauses_double_up_to_a_minute_and_begin_anew_after_a_good_while(lives: list[float]) -> None:
    pause, grown = None, 1.0
    for lived in lives:
        grown = 1.0 if lived >= SETTLED_SECONDS or pause is None else min(2 * grown, LONGEST_SECONDS)
        pause = next_pause(pause, lived)
        assert pause == grown

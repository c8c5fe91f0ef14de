"""Whoever writes at the same time, and whenever a writer is killed: what was acknowledged is there, once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from forecasting.errors import Outrun
from forecasting.log.interface import Log
from forecasting.log.opening import open_log
from tests.forecasting.log.examples import a_push, a_stream, number, together
from tests.forecasting.log.writer import STREAMS, push_all

ROOT = Path(__file__).parents[3]
WRITER = Path(__file__).parent / "writer.py"


@contextmanager
def writing(address: str | None, path: Path, who: int, pushes: int, *more: str) -> Iterator[subprocess.Popen[str]]:
    """Run a writer, and wait for its end."""
    command = [sys.executable, str(WRITER), address or "sqlite", str(path), str(who), str(pushes), *more]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        yield process


def lines(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    return (line.strip() for line in process.stdout)


def written(log: Log) -> list[bytes]:
    """Return the values of all rows, after making sure that the streams are alike, gapless and as long as they say."""
    rows, others = (log.rows([(stream.id, 0, 10**6) for stream in STREAMS])[at] for at in (0, 1))
    found = log.find([STREAMS[0].key])[0]
    assert found is not None
    assert [row.seq for row in rows] == list(range(found.seq + 1))
    assert [row[1:] for row in rows] == [row[1:] for row in others]
    assert [one.seq for one in log.issued([(STREAMS[2].id, 0, 10**6)])[0]] == list(range(found.seq + 1))
    return [row.values for row in rows]


def test_threads_that_push_to_one_stream_give_a_serial_order(log: Log) -> None:
    push_all(log, 0, 99)

    def push(who: int) -> list[int]:
        done: list[int] = []
        while len(done) < 5:
            found = log.find([STREAMS[0].key])[0]
            assert found is not None
            try:
                push_all(log, found.seq + 1, who)
            except Outrun:
                continue
            done.append(found.seq + 1)
        return done

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(push, range(8)))
    expected = {seq: number(who) for who, seqs in enumerate(done) for seq in seqs}
    assert dict(enumerate(written(log)[1:], 1)) == expected


def test_pushes_to_the_same_streams_in_any_order_do_not_block_each_other(stored: Log) -> None:
    streams = [a_stream(at) for at in range(40)]
    stored.commit(together([a_push(stream, 0) for stream in streams]))

    def push(backwards: bool) -> int:
        order, lost = streams[::-1] if backwards else streams, 0
        for seq in range(1, 15):
            try:
                stored.commit(together([a_push(stream, seq) for stream in order]))
            except Outrun:
                lost += 1
        return lost

    with ThreadPoolExecutor(2) as pool:
        lost = list(pool.map(push, (False, True)))
    found = stored.find([stream.key for stream in streams])
    assert {one.seq for one in found if one} == {14}
    assert sum(lost) == 14


def test_two_processes_that_begin_on_an_empty_database_give_a_serial_order(address: str | None, path: Path) -> None:
    with writing(address, path, 1, 40) as one, writing(address, path, 2, 40) as two:
        done = [[int(line) for line in lines(process)] for process in (one, two)]
    assert (one.returncode, two.returncode) == (0, 0)
    log = open_log(address, path)
    assert dict(enumerate(written(log))) == {seq: number(who) for who, seqs in enumerate(done, 1) for seq in seqs}
    log.close()


def kill_and_look(address: str | None, path: Path, times: int) -> None:
    random = Random(times)  # noqa: S311
    for _ in range(times):
        with writing(address, path, 7, 1_000_000) as process:
            said = [next(lines(process)) for _ in range(random.randrange(1, 40))]
            process.kill()
            acknowledged = max(map(int, [*said, *lines(process)]))
        log = open_log(address, path)
        assert len(written(log)) in {acknowledged + 1, acknowledged + 2}  # one may have been written and not said
        log.close()


def test_what_was_acknowledged_outlives_a_writer_killed_at_any_moment(address: str | None, path: Path) -> None:
    kill_and_look(address, path, 10 if address is None else 4)  # a server is no part of what was killed


@pytest.mark.slow
def test_what_was_acknowledged_outlives_fifty_writers_killed(address: str | None, path: Path) -> None:
    kill_and_look(address, path, 50)


def test_a_full_disk_loses_nothing_and_the_log_goes_on_with_more_room(path: Path) -> None:
    with writing(None, path, 1, 3, "200000") as process:
        said = list(lines(process))
    assert process.returncode == 0
    refusals = [line for line in said if not line.isdigit()]
    assert len(refusals) == 1
    assert "streams.db cannot be used: " in refusals[0]
    log = open_log(None, path)
    assert [str(seq) for seq in range(len(written(log)))] == [line for line in said if line.isdigit()]
    log.close()

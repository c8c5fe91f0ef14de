"""What is old goes, what a rebuild needs stays, and what is erased is gone."""

from __future__ import annotations

import pytest
import sqlalchemy

from forecasting.errors import Outrun
from forecasting.log.interface import Log
from forecasting.log.memory import MemoryLog
from forecasting.log.tables import metadata, versions
from tests.forecasting.log.examples import (
    ONE,
    TWO,
    a_correction,
    a_push,
    a_row,
    a_snapshot,
    a_stream,
    an_advance,
    together,
)

STREAM, OTHER = a_stream(1), a_stream(2)
FOREVER = 10**18


def rows_of(log: Log, stream: int) -> list[int]:
    return [row.seq for row in log.rows([(stream, 0, 10_000)])[0]]


@pytest.mark.parametrize(
    ("before", "keep", "left"),
    [
        (0, 0, 0),
        (100, 0, 0),  # row s arrived at 100 + s
        (101, 0, 1),
        (110, 0, 10),
        (FOREVER, 0, 20),  # the snapshot is behind row 20
        (FOREVER, 5, 15),
        (107, 5, 7),
        (FOREVER, 25, 0),
    ],
)
def test_old_rows_go_as_far_as_the_newest_snapshot_allows(log: Log, before: int, keep: int, left: int) -> None:
    snapshots = [a_snapshot(STREAM, seq) for seq in (3, 12, 20)]
    log.commit(together([a_push(STREAM, 0, 29, snapshots=snapshots), a_push(OTHER, 0, 29)]))
    assert log.prune(before, keep) == left
    assert rows_of(log, STREAM.id) == list(range(left, 30))
    assert [one.seq for one in log.issued([(STREAM.id, 0, 99)])[0]] == list(range(left, 30))
    assert log.oldest([STREAM.id, OTHER.id]) == [left, 0]
    assert [entry.observation.seq for entry in log.ledger(STREAM.id, 0, 1)] == [left]
    assert rows_of(log, OTHER.id) == list(range(30))
    assert log.prune(before, keep) == 0


def test_a_snapshot_goes_with_the_row_behind_it(log: Log) -> None:
    log.commit(a_push(STREAM, 0, 29, snapshots=[a_snapshot(STREAM, seq) for seq in (8, 9, 10, 29)]))
    assert log.prune(110, 0) == 10
    assert log.snapshots([(STREAM.id, 9), (STREAM.id, 10), (STREAM.id, 29)], ONE) == [
        a_snapshot(STREAM, 9),
        a_snapshot(STREAM, 10),
        a_snapshot(STREAM, 29),
    ]
    assert log.snapshots([(STREAM.id, 8)], ONE) == [None]
    assert log.origins([STREAM.id], ONE) == [0]


def test_rows_behind_one_that_is_young_stay(log: Log) -> None:
    log.commit(a_push(STREAM, 0, 9, snapshots=[a_snapshot(STREAM, 9)]))
    log.correct(
        a_correction(
            STREAM, 3, 9, observation=a_row(STREAM, 3, arrived=500, revision=1), snapshots=[a_snapshot(STREAM, 9)]
        )
    )
    assert log.prune(400, 0) == 3
    assert rows_of(log, STREAM.id) == list(range(3, 10))


def test_earlier_versions_of_a_row_go_with_it(log: Log) -> None:
    log.commit(a_push(STREAM, 0, 9))
    log.correct(a_correction(STREAM, 3, 9, snapshots=[a_snapshot(STREAM, 9)]))
    log.prune(103, 0)
    assert log.versions(STREAM.id, 3) == [a_row(STREAM, 3)]
    log.prune(104, 0)
    assert log.versions(STREAM.id, 3) == []
    assert log.at(STREAM.id, [a_row(STREAM, 3).time, a_row(STREAM, 4).time]) == [None, a_row(STREAM, 4)]


def test_more_is_pruned_than_one_slice_holds(log: Log) -> None:
    streams = [a_stream(at) for at in range(230)]
    log.commit(together([a_push(stream, 0, 2, snapshots=[a_snapshot(stream, 2)]) for stream in streams]))
    log.commit(a_push(streams[7], 3, 402, snapshots=[a_snapshot(streams[7], 402)]))
    assert log.prune(FOREVER, 1) == 229 + 401
    assert rows_of(log, streams[7].id) == [401, 402]
    assert log.oldest([stream.id for stream in streams]) == [1] * 7 + [401] + [1] * 222


def test_a_stream_goes_on_after_pruning(log: Log) -> None:
    log.commit(a_push(STREAM, 0, 9, snapshots=[a_snapshot(STREAM, 9)]))
    log.prune(FOREVER, 0)
    log.commit(a_push(STREAM, 10))
    assert rows_of(log, STREAM.id) == [9, 10]


def test_of_an_erased_stream_nothing_is_left(log: Log) -> None:
    for stream in (STREAM, OTHER):
        log.commit(a_push(stream, 0, 4, snapshots=[a_snapshot(stream, 0, TWO)]))
        log.correct(a_correction(stream, 2, 4))
    log.erase(STREAM.id)
    assert log.find([STREAM.key, OTHER.key])[0] is None
    assert rows_of(log, STREAM.id) == log.ledger(STREAM.id, 0, 9) == log.versions(STREAM.id, 2) == []
    assert log.snapshots([(STREAM.id, 9)], TWO) == log.origins([STREAM.id], ONE) == log.oldest([STREAM.id]) == [None]
    assert log.count("anna") == 1
    assert len(rows_of(log, OTHER.id)) == 5
    assert log.versions(OTHER.id, 2) == [a_row(OTHER, 2)]
    with pytest.raises(Outrun):
        log.commit(a_push(STREAM, 5, advanced=[an_advance(STREAM, 4, 5, epoch=1)]))
    log.commit(a_push(STREAM, 0))
    assert rows_of(log, STREAM.id) == [0]


def test_erasing_all_streams_leaves_no_line_in_any_table_but_versions(stored: Log) -> None:
    stored.commit(a_push(STREAM, 0, 4, snapshots=[a_snapshot(STREAM, 0, TWO)]))
    stored.correct(a_correction(STREAM, 2, 4, snapshots=[a_snapshot(STREAM, 4)]))
    engine = stored._database.engine  # noqa: SLF001
    with engine.connect() as connection:
        count = {
            table.name: sqlalchemy.select(sqlalchemy.func.count()).select_from(table)
            for table in metadata.sorted_tables
        }
        assert all(connection.execute(of).scalar_one() for of in count.values())
        stored.erase(STREAM.id)
        assert {name for name, of in count.items() if connection.execute(of).scalar_one()} == {versions.name}


def test_memory_lets_go_of_what_no_rebuild_needs() -> None:
    log = MemoryLog(rows=10)
    log.commit(a_push(STREAM, 0, 29))
    assert rows_of(log, STREAM.id) == list(range(30))  # without a snapshot all are needed
    log.commit(a_push(STREAM, 30, snapshots=[a_snapshot(STREAM, 5)]))
    assert rows_of(log, STREAM.id) == list(range(6, 31))
    log.commit(a_push(STREAM, 31, snapshots=[a_snapshot(STREAM, 31)]))
    assert rows_of(log, STREAM.id) == list(range(22, 32))
    assert [one.seq if one else None for one in log.snapshots([(STREAM.id, 30), (STREAM.id, 31)], ONE)] == [None, 31]
    assert (log.oldest([STREAM.id]), log.at(STREAM.id, [a_row(STREAM, 21).time])) == ([22], [None])

"""Many streams are asked about at once; answers come in the order of what was asked."""

from __future__ import annotations

import pytest

from forecasting.log.interface import Log
from forecasting.log.records import Key, Kind
from tests.forecasting.log.examples import (
    HOUR,
    ONE,
    a_push,
    a_row,
    a_snapshot,
    a_stream,
    an_advance,
    together,
)

STREAMS = [a_stream(at) for at in range(6)]


@pytest.fixture
def filled(log: Log) -> Log:
    """Return a log of six streams of four rows, with snapshots behind rows 1 and 3."""
    log.commit(
        together(
            [
                a_push(stream, 0, 3, snapshots=[a_snapshot(stream, 1), a_snapshot(stream, 3, state=b"newest")])
                for stream in STREAMS
            ]
        )
    )
    return log


def test_spans_are_inclusive_and_may_reach_beyond_what_is_there(filled: Log) -> None:
    wanted = [(STREAMS[3].id, 1, 2), (STREAMS[0].id, 3, 9), (7, 0, 9), (STREAMS[0].id, -5, 0), (STREAMS[3].id, 2, 1)]
    seqs = [[1, 2], [3], [], [0], []]
    for read in (filled.rows, filled.issued):
        found = read(wanted)
        assert [[row.seq for row in rows] for rows in found] == seqs
        assert all(row.stream == asked[0] for asked, rows in zip(wanted, found, strict=True) for row in rows)


def test_the_same_may_be_asked_twice(filled: Log) -> None:
    keys = [STREAMS[2].key, STREAMS[1].key, STREAMS[2].key]
    assert [one.id if one else None for one in filled.find(keys)] == [STREAMS[at].id for at in (2, 1, 2)]
    assert filled.origins([STREAMS[1].id] * 2, ONE) == [0, 0]


def test_thousands_may_be_asked_about(filled: Log) -> None:
    order = [at * at % 11 % 8 for at in range(5000)]
    ids = [[*STREAMS, a_stream(8), a_stream(9)][at].id for at in order]
    assert filled.oldest(ids) == [0 if at < 6 else None for at in order]
    found = filled.snapshots([(stream, 2) for stream in ids], ONE)
    assert [one.stream if one else None for one in found] == [
        stream if at < 6 else None for stream, at in zip(ids, order, strict=True)
    ]


def test_the_newest_snapshot_at_or_before_a_row_is_found(filled: Log) -> None:
    stream = STREAMS[0].id
    found = filled.snapshots([(stream, seq) for seq in (0, 1, 2, 3, 9)], ONE)
    assert [one.seq if one else None for one in found] == [None, 1, 1, 3, 3]
    assert found[4] == a_snapshot(STREAMS[0], 3, state=b"newest")


def test_rows_are_found_by_their_times(filled: Log) -> None:
    stream = STREAMS[4]
    first = a_row(stream, 0).time
    times = [first + 2 * HOUR, first, first + 1, first - HOUR, first + 3 * HOUR, first + 9 * HOUR, first + 2 * HOUR]
    found = filled.at(stream.id, times)
    assert [one.seq if one else None for one in found] == [2, 0, None, None, 3, None, 2]
    assert found[0] == a_row(stream, 2)
    assert filled.at(stream.id, []) == []


def test_the_ledger_comes_in_pages_without_rows_that_never_came(filled: Log) -> None:
    stream = STREAMS[1]
    rows = [a_row(stream, 4, kind=Kind.FILLER), a_row(stream, 5), a_row(stream, 6, kind=Kind.HISTORY)]
    filled.commit(a_push(stream, 4, 6, observations=rows))
    pages = [[entry.observation.seq for entry in filled.ledger(stream.id, start, 3)] for start in (0, 3, 4, 7)]
    assert pages == [[0, 1, 2], [3, 5, 6], [5, 6], []]
    entry = filled.ledger(stream.id, 5, 1)[0]
    assert entry.issued is not None
    assert entry.observation == rows[1]
    assert entry.issued.seq == 5


def test_streams_are_listed_in_pages_by_name(log: Log) -> None:
    names = ["b", "B", "a", "a-", "a.b", "~", "0", "aa"]
    streams = [a_stream(at, key=Key("anna", "weather", name)) for at, name in enumerate(names)]
    others = [a_stream(20, key=Key("bert", "weather", "a")), a_stream(21, key=Key("anna", "tides", "a"))]
    log.commit(together([a_push(stream, 0) for stream in [*streams, *others]]))
    listed, after = [], ""
    while page := log.streams("anna", "weather", after, 3):
        listed += [one.key.stream for one in page]
        after = listed[-1]
    assert listed == sorted(names)
    assert (log.count("anna"), log.count("bert"), log.count("nobody")) == (9, 1, 0)


def test_streams_that_drift_are_counted_by_model(filled: Log) -> None:
    assert filled.drifting("weather") == {0: 6}
    for stream, drift in zip(STREAMS, (1, 1, 2, 0), strict=False):
        filled.commit(a_push(stream, 4, advanced=[an_advance(stream, 3, 4, drift=drift)]))
    other = a_stream(9, key=Key("bert", "tides", "a"))
    filled.commit(a_push(other, 0, advanced=[an_advance(other, -1, 0, drift=3)]))
    assert filled.drifting("weather") == {0: 3, 1: 2, 2: 1}
    assert filled.drifting("tides") == {3: 1}
    filled.commit(a_push(STREAMS[0], 5))
    filled.erase(STREAMS[1].id)
    assert filled.drifting("weather") == {0: 4, 2: 1}

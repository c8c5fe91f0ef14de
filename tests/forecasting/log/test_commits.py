"""What is written is read as it was, all of it or nothing."""

from __future__ import annotations

import pytest

from forecasting.errors import Outrun
from forecasting.log.interface import Log
from forecasting.log.records import Advance, Commit, Entry, Key, Kind, Origin
from tests.forecasting.log.examples import (
    HOUR,
    ONE,
    TWO,
    a_forecast,
    a_push,
    a_row,
    a_snapshot,
    a_stream,
    an_advance,
    in_columns,
    number,
    together,
)

NOTHING = Commit([], [], [], [], [], [])
STREAM, OTHER = a_stream(1), a_stream(2, series="north", static='{"kind": "é\\u0000"}', drift=0)


def everything(log: Log) -> list[object]:
    """Return all that can be read of the two streams."""
    ids = [STREAM.id, OTHER.id]
    spans = [(stream, 0, 99) for stream in ids]
    return [
        log.find([STREAM.key, OTHER.key]),
        log.rows(spans),
        log.issued(spans),
        [log.snapshots([(stream, 99) for stream in ids], version) for version in (ONE, TWO)],
        [log.origins(ids, version) for version in (ONE, TWO)],
        [log.versions(stream, seq) for stream in ids for seq in range(9)],
    ]


def test_an_empty_log_knows_nothing(log: Log) -> None:
    assert log.find([STREAM.key]) == [None]
    assert log.find([]) == []
    assert log.rows([(1, 0, 9)]) == log.issued([(1, 0, 9)]) == [[]]
    assert log.rows([]) == log.issued([]) == log.snapshots([], ONE) == log.origins([], ONE) == log.oldest([]) == []
    assert log.at(1, [HOUR]) == log.snapshots([(1, 9)], ONE) == log.origins([1], ONE) == log.oldest([1]) == [None]
    assert log.versions(1, 0) == log.ledger(1, 0, 9) == log.streams("anna", "weather", "", 9) == []
    assert (log.count("anna"), log.drifting("weather"), log.prune(10**18, 0)) == (0, {}, 0)
    log.erase(1)


def test_a_push_is_read_as_it_was_written(log: Log) -> None:
    rows = [
        a_row(STREAM, 0, ahead=b"ahead", score=None, kind=Kind.HISTORY),
        a_row(STREAM, 1, values=b"", arrived=2**62, kind=Kind.FILLER, score=b"\x00\xff"),
        a_row(STREAM, 2, time=2**62),
    ]
    issued = [a_forecast(STREAM, 2, version=TWO, notes='[{"code": "gap"}]', revised=True)]
    advance = an_advance(STREAM, -1, 2, time=2**62, tracker=b"\x00tracked", shape="new", drift=3)
    snapshots = [a_snapshot(STREAM, 2), a_snapshot(STREAM, 2, TWO, b"\x00" * 5000)]
    origins = [Origin(STREAM.id, ONE, 0), Origin(STREAM.id, TWO, 1)]
    log.commit(
        a_push(STREAM, 0, 2, advanced=[advance], observations=rows, issued=issued, snapshots=snapshots, origins=origins)
    )
    stands = STREAM._replace(seq=2, time=2**62, tracker=b"\x00tracked", shape="new", drift=3)
    assert log.find([STREAM.key]) == [stands]
    assert log.rows([(STREAM.id, 0, 2)]) == [rows]
    assert log.issued([(STREAM.id, 0, 2)]) == [issued]
    assert [log.snapshots([(STREAM.id, 2)], version)[0] for version in (ONE, TWO)] == snapshots
    assert [log.origins([STREAM.id], version)[0] for version in (ONE, TWO)] == [0, 1]
    assert log.ledger(STREAM.id, 0, 9) == [Entry(rows[0], None), Entry(rows[2], issued[0])]


def test_streams_are_told_apart_by_principal_model_and_name(log: Log) -> None:
    keys = [Key(principal, model, name) for principal in ("a", "b") for model in ("a", "b") for name in ("a", "b")]
    streams = [a_stream(at, key=key) for at, key in enumerate(keys)]
    log.commit(together([a_push(stream, 0) for stream in streams]))
    found = log.find([*reversed(keys), Key("a", "a", "c")])
    assert [None if one is None else one.id for one in found] == [stream.id for stream in reversed(streams)] + [None]


def test_what_cannot_be_ascii_is_kept_too(log: Log) -> None:
    log.commit(a_push(stream := OTHER._replace(key=Key("Ünal", "wetter-größe", "s'\"%s?:x")), 0))
    found = log.find([stream.key])[0]
    assert found is not None
    assert found[:6] == stream[:6]


def test_whatever_a_driver_could_take_for_its_own_is_kept(log: Log) -> None:
    blobs = [b"\\N", b"\t\n\r", b"\\.", b"\x00", b"", b"'\"", b"%s", b"\\x00", bytes(range(256)), b"a", b"b", b"c"]
    rows = [a_row(STREAM, seq, values=blob, ahead=blob, score=None) for seq, blob in enumerate(blobs)]
    notes = [blob.decode("latin-1").replace("\x00", "") for blob in blobs]
    issued = [a_forecast(STREAM, seq, said=blobs[seq], notes=note) for seq, note in enumerate(notes)]
    log.commit(a_push(STREAM, 0, len(blobs) - 1, observations=rows, issued=issued))
    assert log.rows([(STREAM.id, 0, 99)]) == [rows]
    assert log.issued([(STREAM.id, 0, 99)]) == [issued]


def test_a_stream_goes_on_from_where_it_stands(log: Log) -> None:
    log.commit(a_push(STREAM, 0, 1))
    log.commit(a_push(STREAM, 2, 4))
    assert [row.seq for row in log.rows([(STREAM.id, 0, 9)])[0]] == [0, 1, 2, 3, 4]


def test_many_streams_are_written_at_once_and_in_any_order(log: Log) -> None:
    streams = [a_stream(at) for at in range(2500)]
    log.commit(together([a_push(stream, 0) for stream in reversed(streams)]))
    found = log.find([stream.key for stream in streams])
    assert [(one.id, one.seq) for one in found if one] == [(stream.id, 0) for stream in streams]
    assert [[row.stream for row in rows] for rows in log.rows([(stream.id, 0, 0) for stream in streams])] == [
        [stream.id] for stream in streams
    ]


@pytest.mark.parametrize(
    "late",
    [
        a_push(STREAM, 1),
        a_push(STREAM, 3),
        a_push(STREAM, 2, advanced=[an_advance(STREAM, 1, 2, epoch=1)]),
        a_push(STREAM, 0),
        a_push(STREAM._replace(id=5), 0),
        a_push(STREAM._replace(key=Key("anna", "weather", "new")), 0),
        a_push(a_stream(3), 1),
    ],
    ids=["behind", "ahead", "epoch", "again", "same name", "same id", "none there"],
)
def test_whoever_is_late_writes_nothing_at_all(log: Log, late: object) -> None:
    log.commit(together([a_push(STREAM, 0, 1), a_push(OTHER, 0, 1)]))
    before = everything(log)
    on_time = a_push(OTHER, 2, snapshots=[a_snapshot(OTHER, 2, TWO)], origins=[Origin(OTHER.id, TWO, 0)])
    for commit in (late, together([on_time, late]), together([late, on_time])):  # type: ignore[list-item]
        with pytest.raises(Outrun, match="another writer was quicker"):
            log.commit(commit)  # type: ignore[arg-type]
    assert everything(log) == before
    log.commit(on_time)
    assert everything(log) != before


def test_rows_that_go_on_in_columns_are_read_as_records_are(log: Log) -> None:
    log.commit(together([a_push(STREAM, 0), a_push(OTHER, 0)]))
    rows = [a_row(one, 1, arrived=7) for one in (STREAM, OTHER)]
    commit = together([a_push(STREAM, 1), a_push(OTHER, 1)])._replace(observations=rows)
    log.commit(in_columns(commit))
    assert log.rows([(STREAM.id, 1, 1), (OTHER.id, 1, 1)]) == [[row] for row in rows]
    assert log.issued([(STREAM.id, 0, 9)]) == [[a_forecast(STREAM, 0), a_forecast(STREAM, 1)]]
    assert [one and (one.seq, one.time, one.tracker) for one in log.find([STREAM.key, OTHER.key])] == [
        (1, row.time, number(101)) for row in rows
    ]


@pytest.mark.parametrize(
    "late", [an_advance(STREAM, 0, 1), an_advance(STREAM, 1, 2, epoch=1), an_advance(a_stream(9), 1, 2)]
)
def test_of_rows_in_columns_nothing_is_written_where_one_comes_too_late(log: Log, late: Advance) -> None:
    log.commit(together([a_push(STREAM, 0, 1), a_push(OTHER, 0, 1)]))
    before, on_time = everything(log), a_push(OTHER, 2, snapshots=[a_snapshot(OTHER, 2)])
    of_late = a_push(STREAM, 2)._replace(advanced=[late])
    for commit in (together([on_time, of_late]), together([of_late, on_time])):
        with pytest.raises(Outrun, match="another writer was quicker"):
            log.commit(in_columns(commit))
    with pytest.raises(Outrun, match="another writer was quicker"):
        log.commit(together([on_time, in_columns(of_late)]))
    assert everything(log) == before


def test_a_snapshot_written_again_replaces_and_an_origin_stays(log: Log) -> None:
    log.commit(a_push(STREAM, 0, snapshots=[a_snapshot(STREAM, 0)]))
    again = a_push(STREAM, 1, snapshots=[a_snapshot(STREAM, 0, state=b"better")], origins=[Origin(STREAM.id, ONE, 1)])
    log.commit(again)
    assert log.snapshots([(STREAM.id, 1)], ONE) == [a_snapshot(STREAM, 0, state=b"better")]
    assert log.origins([STREAM.id], ONE) == [0]


def test_a_version_of_another_run_is_another_version(log: Log) -> None:
    other = ONE._replace(run_id="run-9")
    log.commit(a_push(STREAM, 0, snapshots=[a_snapshot(STREAM, 0, other)]))
    assert log.snapshots([(STREAM.id, 0)], ONE) == [None]
    assert log.snapshots([(STREAM.id, 0)], other) == [a_snapshot(STREAM, 0, other)]


def test_a_forecast_may_come_after_its_row(log: Log) -> None:
    log.commit(a_push(STREAM, 0, 2, issued=[]))
    log.commit(a_push(STREAM, 3, issued=[a_forecast(STREAM, 1), a_forecast(STREAM, 3)]))
    assert log.issued([(STREAM.id, 0, 9)]) == [[a_forecast(STREAM, 1), a_forecast(STREAM, 3)]]


def test_a_forecast_of_no_row_is_refused(stored: Log) -> None:
    with pytest.raises(Outrun):
        stored.commit(a_push(STREAM, 0, issued=[a_forecast(STREAM, 7)]))
    assert stored.find([STREAM.key]) == [None]


def test_a_snapshot_may_come_by_itself(log: Log) -> None:
    log.commit(a_push(STREAM, 0, 1))
    log.commit(
        a_push(STREAM, 1, created=[], advanced=[], observations=[], issued=[], snapshots=[a_snapshot(STREAM, 1)])
    )
    assert log.snapshots([(STREAM.id, 1)], ONE) == [a_snapshot(STREAM, 1)]
    assert number(101) == log.find([STREAM.key])[0].tracker  # type: ignore[union-attr]


@pytest.mark.parametrize("part", ["snapshots", "origins", "issued", "observations"])
def test_nothing_is_written_of_a_stream_that_was_erased(log: Log, part: str) -> None:
    log.commit(together([a_push(STREAM, 0), a_push(OTHER, 0)]))
    log.erase(STREAM.id)
    before = everything(log)
    parts = {
        "snapshots": [a_snapshot(STREAM, 0)],
        "origins": [Origin(STREAM.id, TWO, 0)],
        "issued": [a_forecast(STREAM, 0)],
        "observations": [a_row(STREAM, 0)],
    }
    commit = together([NOTHING._replace(**{part: parts[part]}), a_push(OTHER, 1)])
    with pytest.raises(Outrun):
        log.commit(commit)
    assert everything(log) == before


def test_the_streams_of_a_commit_need_not_all_advance(log: Log) -> None:
    log.commit(together([a_push(STREAM, 0), a_push(OTHER, 0)]))
    log.commit(together([NOTHING._replace(origins=[Origin(STREAM.id, TWO, 0)]), a_push(OTHER, 1)]))
    assert log.origins([STREAM.id, OTHER.id], TWO) == [0, None]

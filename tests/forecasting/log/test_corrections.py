"""A correction replaces what follows from a row, keeps the row as it was, and is written all or not at all."""

from __future__ import annotations

import pytest

from forecasting.errors import Outrun
from forecasting.log.interface import Log
from forecasting.log.records import Correction
from tests.forecasting.log.examples import (
    ONE,
    TWO,
    a_correction,
    a_forecast,
    a_push,
    a_row,
    a_snapshot,
    a_stream,
    an_advance,
    number,
    together,
)

STREAM, OTHER = a_stream(1), a_stream(2)


@pytest.fixture
def filled(log: Log) -> Log:
    """Return a log of two streams of five rows, with a snapshot behind each of both versions."""
    snapshots = [[a_snapshot(of, seq, version) for seq in range(5) for version in (ONE, TWO)] for of in (STREAM, OTHER)]
    pushes = [a_push(of, 0, 4, snapshots=some) for of, some in zip((STREAM, OTHER), snapshots, strict=True)]
    log.commit(together(pushes))
    return log


def test_a_row_is_corrected_with_all_that_follows(filled: Log) -> None:
    later = {3: b"score of 3", 4: None}
    filled.correct(a_correction(STREAM, 2, 4, later, snapshots=[a_snapshot(STREAM, 4, TWO, b"rebuilt")]))
    rows = filled.rows([(STREAM.id, 0, 9)])[0]
    assert rows == [
        a_row(STREAM, 0),
        a_row(STREAM, 1),
        a_row(STREAM, 2, values=number(-1), revision=1),
        a_row(STREAM, 3, score=b"score of 3"),
        a_row(STREAM, 4, score=None),
    ]
    assert filled.issued([(STREAM.id, 0, 9)])[0] == [
        *(a_forecast(STREAM, seq) for seq in (0, 1)),
        *(a_forecast(STREAM, seq, values=b"anew", revised=True) for seq in (2, 3, 4)),
    ]
    stands = filled.find([STREAM.key])[0]
    assert stands is not None
    assert (stands.seq, stands.epoch, stands.tracker) == (4, 1, b"corrected")


def test_snapshots_at_and_behind_the_row_are_those_of_the_correction(filled: Log) -> None:
    filled.correct(a_correction(STREAM, 2, 4, snapshots=[a_snapshot(STREAM, 4, TWO, b"rebuilt")]))
    newest = [filled.snapshots([(STREAM.id, 4)], version)[0] for version in (ONE, TWO)]
    assert newest == [a_snapshot(STREAM, 1), a_snapshot(STREAM, 4, TWO, b"rebuilt")]
    assert filled.snapshots([(STREAM.id, 3)], TWO) == [a_snapshot(STREAM, 1, TWO)]


def test_earlier_versions_of_a_row_are_kept_in_order(filled: Log) -> None:
    filled.correct(a_correction(STREAM, 2, 4))
    again = a_row(STREAM, 2, values=number(-2), revision=2, score=b"again", arrived=999)
    filled.correct(a_correction(STREAM, 2, 4, observation=again, advance=an_advance(STREAM, 4, 4, epoch=1)))
    assert filled.versions(STREAM.id, 2) == [a_row(STREAM, 2), a_row(STREAM, 2, values=number(-1), revision=1)]
    assert filled.rows([(STREAM.id, 2, 2)]) == [[again]]
    assert filled.versions(STREAM.id, 1) == filled.versions(OTHER.id, 2) == []


def test_another_stream_stays_as_it_is(filled: Log) -> None:
    filled.correct(a_correction(STREAM, 0, 4, {1: b"x"}))
    assert filled.rows([(OTHER.id, 0, 9)])[0] == [a_row(OTHER, seq) for seq in range(5)]
    assert filled.issued([(OTHER.id, 0, 9)])[0] == [a_forecast(OTHER, seq) for seq in range(5)]
    assert filled.snapshots([(OTHER.id, 9)], ONE) == [a_snapshot(OTHER, 4)]


def test_a_push_made_before_a_correction_comes_too_late_behind_it(filled: Log) -> None:
    filled.correct(a_correction(STREAM, 2, 4))
    with pytest.raises(Outrun):
        filled.commit(a_push(STREAM, 5))
    filled.commit(a_push(STREAM, 5, advanced=[an_advance(STREAM, 4, 5, epoch=1)]))
    stands = filled.find([STREAM.key])[0]
    assert stands is not None
    assert (stands.seq, stands.epoch) == (5, 1)


@pytest.mark.parametrize(
    "late",
    [
        a_correction(STREAM, 2, 3),
        a_correction(STREAM, 2, 4, advance=an_advance(STREAM, 4, 4, epoch=1)),
        a_correction(a_stream(3), 2, 4),
        a_correction(STREAM, 2, 4, observation=a_row(STREAM, 7, revision=1)),
    ],
    ids=["stands elsewhere", "corrected since", "erased", "pruned"],
)
def test_a_correction_that_is_late_changes_nothing(filled: Log, late: Correction) -> None:
    with pytest.raises(Outrun):
        filled.correct(late)
    assert filled.rows([(STREAM.id, 0, 9)])[0] == [a_row(STREAM, seq) for seq in range(5)]
    assert filled.snapshots([(STREAM.id, 9)], ONE) == [a_snapshot(STREAM, 4)]
    assert filled.versions(STREAM.id, 2) == []
    stands = filled.find([STREAM.key])[0]
    assert stands is not None
    assert (stands.seq, stands.epoch) == (4, 0)

"""A row is found by its time in few looks, whatever the times are."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from forecasting.log.searching import Mark, find_rows

HOUR = 3_600_000_000_000
TIMES = st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=60, unique=True).map(sorted)


class Rows:
    """Rows of increasing times, that count how often they are looked at."""

    def __init__(self, times: Sequence[int], first: int = 0) -> None:
        self.times = dict(enumerate(times, first))
        self.looks = 0

    def find(self, wanted: Sequence[int]) -> list[int | None]:
        marks = [Mark(seq, self.times[seq]) for seq in (min(self.times), max(self.times))]
        return find_rows(wanted, *marks, self.look)

    def look(self, seqs: Sequence[int]) -> dict[int, int]:
        self.looks += 1
        return {seq: self.times[seq] for seq in seqs if seq in self.times}


@given(TIMES, st.lists(st.integers(-(2**62), 2**62), max_size=5), st.integers(0, 9))
def test_every_row_is_found_and_no_other(times: list[int], others: list[int], first: int) -> None:
    rows = Rows(times, first)
    by_time = {time: seq for seq, time in rows.times.items()}
    wanted = [*reversed(times), *others, *(time + 1 for time in times)]
    assert rows.find(wanted) == [by_time.get(time) for time in wanted]
    assert rows.looks <= 16, "every other guess halves what is left of 60 rows"


def test_on_a_grid_one_look_is_enough() -> None:
    rows = Rows([at * HOUR for at in range(100_000)])
    assert rows.find([at * HOUR for at in range(7, 100_000, 999)]) == list(range(7, 100_000, 999))
    assert rows.looks == 1


def test_in_months_a_few_looks_are() -> None:
    days = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    rows = Rows([24 * HOUR * (365 * (at // 12) + sum(days[: at % 12])) for at in range(1200)])
    assert rows.find(list(rows.times.values())) == list(range(1200))
    assert rows.looks <= 6


def test_a_row_that_is_deleted_meanwhile_is_not_found_and_others_are() -> None:
    rows = Rows([at * at * HOUR for at in range(100)])
    ends = Mark(0, 0), Mark(99, 99 * 99 * HOUR)
    for seq in range(40):
        del rows.times[seq]
    found = find_rows([at * at * HOUR for at in (10, 41, 70)], *ends, rows.look)
    assert found == [None, 41, 70]

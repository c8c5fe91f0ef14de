from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from forecasting.filling import LONGEST_ABSENCE, Filled, fill, fill_alone, nothing, past_after

NAN = float("nan")
CELLS = st.one_of(st.just(NAN), st.integers(-9, 9).map(float))


def column(*cells: float) -> Tensor:
    return torch.tensor(cells)[:, None]


def listed(filled: Filled) -> tuple[list[float], list[float], list[float]]:
    return tuple(part[0, :, 0].tolist() for part in (filled.level, filled.absence, filled.changes))  # type: ignore[return-value]


def test_a_missing_cell_holds_the_last_value_seen_and_says_since_when() -> None:
    level, absence, changes = listed(fill_alone(column(1.0, NAN, NAN, 4.0, 3.0)))
    assert level == [1.0, 1.0, 1.0, 4.0, 3.0]
    assert absence == [0.0, 1.0, 2.0, 0.0, 0.0]
    assert changes == [0.0, 0.0, 0.0, 3.0, -1.0]


def test_before_the_first_value_the_level_is_zero_and_no_change_is_known() -> None:
    level, absence, changes = listed(fill_alone(column(NAN, NAN, 5.0, 6.0)))
    assert level == [0.0, 0.0, 5.0, 6.0]
    assert absence == [LONGEST_ABSENCE, LONGEST_ABSENCE, 0.0, 0.0]
    assert changes == [0.0, 0.0, 0.0, 1.0]


def test_observed_cells_are_the_ones_that_came() -> None:
    assert fill_alone(column(NAN, 5.0, NAN)).observed[0, :, 0].tolist() == [False, True, False]


def test_changes_reach_as_far_back_as_the_lags_and_are_zero_before_the_first_row() -> None:
    filled = fill_alone(column(1.0, 2.0, 4.0), lags=3)
    assert filled.changes[0, :, 0].tolist() == [0.0, 0.0, 0.0, 1.0, 2.0]


def by_hand(cells: list[float]) -> tuple[list[float], list[float], list[float]]:
    level, absence, seen, rows = 0.0, LONGEST_ABSENCE, False, []
    for cell in cells:
        known = cell == cell  # noqa: PLR0124 - NaN is not itself
        change = cell - level if known and seen else 0.0
        level, absence = (cell, 0.0) if known else (level, min(absence + 1, LONGEST_ABSENCE))
        seen = seen or known
        rows.append((level, absence, change))
    return tuple(list(part) for part in zip(*rows, strict=True))  # type: ignore[return-value]


@given(st.lists(CELLS, min_size=1, max_size=30))
@settings(deadline=None)
def test_filling_equals_a_loop_over_rows(cells: list[float]) -> None:
    assert listed(fill_alone(column(*cells))) == by_hand(cells)


@given(st.lists(CELLS, min_size=2, max_size=30), st.integers(1, 29), st.integers(1, 4))
@settings(deadline=None)
def test_filling_may_be_cut_anywhere(cells: list[float], where: int, lags: int) -> None:
    values, middle = column(*cells)[None], min(where, len(cells) - 1)
    start = nothing(1, 1, lags)
    whole, first = fill(values, start), fill(values[:, :middle], start)
    between = past_after(first, start)
    second = fill(values[:, middle:], between)
    for ours, theirs in zip(second[:3], whole[:3], strict=True):
        assert torch.equal(ours, theirs[:, middle:])
    assert torch.equal(second.changes, whole.changes[:, middle:])
    for ours, theirs in zip(past_after(second, between), past_after(whole, start), strict=True):
        assert torch.equal(ours, theirs)


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=12))
@settings(deadline=None)
def test_columns_and_series_are_filled_each_by_itself(rows: list[list[float]]) -> None:
    values = torch.tensor(rows)
    whole = fill_alone(values, lags=2)
    batch = fill(torch.stack([values, values.flip(1)]), nothing(2, 3, 2))
    for place, part in enumerate(whole):
        assert torch.equal(batch[place], torch.cat([part, part.flip(2)]))
        for c in range(3):
            assert torch.equal(fill_alone(values[:, [c]], lags=2)[place], part[..., [c]])

"""The laws of a forecaster, for every cell: what may and what may not change a forecast."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.network import LONGEST_ABSENCE, Forecast, Forecaster, Rows, State
from tests.forecasting.panels import CELLS, Case, cases, close, forecaster, tensors

few = settings(max_examples=15, deadline=None)
every_cell = pytest.mark.parametrize("cell", CELLS)


def one_by_one(network: Forecaster, rows: Rows, state: State) -> tuple[Forecast, State]:
    made = []
    for values, calendar in zip(rows.values.unbind(1), rows.calendar.unbind(1), strict=True):
        forecast, state = network.step(values, calendar, state)
        made.append(forecast)
    return Forecast(*(torch.stack(parts, dim=1) for parts in zip(*made, strict=True))), state


def part(rows: Rows, start: int, stop: int) -> Rows:
    return Rows(*(one[:, start:stop] for one in rows))


def changed(rows: Rows, at: tuple[int, ...] | tuple[int, slice], value: float) -> Rows:
    values = rows.values.clone()
    values[at] = value
    return rows._replace(values=values)


def unrolled(network: Forecaster, rows: Rows) -> Forecast:
    return network.unroll(rows, network.initial_state(len(rows.values)))[0]


@every_cell
@given(case=cases())
@few
def test_k_steps_equal_one_unroll_over_the_same_rows(cell: str, case: Case) -> None:
    network = case.forecaster(cell)
    start = network.initial_state(len(case.rows.values))
    stepped, after_steps = one_by_one(network, case.rows, start)
    whole, after = network.unroll(case.rows, start)
    close(tuple(stepped), tuple(whole))
    close(tensors(after_steps), tensors(after))


@every_cell
@given(case=cases(), where=st.floats(0, 1))
@few
def test_an_unroll_may_be_cut_anywhere(cell: str, case: Case, where: float) -> None:
    network, time = case.forecaster(cell), case.rows.values.shape[1]
    middle = 1 + int(where * (time - 2))
    start = network.initial_state(len(case.rows.values))
    whole, after = network.unroll(case.rows, start)
    first, between = network.unroll(part(case.rows, 0, middle), start)
    second, end = network.unroll(part(case.rows, middle, time), between)
    close(tuple(torch.cat(both, dim=1) for both in zip(first, second, strict=True)), tuple(whole))
    close(tensors(end), tensors(after))


@every_cell
def test_steps_equal_the_unroll_past_the_longest_absence(cell: str) -> None:
    network = forecaster(cell=cell, members=1)
    values = torch.full((1, int(LONGEST_ABSENCE) + 8, 2), torch.nan)
    values[0, 0] = torch.tensor([1.0, -2.0])
    values[0, -3, 0] = 0.5
    rows, start = Rows(values, torch.zeros(*values.shape[:2], 0)), network.initial_state(1)
    stepped, after_steps = one_by_one(network, rows, start)
    whole, after = network.unroll(rows, start)
    close(tuple(stepped), tuple(whole))
    close(tensors(after_steps), tensors(after))
    assert after.absence.tolist() == [[2.0, LONGEST_ABSENCE]]


@every_cell
@given(case=cases())
@few
def test_later_rows_change_no_earlier_forecast(cell: str, case: Case) -> None:
    network, time = case.forecaster(cell), case.rows.values.shape[1]
    before = unrolled(network, case.rows)
    for later in range(1, time):
        after = unrolled(network, changed(case.rows, (slice(None), slice(later, None)), 7.0))
        assert all(torch.equal(a[:, :later], b[:, :later]) for a, b in zip(before, after, strict=True))


@every_cell
@given(case=cases())
@few
def test_the_newest_row_changes_the_next_forecast_in_every_column(cell: str, case: Case) -> None:
    network = case.forecaster(cell)
    before = unrolled(network, changed(case.rows, (slice(None), -1), 0.0))
    after = unrolled(network, changed(case.rows, (slice(None), -1), 1.0))
    assert all((a[:, -1] != b[:, -1]).all() for a, b in zip(before, after, strict=True))


@every_cell
@given(case=cases())
@few
def test_the_order_of_a_batch_does_not_matter(cell: str, case: Case) -> None:
    network = case.forecaster(cell)
    turned = Rows(*(one.flip(0) for one in case.rows))
    close(tuple(unrolled(network, turned)), tuple(one.flip(0) for one in unrolled(network, case.rows)))


@every_cell
@given(case=cases())
@few
def test_a_series_is_forecast_as_if_it_were_alone(cell: str, case: Case) -> None:
    network = case.forecaster(cell)
    together = unrolled(network, case.rows)
    for i in range(len(case.rows.values)):
        alone = unrolled(network, Rows(*(one[[i]] for one in case.rows)))
        close(tuple(alone), tuple(one[[i]] for one in together))


@every_cell
@given(case=cases(), value=st.sampled_from([float("nan"), 3.0]))
@few
def test_a_cell_of_one_series_changes_no_other_series(cell: str, case: Case, value: float) -> None:
    network = case.forecaster(cell)
    before, after = unrolled(network, case.rows), unrolled(network, changed(case.rows, (0, 1, 0), value))
    assert all(torch.equal(a[1:], b[1:]) for a, b in zip(before, after, strict=True))


@every_cell
@given(case=cases())
@few
def test_neither_rows_nor_state_are_written_to(cell: str, case: Case) -> None:
    network = case.forecaster(cell)
    _, state = network.unroll(case.rows, network.initial_state(len(case.rows.values)))
    kept = [one.clone() for one in (*case.rows, *tensors(state))]
    network.unroll(case.rows, state)
    network.step(case.rows.values[:, 0], case.rows.calendar[:, 0], state)
    network.forecast_last(case.rows, state)
    assert all(
        torch.equal(a.nan_to_num(-9.0), b.nan_to_num(-9.0))
        for a, b in zip(kept, (*case.rows, *tensors(state)), strict=True)
    )


@every_cell
@given(case=cases())
@few
def test_the_forecast_at_the_last_row_is_the_last_of_the_unroll(cell: str, case: Case) -> None:
    network = case.forecaster(cell)
    start = network.initial_state(len(case.rows.values))
    last, after_last = network.forecast_last(case.rows, start)
    whole, after = network.unroll(case.rows, start)
    close(tuple(last), tuple(one[:, -1] for one in whole))
    close(tensors(after_last), tensors(after))

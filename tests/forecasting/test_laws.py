"""The laws of a forecaster, for every cell: what may and what may not change a forecast."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from forecasting.filling import LONGEST_ABSENCE
from forecasting.members import VIEWS, WIDEST, Member, Static
from forecasting.network import Forecast, Forecaster, Rows
from tests.forecasting.cases import CATEGORIES, Case, cases, one_by_one, rows_of
from tests.forecasting.panels import CELLS, close, forecaster, tensors

few = settings(max_examples=15, deadline=None)
every_cell = pytest.mark.parametrize("cell", CELLS)


def changed(of: Tensor, at: tuple[int | slice, ...], value: float) -> Tensor:
    copied = of.clone()
    copied[at] = value
    return copied


def same(ours: Forecast, theirs: Forecast, *where: int | slice) -> bool:
    return all(torch.equal(a[where], b[where]) for a, b in zip(ours, theirs, strict=True))


@every_cell
@given(case=cases())
@few
def test_k_steps_equal_one_unroll_over_the_same_rows(cell: str, case: Case) -> None:
    network = case.forecaster(cell)
    start = network.initial_state(case.batch, case.static)
    stepped, after_steps = one_by_one(network, case.rows, start)
    whole, after = network.unroll(case.rows, start)
    close(tuple(stepped), tuple(whole))
    close(tensors(after_steps), tensors(after))


@every_cell
@given(case=cases(), where=st.floats(0, 1))
@few
def test_an_unroll_may_be_cut_anywhere(cell: str, case: Case, where: float) -> None:
    network, middle = case.forecaster(cell), 1 + int(where * (case.time - 2))
    start = network.initial_state(case.batch, case.static)
    whole, after = network.unroll(case.rows, start)
    first, between = network.unroll(case.rows.part(0, middle), start)
    second, end = network.unroll(case.rows.part(middle, case.time), between)
    close(tuple(torch.cat(both, dim=1) for both in zip(first, second, strict=True)), tuple(whole))
    close(tensors(end), tensors(after))


@pytest.mark.parametrize(("cell", "channels"), [("lstm", "joint"), ("gru", "independent"), ("rnn", "joint")])
def test_steps_equal_the_unroll_past_the_longest_absence(cell: str, channels: str) -> None:
    network = forecaster(cell=cell, channels=channels, members=1)
    values = torch.full((1, int(LONGEST_ABSENCE) + 8, 2), torch.nan)
    values[0, 0] = torch.tensor([1.0, -2.0])
    values[0, -3, 0] = 0.5
    rows, start = rows_of(values), network.initial_state(1)
    stepped, after_steps = one_by_one(network, rows, start)
    whole, after = network.unroll(rows, start)
    close(tuple(stepped), tuple(whole))
    close(tensors(after_steps), tensors(after))
    assert after.past.absence.tolist() == [[2.0, LONGEST_ABSENCE]]


@every_cell
@given(case=cases())
@few
def test_later_rows_change_no_earlier_forecast(cell: str, case: Case) -> None:
    network = case.forecaster(cell)
    before = case.unrolled(network)
    for later in range(1, case.time):
        since = (slice(None), slice(later, None))
        rows = case.rows._replace(
            values=changed(case.rows.values, since, 7.0), calendar=changed(case.rows.calendar, since, 7.0)
        )
        assert same(case.unrolled(network, rows), before, slice(None), slice(later))


@every_cell
@given(case=cases())
@few
def test_the_newest_row_changes_the_next_forecast_in_every_column(cell: str, case: Case) -> None:
    network, newest = case.forecaster(cell), (slice(None), -1)
    before, after = (
        case.unrolled(network, case.rows._replace(values=changed(case.rows.values, newest, value)))
        for value in (0.0, 1.0)
    )
    assert (before.point[:, -1] != after.point[:, -1]).all()
    assert (before.median[:, -1] != after.median[:, -1]).all()


@every_cell
@pytest.mark.parametrize("channels", ["joint", "independent"])
def test_the_newest_row_changes_every_step_of_a_long_forecast(cell: str, channels: str) -> None:
    network, values = forecaster(cell=cell, channels=channels, horizon=8), torch.randn(1, 30, 2)
    before, after = (
        network.forecast_last(rows_of(changed(values, (0, -1), value), horizon=8), network.initial_state(1))[0]
        for value in (0.0, 1.0)
    )
    assert before.point.shape == (1, 8, 2)
    assert all((a != b).all() for a, b in zip(before, after, strict=True))


def moved_by_known(network: Forecaster, case: Case, at: int) -> Tensor:
    """Return which points, by (batch, time, horizon, target), the known covariates of one row change."""
    before, after = (
        case.unrolled(network, case.rows._replace(known=changed(case.rows.known, (slice(None), at), value)))
        for value in (0.0, 1.0)
    )
    return before.point != after.point


@every_cell
@given(case=cases(known=2), row=st.floats(0, 1))
@few
def test_of_the_covariates_known_in_advance_a_step_sees_those_up_to_the_origin_and_its_own(
    cell: str, case: Case, row: float
) -> None:
    at = int(row * (case.time + case.horizon - 1))
    moved = moved_by_known(case.forecaster(cell), case, at)
    for t in range(case.time):
        for step in range(1, case.horizon + 1):
            here = moved[:, t, step - 1]
            if at in (t, t + step):
                assert here.all()
            elif at > t:
                assert not here.any()


@every_cell
@pytest.mark.parametrize("silent", ["road", "members"])
@given(case=cases(known=2), later=st.integers(0, 3))
@few
def test_road_and_members_each_see_a_covariate_known_in_advance(cell: str, silent: str, case: Case, later: int) -> None:
    network, later = case.forecaster(cell), min(later, case.horizon)
    for buffer in network.linear.buffers() if silent == "road" else [network.spread]:
        buffer.zero_()
    moved = moved_by_known(network, case, case.time - 1 + later)[:, -1]
    for step in range(1, case.horizon + 1):
        assert moved[:, step - 1].all() == (later in (0, step))


def unmasked(network: Forecaster) -> Forecaster:
    """Make a network blind to whether a known covariate is missing."""
    a = network.architecture
    own = VIEWS * a.seen if a.channels == "joint" else VIEWS * (1 + a.seen - a.targets) + min(a.targets, WIDEST)
    first = own + a.calendar + a.known
    for member in network.members:
        assert isinstance(member, Member)
        member.cell.rnn.get_parameter("weight_ih_l0")[:, first : first + a.known] = 0.0
        member.ahead.known.weight[:, a.known :] = 0.0
    return network


@every_cell
@given(case=cases(known=2))
@few
def test_a_missing_known_covariate_is_a_zero_that_is_masked(cell: str, case: Case) -> None:
    network = case.forecaster(cell)
    place = (slice(None), slice(-case.horizon, None))
    missing, zero = (case.rows._replace(known=changed(case.rows.known, place, value)) for value in (float("nan"), 0.0))
    assert not same(case.unrolled(network, missing), case.unrolled(network, zero))
    blind = unmasked(network)
    assert same(case.unrolled(blind, missing), case.unrolled(blind, zero))


@every_cell
@given(case=cases(), power=st.integers(-6, 6))
@few
def test_the_scale_of_an_error_is_a_number_above_zero(cell: str, case: Case, power: int) -> None:
    network = case.forecaster(cell)
    said = case.unrolled(network, Rows(*(10.0**power * one for one in case.rows)))
    assert all(one.isfinite().all() for one in said)
    assert (said.scale > 0).all()


@every_cell
@given(case=cases(statics=2, categories=CATEGORIES))
@few
def test_a_series_of_which_nothing_is_known_is_the_one_whose_codes_and_numbers_are_zero(cell: str, case: Case) -> None:
    network = case.forecaster(cell)
    unknown = Static(*(torch.zeros_like(one) for one in case.static))
    bare, _ = network.unroll(case.rows, network.initial_state(case.batch))
    assert same(bare, network.unroll(case.rows, network.initial_state(case.batch, unknown))[0])


@every_cell
@given(case=cases(statics=2, categories=CATEGORIES))
@few
def test_every_static_covariate_counts(cell: str, case: Case) -> None:
    network, before = case.forecaster(cell), case.unrolled(case.forecaster(cell))
    numbers, codes = case.static
    others = [Static(numbers + 1, codes)]
    for column in range(codes.shape[1]):
        here = torch.arange(codes.shape[1]) == column
        others.append(Static(numbers, torch.where(here, (codes + 1) % min(CATEGORIES), codes)))
    for other in others:
        after, _ = network.unroll(case.rows, network.initial_state(case.batch, other))
        assert (before.point != after.point).any(dim=(1, 2, 3)).all()


def permuted(network: Forecaster, order: list[int]) -> Forecaster:
    """Rename the targets of a network with independent channels: embeddings, linear road and what is told by target."""
    turned, a = copy.deepcopy(network), network.architecture
    seen = order + list(range(a.targets, a.seen))
    for member in turned.members:
        assert isinstance(member, Member)
        member.channel.weight.copy_(member.channel.weight[order])
    for name in ("changes", "level", "calendar", "now", "bias"):
        buffer = turned.linear.get_buffer(name)
        by_target = buffer.reshape(a.horizon, a.targets, *buffer.shape[1:])[:, order]
        by_seen = by_target[:, :, seen] if name in ("changes", "level") else by_target
        buffer.copy_(by_seen.reshape(buffer.shape))
    turned.linear.ahead.copy_(turned.linear.ahead[:, order])
    for buffer in (turned.share, turned.spread, turned.noise):
        buffer.copy_(buffer[..., order])
    return turned


@every_cell
@given(case=cases(channels="independent", columns=3), order=st.permutations(range(3)))
@few
def test_independent_channels_have_no_order(cell: str, case: Case, order: list[int]) -> None:
    network, past = case.forecaster(cell), list(range(3, 3 + case.fields["past"]))
    rows = case.rows._replace(values=case.rows.values[..., order + past])
    said, wanted = case.unrolled(permuted(network, order), rows), case.unrolled(network)
    close(tuple(said), tuple(one[..., order] for one in wanted))


@every_cell
@given(case=cases(channels="independent", columns=3), other=st.integers(0, 2))
@few
def test_independent_channels_without_a_road_see_nothing_of_each_other(cell: str, case: Case, other: int) -> None:
    network = case.forecaster(cell)
    for buffer in network.linear.buffers():
        buffer.zero_()
    rows = case.rows._replace(values=changed(case.rows.values, (slice(None), slice(1, None), other), 3.0))
    before, after = case.unrolled(network), case.unrolled(network, rows)
    alone = [target for target in range(3) if target != other]
    assert all(torch.equal(a[..., alone], b[..., alone]) for a, b in zip(before, after, strict=True))
    assert (before.point[:, 1:, :, other] != after.point[:, 1:, :, other]).any()


@every_cell
@pytest.mark.parametrize("channels", ["joint", "independent"])
def test_a_past_covariate_is_seen_by_every_target(cell: str, channels: str) -> None:
    network, values = forecaster(cell=cell, channels=channels, past=1), torch.randn(1, 9, 3)
    for buffer in network.linear.buffers():
        buffer.zero_()
    before, after = (
        network.unroll(rows_of(changed(values, (0, 4, 2), value)), network.initial_state(1))[0] for value in (0.0, 1.0)
    )
    assert (before.point[:, 4:] != after.point[:, 4:]).all()


@every_cell
@given(case=cases())
@few
def test_the_order_of_a_batch_does_not_matter(cell: str, case: Case) -> None:
    network = case.forecaster(cell)
    turned, static = Rows(*(one.flip(0) for one in case.rows)), Static(*(one.flip(0) for one in case.static))
    said, _ = network.unroll(turned, network.initial_state(case.batch, static))
    close(tuple(said), tuple(one.flip(0) for one in case.unrolled(network)))


@every_cell
@given(case=cases())
@few
def test_a_series_is_forecast_as_if_it_were_alone(cell: str, case: Case) -> None:
    network = case.forecaster(cell)
    together = case.unrolled(network)
    for i in range(case.batch):
        static = Static(*(one[[i]] for one in case.static))
        alone, _ = network.unroll(Rows(*(one[[i]] for one in case.rows)), network.initial_state(1, static))
        close(tuple(alone), tuple(one[[i]] for one in together))


@every_cell
@given(case=cases(), value=st.sampled_from([float("nan"), 3.0]))
@few
def test_a_cell_of_one_series_changes_no_other_series(cell: str, case: Case, value: float) -> None:
    network = case.forecaster(cell)
    after = case.unrolled(network, case.rows._replace(values=changed(case.rows.values, (0, 1, 0), value)))
    assert same(case.unrolled(network), after, slice(1, None))


@every_cell
@given(case=cases())
@few
def test_neither_rows_nor_state_are_written_to(cell: str, case: Case) -> None:
    network = case.forecaster(cell)
    _, state = network.unroll(case.rows, network.initial_state(case.batch, case.static))
    kept = [one.clone() for one in (*case.rows, *tensors(state))]
    network.unroll(case.rows, state)
    one_by_one(network, case.rows.part(0, 1), state)
    network.forecast_last(case.rows, state)
    now = (*case.rows, *tensors(state))
    assert all(torch.equal(a.nan_to_num(-9.0), b.nan_to_num(-9.0)) for a, b in zip(kept, now, strict=True))


@every_cell
@given(case=cases())
@few
def test_the_forecast_at_the_last_row_is_the_last_of_the_unroll(cell: str, case: Case) -> None:
    network = case.forecaster(cell)
    start = network.initial_state(case.batch, case.static)
    last, after_last = network.forecast_last(case.rows, start)
    whole, after = network.unroll(case.rows, start)
    close(tuple(last), tuple(one[:, -1] for one in whole))
    close(tensors(after_last), tensors(after))


@every_cell
@given(case=cases(), start=st.integers(0, 5), step=st.integers(1, 4))
@few
def test_the_forecasts_at_some_positions_are_those_of_the_unroll(cell: str, case: Case, start: int, step: int) -> None:
    network, positions = case.forecaster(cell), range(min(start, case.time - 1), case.time, step)
    begin = network.initial_state(case.batch, case.static)
    some, after_some = network.unroll_members(case.rows, begin, positions)
    every, after = network.unroll_members(case.rows, begin)
    close(some, [made[:, positions] for made in every])
    close(tensors(after_some), tensors(after))

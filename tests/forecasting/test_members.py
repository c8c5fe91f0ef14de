from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from forecasting.filling import fill, nothing
from forecasting.members import OUTPUTS, WIDEST, Ahead, Member, Seen, Static
from forecasting.network import Rows
from tests.forecasting.cases import Case, cases, rows_of
from tests.forecasting.panels import CELLS, architecture, close, forecaster, tensors

few = settings(max_examples=15, deadline=None)
every_cell = pytest.mark.parametrize("cell", CELLS)
both_channels = pytest.mark.parametrize("channels", ["joint", "independent"])


def said_by(member: Member, case: Case, positions: range) -> Tensor:
    """Return what a member says of the rows of a case that has no known covariates."""
    a = member.architecture
    filled = fill(case.rows.values, nothing(case.batch, a.seen, a.lags))
    seen = Seen(filled, case.rows.calendar, case.static)
    made, _ = member(seen, member.initial_state(case.batch), member.kept(case.batch), positions)
    return made  # type: ignore[no-any-return]


@every_cell
@given(case=cases(known=0))
@few
def test_a_member_says_three_things_of_each_position_step_and_target(cell: str, case: Case) -> None:
    member = case.forecaster(cell).members[0]
    assert isinstance(member, Member)
    outputs = (OUTPUTS, case.horizon, case.fields["columns"])
    assert said_by(member, case, range(case.time)).shape == (case.batch, case.time, *outputs)
    assert said_by(member, case, range(1, 2)).shape == (case.batch, 1, *outputs)


@every_cell
@given(case=cases(known=0))
@few
def test_a_new_member_says_nothing(cell: str, case: Case) -> None:
    fields = {name: value for name, value in case.fields.items() if name not in ("columns", "past")}
    member = Member(architecture(case.fields["columns"], case.fields["past"], cell=cell, **fields)).eval()
    assert not said_by(member, case, range(case.time)).any()


@every_cell
@given(case=cases())
@few
def test_every_weight_of_a_member_is_learnt(cell: str, case: Case) -> None:
    network = case.forecaster(cell).requires_grad_()
    said = case.unrolled(network, Rows(*(one.nan_to_num(1.0) for one in case.rows)))
    sum(((part - 3.0) ** 2).sum() for part in said).backward()  # type: ignore[union-attr]
    idle = {name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()}
    assert idle == set()


@both_channels
def test_embeddings_are_as_wide_as_their_categories_and_no_wider_than_a_limit(channels: str) -> None:
    member = Member(architecture(12, channels=channels, categories=(3, 50)))
    assert [tuple(one.weight.shape) for one in member.embeddings] == [(3, 3), (50, WIDEST)]  # type: ignore[union-attr, arg-type]
    if channels == "independent":
        assert member.channel.weight.shape == (12, WIDEST)


@both_channels
@every_cell
def test_the_state_holds_a_row_for_each_series_whatever_the_channels(cell: str, channels: str) -> None:
    member = Member(architecture(3, cell=cell, channels=channels, layers=2))
    folds = 3 if channels == "independent" else 1
    assert {tuple(part.shape) for part in member.initial_state(5)} == {(2, 5, 4 * folds)}


def test_one_cell_is_shared_by_independent_targets() -> None:
    many, few_targets = (Member(architecture(columns, channels="independent")) for columns in (20, 10))
    assert many.cell.rnn.get_parameter("weight_ih_l0").shape == few_targets.cell.rnn.get_parameter("weight_ih_l0").shape
    assert many.head.weight.shape == few_targets.head.weight.shape


@both_channels
def test_what_covariates_known_in_advance_change_is_the_equation_it_says(channels: str) -> None:
    a = architecture(2, channels=channels, known=3, horizon=3)
    made = Ahead(a)
    torch.nn.init.normal_(made.out.weight)
    output, known = torch.randn(2, 5, a.hidden), torch.randn(2, 8, 2 * a.known)
    positions = range(1, 5, 2)
    said = made(output[:, positions], known, positions).detach().reshape(2, 2, OUTPUTS, a.horizon, -1)
    for place, t in enumerate(positions):
        for step in range(1, 4):
            inner = made.context(output[:, t]) + made.known(known[:, t + step])
            wanted = made.out(torch.tanh(inner)).detach().reshape(2, OUTPUTS, -1)
            close(said[:, place, :, step - 1], wanted)


def test_a_static_number_that_is_not_known_is_told_from_one_that_is_zero() -> None:
    network, rows = forecaster(statics=2), rows_of(torch.randn(1, 5, 2))
    no_codes = torch.zeros(1, 0, dtype=torch.int64)
    unknown, zero = (
        network.unroll(rows, network.initial_state(1, Static(torch.tensor([[0.0, mask]]), no_codes)))[0]
        for mask in (0.0, 1.0)
    )
    assert (unknown.point != zero.point).any()


@both_channels
def test_dropout_keeps_its_share_of_outputs_and_their_mean_and_draws_nothing_outside_training(channels: str) -> None:
    member = Member(architecture(3, channels=channels, hidden=50, dropout=0.2))
    folds = 3 if channels == "independent" else 1
    kept = member.kept(100)
    assert kept is not None
    assert kept.shape == (100 * folds, 1, 50)
    assert sorted(set(kept.flatten().tolist())) == [0.0, pytest.approx(1.25)]
    assert kept.mean().item() == pytest.approx(1.0, abs=0.05)
    assert member.eval().kept(100) is None
    assert Member(architecture(3, channels=channels, dropout=0.0)).kept(100) is None


def test_members_side_by_side_say_what_they_say_one_after_another() -> None:
    network = forecaster(cell="lstm", hidden=16, dropout=0.5, members=5).train()
    rows, state = rows_of(torch.randn(3, 20, 2)), network.initial_state(3)
    torch.manual_seed(0)
    alone, after = network.unroll_members(rows, state)
    torch.manual_seed(0)
    with ThreadPoolExecutor(4) as threads:
        together, also = network.unroll_members(rows, state, each=threads.map)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(together, alone, strict=True))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(tensors(also), tensors(after), strict=True))


def test_members_side_by_side_keep_no_gradient_where_none_is_wanted() -> None:
    network, rows = forecaster(members=3).train().requires_grad_(), rows_of(torch.randn(2, 5, 2))
    with ThreadPoolExecutor(3) as threads:
        with torch.no_grad():
            _, after = network.unroll_members(rows, network.initial_state(2), each=threads.map)
        made, _ = network.unroll_members(rows, network.initial_state(2), each=threads.map)
    assert not any(part.requires_grad for part in tensors(after))
    assert all(one.requires_grad for one in made)


def test_dropout_leaves_out_the_same_numbers_at_every_position_of_a_sequence() -> None:
    network = forecaster(cell="rnn", hidden=16, dropout=0.5, members=1).train()
    for name in ("weight_ih_l0", "weight_hh_l0"):
        network.get_parameter(f"members.0.cell.rnn.{name}").zero_()  # what the cell says is the same at every row
    for buffer in network.linear.buffers():
        buffer.zero_()
    rows = rows_of(torch.zeros(8, 5, 2))
    said = network.unroll(rows, network.initial_state(8))[0].point
    assert torch.equal(said, said[:, :1].expand_as(said))
    assert len(said[:, 0].unique(dim=0)) > 4

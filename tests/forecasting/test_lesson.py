"""The training of one network: what the watcher hears, when it ends, and the loss."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from forecasting.errors import Diverged
from forecasting.lesson import PROBATION, SCALE_WEIGHT, lesson_loss
from forecasting.training import fit
from tests.forecasting.fits import Onlooker, as_trained, bent, eager, fitted, floors, judged, small_panel, streamed
from tests.forecasting.panels import HOURLY, close, plain, project, walk, with_train

NAN = float("nan")
EPOCHS = 3


def said(*outputs: tuple[float, float, float]) -> Tensor:
    """Return point, median and log scale of one series at some positions, one step ahead, for one target."""
    return torch.tensor(outputs).reshape(1, -1, 3, 1, 1)


def cells_of(made: Tensor, came: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Take a loss apart: what was said of each target, and the target."""
    outputs = made.movedim(2, -1).reshape(-1, 1, 1, 3, 1, 1)
    return list(zip(outputs, came.reshape(-1, 1, 1, 1, 1), strict=True))


def counts_of(steps: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Cut what was heard of batches where their count starts again."""
    starts = [place for place, (done, _) in enumerate(steps) if done == 1]
    return [steps[start:stop] for start, stop in zip(starts, [*starts[1:], len(steps)], strict=True)]


@pytest.mark.parametrize(
    ("channels", "ways"), [("auto", {"independent", "joint"}), ("independent", {"independent"}), ("joint", {"joint"})]
)
def test_the_watcher_hears_every_batch_and_every_epoch_of_each_network(channels: str, ways: set[str]) -> None:
    watcher = Onlooker()
    found = fitted(project(model={"channels": channels}, train={"epochs": EPOCHS}), watcher)
    counts = counts_of(watcher.steps)
    assert len(counts) == len(ways)
    for count in counts:
        assert count == [(done, len(count)) for done in range(1, len(count) + 1)]  # no epoch was left out
        assert len(count) >= EPOCHS
    assert tuple(watcher.epochs) == found.epochs
    heard = [(epoch.channels, epoch.epoch) for epoch in watcher.epochs]
    order = list(dict(heard))
    assert set(order) == ways
    assert heard == [(way, number) for way in order for number in range(EPOCHS + 1)]


def test_the_watcher_hears_of_the_linear_road_before_any_batch() -> None:
    heard: list[str] = []

    class Listener(Onlooker):
        def step(self, done: int, most: int) -> None:
            super().step(done, most)
            heard.append("batch")

        def epoch(self, epoch: object) -> None:
            heard.append(f"epoch {epoch.epoch}")  # type: ignore[attr-defined]

    fitted(project(model={"channels": "joint"}, train={"epochs": 1}), Listener())
    assert heard == ["epoch 0", *["batch"] * (len(heard) - 2), "epoch 1"]
    assert len(heard) > 2


def test_the_loss_is_said_of_every_epoch_but_the_one_before_training_and_falls() -> None:
    found = fit(eager(), [plain(bent(1), 500, 600, HOURLY)], Onlooker())
    losses = [epoch.train_loss for epoch in found.epochs]
    assert losses[0] is None
    assert all(loss is not None and math.isfinite(loss) for loss in losses[1:])
    assert losses[-1] < losses[1] / 2  # type: ignore[operator]


def test_the_loss_is_said_of_one_member() -> None:
    """Before they learn, all members say the same: nothing."""
    train = {"learning_rate": 1e-9, "epochs": 1}
    one, three = (fitted(project(train={**train, "members": members})).epochs[1].train_loss for members in (1, 3))
    assert one == pytest.approx(three, rel=1e-5)


@pytest.mark.parametrize("patience", [2, 4])
def test_training_ends_when_validation_grows_no_better(patience: int) -> None:
    train = {"learning_rate": 1e-9, "epochs": 50, "patience": patience}
    watcher = Onlooker()
    found = fitted(project(model={"channels": "joint"}, train=train), watcher)
    assert len(found.epochs) == 1 + 1 + patience  # the road alone, an epoch to compare with, and those that were borne
    done, most = watcher.steps[-1]
    assert done < most
    assert not found.stopped


@pytest.mark.parametrize("patience", [1, 5])
def test_a_watcher_ends_training_early_with_weights_that_can_be_used(patience: int) -> None:
    watcher = Onlooker(patience)
    found = as_trained(fitted(watcher=watcher))
    assert found.stopped
    assert len(watcher.steps) == patience
    assert len(floors(found.epochs)) == 1  # the second network is not begun
    assert streamed(found, small_panel()) == pytest.approx(judged(found.best), rel=1e-4)


def test_a_watcher_ends_the_second_network_with_the_better_of_both_so_far() -> None:
    whole = Onlooker()
    way, _ = floors(fitted().epochs)
    first = fitted(project(model={"channels": way}), whole)
    watcher = Onlooker(len(whole.steps) + 1)
    found = fitted(watcher=watcher)
    assert found.stopped
    assert len(watcher.steps) == len(whole.steps) + 1
    assert found.epochs[: len(first.epochs)] == first.epochs
    assert set(floors(found.epochs)) == {"independent", "joint"}
    assert found.best == min(found.epochs, key=lambda epoch: epoch.objective)


@pytest.mark.parametrize(("across", "better"), [(False, "independent"), (True, "joint")])
def test_a_second_network_is_given_up_where_it_will_not_catch_up(across: bool, better: str) -> None:
    of = with_train(eager(3), epochs=PROBATION + 4)
    found = fit(of, [plain(bent(3, across=across), 500, 600, HOURLY)], Onlooker())
    first, second = floors(found.epochs)
    last = {epoch.channels: epoch.epoch for epoch in found.epochs}
    assert found.best.channels == better
    assert last[first] == of.train.epochs
    assert last[second] >= PROBATION
    assert (last[second] < of.train.epochs) == (second != better)


def test_a_learning_rate_far_too_high_is_said_when_the_loss_is_lost() -> None:
    one = plain(walk(160) * 1e20, 96, 128, HOURLY)
    of = project(train={"learning_rate": 1.0, "clip": 1e30})
    with pytest.raises(Diverged, match=r"^the loss is .* after epoch \d+; lower train\.learning_rate$"):
        fit(of, [one], Onlooker())


def test_the_loss_is_squared_absolute_and_a_little_of_the_likelihood_of_the_size() -> None:
    made = said((3.0, 1.0, 0.0), (5.0, -2.0, math.log(2)))
    came = torch.tensor([1.0, 1.0]).reshape(1, 2, 1, 1)
    first = 4 + 0 + SCALE_WEIGHT * (0 + 0)
    second = 16 + 3 + SCALE_WEIGHT * (math.log(2) + 3 / 2)
    close(lesson_loss(made, came), torch.tensor((first + second) / 2))


def test_the_loss_of_the_scale_is_least_at_the_mean_size_of_the_error() -> None:
    came = torch.tensor([1.0, 3.0]).reshape(1, 2, 1, 1)
    less, mean, more = (lesson_loss(said(*[(0.0, 0.0, math.log(size))] * 2), came) for size in (1.9, 2.0, 2.1))
    assert mean < min(less, more)


def test_the_scale_does_not_move_the_median() -> None:
    came = torch.tensor([1.0, 1.0]).reshape(1, 2, 1, 1)
    made = [said((0.0, 3.0, scale), (0.0, -3.0, scale)).requires_grad_() for scale in (-2.0, 2.0)]
    for one in made:
        lesson_loss(one, came).backward()  # type: ignore[no-untyped-call]
        assert one.grad is not None
        assert one.grad[0, :, 1, 0, 0].tolist() == [0.5, -0.5]


def test_the_loss_and_its_gradient_pass_over_targets_that_were_not_observed() -> None:
    made = torch.randn(2, 3, 3, 2, 2, requires_grad=True)
    came = torch.randn(2, 3, 2, 2)
    came[0, 1, 1, 0] = NAN
    loss = lesson_loss(made, came)
    loss.backward()  # type: ignore[no-untyped-call]
    assert made.grad is not None
    absent = torch.isnan(came)[:, :, None].expand_as(made)
    assert (made.grad[absent] == 0).all()
    assert (made.grad[~absent] != 0).all()
    each = [lesson_loss(outputs, cell) for outputs, cell in cells_of(made, came) if not torch.isnan(cell)]
    close(loss, torch.stack(each).mean())


def test_the_loss_of_nothing_observed_is_zero_and_teaches_nothing() -> None:
    made = torch.randn(1, 2, 3, 1, 1, requires_grad=True)
    loss = lesson_loss(made, torch.full((1, 2, 1, 1), NAN))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss == 0
    assert made.grad is not None
    assert not made.grad.any()

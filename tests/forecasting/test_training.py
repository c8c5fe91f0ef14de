from __future__ import annotations

import logging
import math
import warnings
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from forecasting.errors import DataError, Diverged
from forecasting.project import Project
from forecasting.scaled import ScaledSeries, origins, targets
from forecasting.streaming import Job, stream
from forecasting.training import Epoch, Fitted, fit, lesson_loss
from tests.forecasting.panels import CELLS, HOURLY, close, plain, project, scaled, series, walk, with_train

NAN = float("nan")


@dataclass
class Onlooker:
    """Keeps what it hears; asks to stop after `patience` batches."""

    patience: float = math.inf
    steps: list[tuple[int, int]] = field(default_factory=list)
    epochs: list[Epoch] = field(default_factory=list)

    def step(self, done: int, most: int) -> None:
        self.steps.append((done, most))

    def epoch(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)

    def stopping(self) -> bool:
        return len(self.steps) >= self.patience


def small_panel() -> tuple[ScaledSeries, ...]:
    return scaled(series("x", walk(160, missing=0.05)), series("y", walk(100, seed=1), late=20))


def fitted(of: Project | None = None, watcher: Onlooker | None = None) -> Fitted:
    return fit(of or project(), small_panel(), watcher or Onlooker())


def same(ours: Fitted, theirs: Fitted) -> bool:
    both = (one.forecaster.state_dict() for one in (ours, theirs))
    return all(torch.equal(a, b) for a, b in zip(*(weights.values() for weights in both), strict=True))


def streamed_error(found: Fitted, panel: tuple[ScaledSeries, ...]) -> float:
    horizon = found.forecaster.architecture.horizon
    jobs = [Job(one, origins(one.valid, horizon)) for one in panel]
    told = stream(found.forecaster, jobs)
    left = [said.point - targets(job.one, job.at, horizon) for said, job in zip(told, jobs, strict=True)]
    return float(np.nanmean(np.concatenate(left).astype(np.float64) ** 2))


@pytest.mark.parametrize("cell", CELLS)
def test_the_same_seed_gives_the_same_model_to_the_bit_and_another_seed_another(cell: str) -> None:
    of = project(model={"cell": cell, "horizon": 2, "dropout": 0.2}, train={"members": 2})
    first, second, other = (fitted(with_train(of, seed=seed)) for seed in (0, 0, 1))
    assert same(first, second)
    assert first.epochs == second.epochs
    assert first.best == second.best
    assert first.epochs != other.epochs


def test_the_best_weights_are_the_ones_returned() -> None:
    found = fitted(project(train={"learning_rate": 0.05, "epochs": 6}))
    assert found.best == min(found.epochs, key=lambda epoch: epoch.objective)
    assert streamed_error(found, small_panel()) == pytest.approx(found.best.valid_mse_z, rel=1e-4)


def test_training_never_ends_worse_than_the_linear_road() -> None:
    found = fitted(project(train={"learning_rate": 0.3}))
    assert found.epochs[0].objective == pytest.approx(2.0)
    assert found.best.objective <= 2.0
    assert found.best.valid_mse_z <= found.epochs[0].valid_mse_z + 1e-9


def test_the_first_epoch_is_the_linear_road_alone() -> None:
    found = fitted()
    assert (found.epochs[0].epoch, found.epochs[0].train_loss) == (0, None)
    assert found.epochs[0].valid_mse_z == pytest.approx(min(choice.valid_mse_z for choice in found.tried), rel=1e-3)


def test_the_watcher_hears_every_batch_and_every_epoch() -> None:
    watcher = Onlooker()
    found = fitted(watcher=watcher)
    assert watcher.steps == [(done, 12) for done in range(1, 13)]
    assert tuple(watcher.epochs) == found.epochs[1:]
    assert [epoch.epoch for epoch in found.epochs] == [0, 1, 2, 3]
    assert not found.stopped


@pytest.mark.parametrize("patience", [1, 5])
def test_a_watcher_ends_training_early_with_weights_that_can_be_used(patience: int) -> None:
    watcher = Onlooker(patience)
    found = fitted(watcher=watcher)
    assert found.stopped
    assert len(watcher.steps) == patience
    assert np.isfinite(streamed_error(found, small_panel()))
    assert streamed_error(found, small_panel()) == pytest.approx(found.best.valid_mse_z, rel=1e-4)


def test_training_ends_when_validation_grows_no_better() -> None:
    found = fitted(project(train={"learning_rate": 1e-9, "epochs": 50, "patience": 2}))
    assert len(found.epochs) < 10


def test_what_a_test_row_holds_changes_no_model() -> None:
    before, after = walk(160), walk(160)
    after[128:] += 100
    models = [fit(project(), [plain(z, 96, 128, HOURLY)], Onlooker()) for z in (before, after)]
    assert same(*models)


def test_the_forecaster_is_ready_to_use() -> None:
    found = fitted()
    assert not found.forecaster.training
    assert {weight.device.type for weight in found.forecaster.state_dict().values()} == {"cpu"}


def test_the_callers_random_numbers_threads_logs_and_warnings_are_left_alone() -> None:
    logger = logging.getLogger("pytorch_lightning")
    torch.manual_seed(5)
    np_state = np.random.get_state()[1].tolist()  # type: ignore[union-attr, index]  # noqa: NPY002 - the legacy state is what is looked at
    before = (logger.level, list(warnings.filters), torch.get_num_threads(), torch.get_rng_state().tolist(), np_state)
    fitted(project(train={"threads": 2}))
    now = np.random.get_state()[1].tolist()  # type: ignore[union-attr, index]  # noqa: NPY002 - the same
    after = (logger.level, list(warnings.filters), torch.get_num_threads(), torch.get_rng_state().tolist(), now)
    assert after == before


def test_training_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    fitted()
    assert capfd.readouterr() == ("", "")


def test_the_loss_is_squared_error_of_the_point_and_absolute_error_of_the_median() -> None:
    made = torch.tensor([[3.0, 1.0], [5.0, -2.0]]).reshape(1, 2, 2, 1, 1)
    came = torch.tensor([1.0, 1.0]).reshape(1, 2, 1, 1)
    close(lesson_loss(made, came), torch.tensor((4 + 0 + 16 + 3) / 2))


def test_the_loss_and_its_gradient_pass_over_targets_that_were_not_observed() -> None:
    made = torch.randn(2, 3, 2, 2, 2, requires_grad=True)
    came = torch.randn(2, 3, 2, 2)
    came[0, 1, 1, 0] = NAN
    lesson_loss(made, came).backward()
    assert made.grad is not None
    absent = torch.zeros_like(came, dtype=torch.bool)
    absent[0, 1, 1, 0] = True
    assert (made.grad[absent[:, :, None].expand_as(made)] == 0).all()
    assert (made.grad[~absent[:, :, None].expand_as(made)] != 0).all()


def test_the_loss_of_nothing_observed_is_zero() -> None:
    assert lesson_loss(torch.randn(1, 2, 2, 1, 1), torch.full((1, 2, 1, 1), NAN)) == 0


def test_a_learning_rate_far_too_high_is_said_when_the_loss_is_lost() -> None:
    one = plain(walk(160) * 1e20, 96, 128, HOURLY)
    of = project(train={"learning_rate": 1.0, "clip": 1e30})
    with pytest.raises(Diverged, match=r"^the loss is .* after epoch \d+; lower train\.learning_rate$"):
        fit(of, [one], Onlooker())


@pytest.mark.parametrize(("valid", "test"), [(2, 100), (90, 92)])
def test_too_few_rows_for_the_horizon_are_refused(valid: int, test: int) -> None:
    message = r"^no series has the rows to train and validate forecasts 3 steps ahead; give more data$"
    with pytest.raises(DataError, match=message):
        fit(project(model={"horizon": 3}), [plain(walk(120), valid, test, HOURLY)], Onlooker())


def threshold_series(rows: int = 900) -> np.ndarray:
    """X' = 1 - 1.6 |x| + noise: a linear autoregression learns next to nothing of it."""
    draw, z = np.random.default_rng(0), np.zeros((rows, 1))
    for row in range(1, rows):
        z[row] = 1 - 1.6 * abs(z[row - 1]) + 0.02 * draw.normal()
    return z


@pytest.mark.parametrize("cell", CELLS)
def test_what_no_line_can_say_is_learnt_by_the_cells(cell: str) -> None:
    of = project(
        data={"targets": ["a"]},
        model={"cell": cell, "hidden": 16},
        train={"learning_rate": 0.02, "epochs": 5, "steps_per_epoch": 30, "batch": 16},
    )
    found = fit(of, [plain(threshold_series(), 700, 800, HOURLY)], Onlooker())
    assert found.best.valid_mse_z < 0.3 * found.epochs[0].valid_mse_z
    assert found.best.valid_mae_z < 0.6 * found.epochs[0].valid_mae_z

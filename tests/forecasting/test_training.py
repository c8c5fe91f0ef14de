from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from forecasting import training
from forecasting.conformal import calibrate
from forecasting.errors import DataError, Diverged
from forecasting.lesson import Lesson
from forecasting.ridge import refitted
from forecasting.training import fit
from tests.forecasting.fits import (
    Onlooker,
    as_trained,
    bent,
    eager,
    fitted,
    floors,
    judged,
    outcomes,
    same,
    small_panel,
    streamed,
)
from tests.forecasting.panels import CELLS, HOURLY, plain, project, scaled, series, walk, with_train

WAYS = ("independent", "joint")


@pytest.mark.parametrize("cell", CELLS)
def test_the_same_seed_gives_the_same_model_to_the_bit_and_another_seed_another(cell: str) -> None:
    of = project(model={"cell": cell, "horizon": 2, "dropout": 0.2}, train={"members": 2})
    first, second, other = (fitted(with_train(of, seed=seed)) for seed in (0, 0, 1))
    assert same(first, second)
    assert (first.epochs, first.best, first.calibration) == (second.epochs, second.best, second.calibration)
    assert np.array_equal(first.trust, second.trust)
    assert first.epochs != other.epochs


@pytest.mark.parametrize("channels", WAYS)
def test_the_best_weights_are_the_ones_returned(channels: str) -> None:
    train = {"learning_rate": 0.1, "epochs": 60, "patience": 1}
    panel = [plain(bent(2, rows=300), 200, 260, HOURLY)]
    found = as_trained(fit(project(model={"channels": channels, "horizon": 2}, train=train), panel, Onlooker()))
    assert found.best == min(found.epochs, key=lambda epoch: epoch.objective)
    assert 0 < found.best.epoch < found.epochs[-1].epoch < 60  # it ends with an epoch that was no better
    assert streamed(found, panel) == pytest.approx(judged(found.best), rel=1e-4)


def test_no_part_of_a_forecast_ends_worse_than_the_linear_road() -> None:
    found = as_trained(fitted(project(model={"horizon": 2}, train={"learning_rate": 0.3})))
    assert [epoch.objective for epoch in floors(found.epochs).values()] == pytest.approx([1.0, 1.0])
    assert found.best.objective <= 1.0
    floor = judged(found.epochs[0])
    assert all(ours <= before * (1 + 1e-6) for ours, before in zip(judged(found.best), floor, strict=True))
    assert all(ours <= before * (1 + 1e-4) for ours, before in zip(streamed(found, small_panel()), floor, strict=True))


def test_the_objective_is_the_mean_of_three_errors_relative_to_the_linear_road() -> None:
    found = fit(eager(2, horizon=2), [plain(bent(2), 500, 600, HOURLY)], Onlooker())
    for epoch in found.epochs:
        floor = judged(floors(found.epochs)[epoch.channels])
        relative = np.array(judged(epoch)) / floor
        assert epoch.objective == pytest.approx(relative.mean())
    assert len({epoch.objective for epoch in found.epochs}) > 2


def test_the_first_epoch_of_each_network_is_the_linear_road_alone() -> None:
    found = as_trained(fitted())
    found.forecaster.spread.zero_()  # what the network says is not listened to
    road = streamed(found, small_panel())
    assert set(floors(found.epochs)) == set(WAYS)
    for floor in floors(found.epochs).values():
        assert floor.train_loss is None
        assert judged(floor) == pytest.approx(road, rel=1e-4)


@pytest.mark.parametrize("way", WAYS)
def test_one_way_of_seeing_the_channels_is_tried_where_the_project_says_which(way: str) -> None:
    found = fitted(project(model={"channels": way}))
    assert {epoch.channels for epoch in found.epochs} == {way}
    assert found.forecaster.architecture.channels == way


@pytest.mark.parametrize(("across", "better"), [(False, "independent"), (True, "joint")])
def test_of_both_ways_of_seeing_the_channels_the_one_of_least_objective_is_kept(across: bool, better: str) -> None:
    panel = [plain(bent(3, across=across), 500, 600, HOURLY)]
    found = fit(eager(3), panel, Onlooker())
    alone = {way: fit(eager(3, channels=way), panel, Onlooker()) for way in WAYS}
    first, second = floors(found.epochs)
    assert found.epochs == alone[first].epochs + alone[second].epochs
    assert min(WAYS, key=lambda way: alone[way].best.objective) == better
    assert found.best == alone[better].best
    assert found.best == min(found.epochs, key=lambda epoch: epoch.objective)
    assert same(found, alone[better])


@pytest.mark.parametrize("channels", ["auto", *WAYS])
def test_a_single_target_is_seen_in_one_way(channels: str) -> None:
    watcher = Onlooker()
    found = fit(eager(channels=channels), [plain(bent(1), 500, 600, HOURLY)], watcher)
    assert {epoch.channels for epoch in watcher.epochs} == {"joint"}
    assert found.forecaster.architecture.channels == "joint"


def test_the_number_of_threads_changes_no_weight() -> None:
    of = project(model={"dropout": 0.2}, train={"members": 3})
    one, three = (fitted(with_train(of, threads=threads)) for threads in (1, 3))
    assert same(one, three)
    assert one.epochs == three.epochs


def test_the_linear_road_that_is_returned_is_solved_again_with_the_validation_rows() -> None:
    found = fitted()
    renewed = refitted(found.linear, small_panel(), horizon=1).state_dict()
    ours, trained = found.forecaster.linear.state_dict(), found.linear.road.state_dict()
    assert all(torch.equal(ours[name], renewed[name]) for name in renewed)
    assert not torch.equal(ours["changes"], trained["changes"])


def test_the_last_value_is_the_road_where_the_project_leaves_it_out() -> None:
    z = walk(160)
    found = fit(project(model={"linear": "none"}), [plain(z, 96, 128, HOURLY)], Onlooker())
    assert found.linear.tried == ()
    assert not any(weight.any() for weight in found.forecaster.linear.buffers())
    assert found.epochs[0].valid_mse_z == pytest.approx(np.square(z[96:128] - z[95:127]).mean(), rel=1e-5)


@pytest.mark.parametrize("mode", ["channel", "all"])
def test_a_target_is_told_by_whom_the_project_says(mode: str) -> None:
    z = walk(400)
    z[1:, 1] += 3 * z[:-1, 0]  # the second column is told by the first
    found = fit(project(model={"linear": mode}), [plain(z, 240, 320, HOURLY)], Onlooker())
    for road in (found.linear.road, found.forecaster.linear):
        across = [road.changes[0, 1], road.changes[1, 0], road.level[0, 1], road.level[1, 0]]
        assert any(weights.any() for weights in across) == (mode == "all")


def test_intervals_are_calibrated_on_validation_rows_with_the_road_of_the_training_rows() -> None:
    of = project(model={"horizon": 2, "levels": [50, 80]})
    found = fitted(of)
    assert found.calibration.levels == (50, 80)
    assert calibrate(outcomes(found, small_panel()), of.model.levels) != found.calibration
    assert calibrate(outcomes(as_trained(found), small_panel()), of.model.levels) == found.calibration


def test_trust_is_a_share_for_each_output_step_and_target() -> None:
    found = fit(eager(2, horizon=3), [plain(bent(2), 500, 600, HOURLY)], Onlooker())
    assert found.trust.shape == (3, 3, 2)
    assert ((found.trust >= 0) & (found.trust <= 1)).all()
    assert found.trust[:2, 0].min() > 0.8  # what is bent can be told a step ahead


def test_what_a_test_row_holds_changes_no_model() -> None:
    before, after = walk(160), walk(160)
    after[128:] += 100
    ours, theirs = (fit(project(), [plain(z, 96, 128, HOURLY)], Onlooker()) for z in (before, after))
    assert same(ours, theirs)
    assert (ours.epochs, ours.calibration) == (theirs.epochs, theirs.calibration)


def test_the_forecaster_is_ready_to_use() -> None:
    found = fitted()
    assert not found.forecaster.training
    assert {weight.device.type for weight in found.forecaster.state_dict().values()} == {"cpu"}
    assert not found.stopped


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Give the caller another number of threads than training takes."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_the_callers_random_numbers_threads_logs_and_warnings_are_left_alone() -> None:
    before = surroundings()
    fitted()
    assert surroundings() == before


def surroundings() -> tuple[object, ...]:
    """Look at what belongs to the caller."""
    drawn = np.random.get_state()[1].tolist()  # type: ignore[union-attr, index]  # noqa: NPY002 - the legacy state is what is looked at
    level = logging.getLogger("pytorch_lightning").level
    return level, list(warnings.filters), torch.get_num_threads(), torch.get_rng_state().tolist(), drawn


def test_training_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    fitted()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("valid", "test"), [(2, 100), (90, 92)])
def test_too_few_rows_for_the_horizon_are_refused(valid: int, test: int) -> None:
    message = r"^no series has the rows to train and validate forecasts 3 steps ahead; give more data$"
    with pytest.raises(DataError, match=message):
        fit(project(model={"horizon": 3}), [plain(walk(120), valid, test, HOURLY)], Onlooker())


def test_a_validation_part_without_a_value_is_refused() -> None:
    z = walk(160)
    z[96:128] = np.nan
    with pytest.raises(DataError, match=r"^no value is observed in the validation part; "):
        fit(project(), [plain(z, 96, 128, HOURLY)], Onlooker())


def test_one_series_with_the_rows_is_enough() -> None:
    panel = scaled(series("x", walk(160)), series("y", walk(3, seed=1)))
    assert np.isfinite(fit(project(model={"horizon": 3}), panel, Onlooker()).best.objective)


@pytest.mark.parametrize("cell", CELLS)
def test_what_no_line_can_say_is_learnt_by_the_cells(cell: str) -> None:
    panel = [plain(bent(1), 500, 600, HOURLY)]
    found = fit(eager(cell=cell), panel, Onlooker())
    floor = found.epochs[0]
    assert found.best.valid_mse_z < 0.3 * floor.valid_mse_z
    assert found.best.valid_mae_z < 0.6 * floor.valid_mae_z


@pytest.mark.parametrize("failing", [{"joint"}, {"independent"}, {"joint", "independent"}])
def test_a_network_that_diverges_is_left_out_unless_all_do(monkeypatch: pytest.MonkeyPatch, failing: set[str]) -> None:
    run = training.run

    def maybe(lesson: Lesson, *others: Any) -> None:
        if lesson.forecaster.architecture.channels in failing:
            message = "the loss is lost"
            raise Diverged(message)
        run(lesson, *others)

    monkeypatch.setattr(training, "run", maybe)
    if len(failing) > 1:
        with pytest.raises(Diverged, match=r"^the loss is lost$"):
            fitted()
    else:
        assert {epoch.channels for epoch in fitted().epochs} == {"joint", "independent"} - failing

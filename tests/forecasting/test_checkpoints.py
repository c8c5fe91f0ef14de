"""A training that was killed at any batch, and went on, is the training that was not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save

from forecasting.project import Project
from forecasting.training import Epoch, Fitted, fit
from tests.forecasting.fits import Onlooker, bent, eager, same, small_panel
from tests.forecasting.panels import CELLS, HOURLY, plain, project


class Killed(BaseException):
    """What happens to a process."""


@dataclass
class Mortal(Onlooker):
    """Is killed after so many batches."""

    last: int = 0

    def step(self, done: int, most: int) -> None:
        super().step(done, most)
        if len(self.steps) >= self.last:
            raise Killed


def of(cell: str = "lstm", **train: object) -> Project:
    settings = {"members": 2, "epochs": 5, "steps_per_epoch": 4, "batch": 4, "patience": 2, **train}
    return project(model={"cell": cell, "horizon": 2, "dropout": 0.3}, train=settings)


def killed(wanted: Project, folder: Path, after: int) -> int:
    """Train until the process is killed; return how many batches were taken."""
    watcher = Mortal(last=after)
    with pytest.raises(Killed):
        fit(wanted, small_panel(), watcher, folder)
    return len(watcher.steps)


def alike(ours: Fitted, theirs: Fitted) -> bool:
    return (
        same(ours, theirs)
        and (ours.epochs, ours.best, ours.calibration) == (theirs.epochs, theirs.best, theirs.calibration)
        and np.array_equal(ours.trust, theirs.trust)
    )


@pytest.mark.parametrize(("cell", "after"), [(cell, 11) for cell in CELLS] + [("lstm", 5), ("lstm", 27)])
def test_what_was_killed_and_goes_on_comes_to_the_same_weights_to_the_bit(
    cell: str, after: int, tmp_path: Path
) -> None:
    wanted, whole = of(cell), Onlooker()
    expected = fit(wanted, small_panel(), whole)
    killed(wanted, tmp_path, min(after, len(whole.steps)))
    watcher = Onlooker()
    found = fit(wanted, small_panel(), watcher, tmp_path)
    assert alike(found, expected)
    assert watcher.epochs == whole.epochs  # also those that it did not take itself
    if after > wanted.train.steps_per_epoch:
        assert len(watcher.steps) <= len(whole.steps) - wanted.train.steps_per_epoch


def test_it_may_be_killed_again_and_again(tmp_path: Path) -> None:
    wanted, whole = of(), Onlooker()
    expected = fit(wanted, small_panel(), whole)
    for _ in range(20):
        watcher = Mortal(last=6)
        try:
            found = fit(wanted, small_panel(), watcher, tmp_path)
            break
        except Killed:
            continue
    assert alike(found, expected)


def test_a_training_that_had_ended_is_not_done_again(tmp_path: Path) -> None:
    wanted = of()
    expected = fit(wanted, small_panel(), Onlooker(), tmp_path)
    watcher = Onlooker()
    assert alike(fit(wanted, small_panel(), watcher, tmp_path), expected)
    assert not watcher.steps


def test_an_epoch_that_somebody_ended_is_not_gone_on_from(tmp_path: Path) -> None:
    wanted = of()
    expected = fit(wanted, small_panel(), Onlooker())
    assert fit(wanted, small_panel(), Onlooker(patience=6), tmp_path).stopped
    assert alike(fit(wanted, small_panel(), Onlooker(), tmp_path), expected)


@pytest.mark.parametrize(
    "content",
    [b"", b"no checkpoint", b"PK\x03\x04 half of one", save({"0": torch.zeros(2)}), save({}, {"tree": "[1]"})],
)
def test_a_file_that_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    wanted = of()
    for name in ("joint.safetensors", "independent.safetensors"):
        (tmp_path / name).write_bytes(content)
    assert alike(fit(wanted, small_panel(), Onlooker(), tmp_path), fit(wanted, small_panel(), Onlooker()))


def test_a_warm_start_begins_with_the_members_of_another_forecaster() -> None:
    panel = [plain(bent(2), 500, 600, HOURLY)]
    cold = fit(eager(2, channels="joint"), panel, Onlooker())
    begun: list[Epoch] = fit(eager(2, channels="joint"), panel, Onlooker(), warm=cold.forecaster).epochs[:1]
    assert (begun[0].epoch, begun[0].train_loss) == (0, None)
    assert begun[0].objective == pytest.approx(cold.best.objective, rel=0.02)
    assert begun[0].objective < 0.99 * cold.epochs[0].objective


def test_members_of_other_shapes_are_not_begun_with() -> None:
    panel = small_panel()
    other = fit(eager(2, channels="joint", hidden=8), panel, Onlooker())
    wanted = eager(2, channels="joint")
    assert alike(fit(wanted, panel, Onlooker(), warm=other.forecaster), fit(wanted, panel, Onlooker()))

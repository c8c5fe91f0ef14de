"""The trials of a search, over errors that are known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.space import SPACE, Settings
from pipelines.study import GIVEN_UP, Study, Trial, opened
from pipelines.trials import Tried

OWN: Settings = {
    "model.cell": "lstm",
    "model.channels": "joint",
    "model.hidden": 32,
    "model.layers": 1,
    "model.dropout": 0.3,
    "train.length": 192,
    "train.learning_rate": 1e-3,
    "train.weight_decay": 0.0,
}


def error(settings: Settings) -> float:
    """Least at 40 hidden units, a rate of 0.002 and a GRU."""
    hidden, rate = (math.log(float(settings[key])) for key in ("model.hidden", "train.learning_rate"))
    return (hidden - math.log(40)) ** 2 + (rate - math.log(0.002)) ** 2 + 0.5 * (settings["model.cell"] != "gru")


def play(study: Study, trials: int, seed: int = 0) -> list[Tried]:
    """Run so many more trials to their end."""
    done = []
    for _ in range(trials):
        trial = study.begin(seed)
        done.append(trial.end(error(trial.settings)))
    return done


def params(tried: list[Tried]) -> list[Settings]:
    return [one.params for one in tried]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "new" / "trials.db"


@pytest.fixture
def study(file: Path) -> Iterator[Study]:
    with opened(file, "study", SPACE) as study:
        yield study


def test_settings_that_were_put_first_are_tried_first_and_exactly(study: Study) -> None:
    study.put_first(OWN)
    assert study.waiting() == [OWN]
    first, second = play(study, 2)
    assert (first.number, first.params, first.objective) == (0, OWN, error(OWN))
    assert second.params != OWN
    assert study.waiting() == []


def test_settings_that_wait_or_were_tried_are_not_put_first_again(study: Study) -> None:
    study.put_first(OWN)
    study.put_first(OWN)
    assert len(study.waiting()) == 1
    play(study, 1)
    study.put_first(OWN)
    assert study.waiting() == []


def test_what_is_drawn_lies_in_the_space_and_is_easy_to_read(study: Study) -> None:
    for one in play(study, 6):
        assert set(one.params) == set(SPACE)
        assert one.params["model.cell"] in {"lstm", "gru"}
        assert 16 <= float(one.params["model.hidden"]) <= 96
        assert len(f"{one.params['train.learning_rate']:.3g}") == len(str(one.params["train.learning_rate"]))


def test_a_search_learns_from_its_trials(study: Study) -> None:
    errors = [error(one) for one in params(play(study, 24))]
    assert sum(errors[12:]) < 0.7 * sum(errors[:12])


def test_a_search_that_was_closed_goes_on_as_if_it_had_not_been(file: Path, tmp_path: Path) -> None:
    with opened(tmp_path / "whole.db", "study", SPACE) as study:
        whole = play(study, 14)
    with opened(file, "study", SPACE) as study:
        play(study, 11)
        study.begin(0).forget()
    with opened(file, "study", SPACE) as study:
        assert len(study.tried()) == 11
        play(study, 3)
        assert params(list(study.tried())) == params(whole)


def test_the_seed_makes_the_search(tmp_path: Path) -> None:
    found = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        with opened(tmp_path / "one.db", name, SPACE) as study:
            found.append(params(play(study, 3, seed)))
    assert found[0] == found[1] != found[2]


def test_a_trial_that_fails_has_ended_and_one_that_is_forgotten_has_not(study: Study) -> None:
    failed = study.begin(0).fail("the loss is nan")
    study.begin(0).forget()
    study.begin(0)
    assert study.tried() == (failed,)
    assert (failed.objective, failed.ended) == (None, "failed: the loss is nan")


def settled(trial: Trial) -> Tried:
    """Run a trial whose epochs are all as good as its number is small."""
    for epoch in range(10):
        if trial.hopeless(epoch, trial.number):
            assert epoch == 5
            return trial.give_up()
    return trial.end(trial.number)


def test_a_trial_behind_the_median_is_given_up_unless_it_was_put_first(study: Study) -> None:
    given_up = [settled(study.begin(0)) for _ in range(7)][5:]
    assert [one.number for one in study.tried() if one.objective is None] == [5, 6]
    assert {one.ended for one in given_up} == {GIVEN_UP}
    study.put_first(OWN)
    assert settled(study.begin(0)).objective == 7


def test_a_file_that_holds_no_search_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "trials.db"
    file.write_bytes(b"these are no tables" * 100)
    before = file.read_bytes()
    with (
        pytest.raises(OSError, match=r"trials\.db holds no search .* move it away to begin anew"),
        opened(file, "study", SPACE),
    ):
        pass
    assert file.read_bytes() == before

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.project import Project, parse_project
from pipelines.space import (
    LENGTHS,
    Choice,
    Number,
    Settings,
    Space,
    inside,
    own_settings,
    space_of,
    study_name,
    toml_of,
    with_settings,
)


@dataclass(frozen=True)
class Rows:
    """As many training rows of one series as a test wants."""

    stop: int

    @property
    def series(self) -> list[Rows]:
        return [self]

    @property
    def train(self) -> Rows:
        return self


def project(targets: tuple[str, ...] = ("a", "b"), **sections: Any) -> Project:
    data = {"source": "x.csv", "time": "t", "targets": list(targets)}
    return parse_project({"name": "test", "data": data, **sections})


def space(of: Project, rows: int = 5000) -> Space:
    return space_of(of, Rows(rows))  # type: ignore[arg-type]


def holds(one: Any, value: Any) -> bool:
    return value in one.options if isinstance(one, Choice) else one.low <= value <= one.high


OWN = st.fixed_dictionaries(
    {
        "model.cell": st.sampled_from(["lstm", "gru", "rnn"]),
        "model.channels": st.sampled_from(["joint", "independent"]),
        "model.hidden": st.integers(1, 2048),
        "model.layers": st.integers(1, 8),
        "model.dropout": st.floats(0, 0.99),
        "train.length": st.integers(2, 9999),
        "train.learning_rate": st.floats(1e-9, 1),
        "train.weight_decay": st.floats(0, 10),
    }
)


@given(own=OWN)
def test_a_space_holds_what_a_project_stands_at(own: Settings) -> None:
    of = with_settings(project(), own)
    assert own_settings(of) == [own]
    point = inside(own, space(of))
    assert all(holds(one, point[key]) for key, one in space(of).items())
    assert {key for key in own if point[key] != own[key]} <= {"train.weight_decay"}


def test_a_decay_of_zero_is_beside_the_least_of_the_space() -> None:
    of = project(train={"weight_decay": 0.0})
    decay = space(of)["train.weight_decay"]
    assert isinstance(decay, Number)
    assert inside(own_settings(of)[0], space(of))["train.weight_decay"] == decay.low == 1e-4


@given(own=OWN)
def test_found_settings_can_be_pasted_into_a_project_file(own: Settings) -> None:
    assert project(**tomllib.loads(toml_of(own))) == with_settings(project(), own)


def test_open_channels_become_one_point_for_each_way_to_see_them() -> None:
    assert [one["model.channels"] for one in own_settings(project())] == ["independent", "joint"]
    assert [one["model.channels"] for one in own_settings(project(model={"channels": "joint"}))] == ["joint"]


@pytest.mark.parametrize("channels", ["auto", "joint", "independent"])
def test_a_single_target_is_seen_one_way(channels: str) -> None:
    of = project(("a",), model={"channels": channels})
    assert space(of)["model.channels"] == Choice(("joint",))
    assert [one["model.channels"] for one in own_settings(of)] == ["joint"]


@pytest.mark.parametrize(("rows", "longest"), [(5000, 512), (561, 512), (560, 384), (150, 192), (2, 192)])
def test_sequences_are_no_longer_than_the_training_rows(rows: int, longest: int) -> None:
    lengths = space(project(), rows)["train.length"]
    assert isinstance(lengths, Choice)
    assert max(lengths.options) == longest  # the project's own length is 192
    assert set(lengths.options) <= {*LENGTHS}


def test_searches_share_a_name_where_an_error_means_the_same() -> None:
    of = project()
    names = {
        study_name(other, space(other), "digest")
        for other in (
            of,
            with_settings(of, {"train.members": 7}),
            with_settings(of, {"model.hidden": 50, "train.learning_rate": 2e-3}),
            with_settings(of, {"schedule.cron": "5 4 * * *"}),
            msgspec.structs.replace(of, folder="elsewhere"),
        )
    }
    assert len(names) == 1


@pytest.mark.parametrize(
    "changed", [{"train.seed": 1}, {"train.epochs": 5}, {"model.horizon": 3}, {"backtest.split": (0.6, 0.2, 0.2)}]
)
def test_searches_of_other_errors_have_names_of_their_own(changed: dict[str, Any]) -> None:
    of, other = project(), with_settings(project(), changed)
    assert study_name(of, space(of), "digest") != study_name(other, space(other), "digest")


def test_other_data_and_other_ranges_make_another_search() -> None:
    of, wide = project(), project(model={"hidden": 200})
    names = {study_name(of, space(of), "a"), study_name(of, space(of), "b"), study_name(wide, space(wide), "a")}
    assert len(names) == 3

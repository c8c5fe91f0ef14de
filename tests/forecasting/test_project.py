from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from forecasting.cells import SYSTEMS
from forecasting.columns import Columns
from forecasting.errors import ProjectError
from forecasting.project import Project, load_project, parse_project
from forecasting.sections import CellName
from forecasting.transforms import PLAIN, Transform

BLUEPRINT = """
name = "nyc-weather"
[data]
source = "nyc_weather.csv.gz"
time = "time_hour"
timezone = "UTC"
series = "origin"
targets = ["temp", "dewp", "humid", "wind_speed", "pressure", "visib"]
past = []
known = []
static = []
freq = "h"
units = { temp = "degF" }
[data.transform]
[model]
cell = "lstm"
channels = "auto"
horizon = 1
[train]
seed = 0
members = 3
[backtest]
split = [0.7, 0.1, 0.2]
[promote]
[schedule]
cron = "0 3 * * *"
"""


def parse(**sections: dict[str, Any]) -> Project:
    data = {"source": "a.csv", "time": "t", "targets": ["x", "y"], **sections.pop("data", {})}
    return parse_project({"name": "demo", "data": data, **sections}, origin="gatecast.toml")


def refusal(**sections: dict[str, Any]) -> str:
    with pytest.raises(ProjectError) as caught:
        parse(**sections)
    return str(caught.value)


def test_the_cells_of_a_project_are_the_systems_there_are() -> None:
    assert set(get_args(CellName)) == set(SYSTEMS)


def test_the_example_of_the_blueprint_is_a_project(tmp_path: Path) -> None:
    path = tmp_path / "gatecast.toml"
    path.write_text(BLUEPRINT, encoding="utf-8")
    project = load_project(path)
    assert project.name == "nyc-weather"
    assert project.data.units == {"temp": "degF"}
    assert project.source == tmp_path / "nyc_weather.csv.gz"


def test_name_source_time_and_targets_are_all_that_is_needed() -> None:
    project = parse()
    assert (project.data.timezone, project.data.freq, project.data.series) == ("UTC", "h", None)
    assert (project.model.cell, project.model.horizon, project.train.members) == ("lstm", 1, 3)
    assert tuple(project.backtest.split) == (0.7, 0.1, 0.2)


@pytest.mark.parametrize("missing", ["name", "source", "time", "targets"])
def test_what_has_no_default_is_asked_for_by_name(missing: str) -> None:
    tree = tomllib.loads(BLUEPRINT)
    (tree if missing == "name" else tree["data"]).pop(missing)
    with pytest.raises(ProjectError, match=f"missing required field `{missing}`"):
        parse_project(tree)


def test_a_project_never_changes() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        parse().data.freq = "D"  # type: ignore[misc]


def test_an_absolute_source_stays_where_it_is() -> None:
    assert parse(data={"source": "/data/a.csv"}).source == Path("/data/a.csv")


@pytest.mark.parametrize(
    ("sections", "sentence"),
    [
        ({"data": {"frequency": "h"}}, "gatecast.toml: unknown key data.frequency; did you mean data.freq?"),
        ({"train": {"epoch": 3}}, "gatecast.toml: unknown key train.epoch; did you mean train.epochs?"),
        ({"modle": {"cell": "gru"}}, "gatecast.toml: unknown key modle; did you mean model?"),
        (
            {"schedule": {"zzz": 1}},
            (
                "gatecast.toml: unknown key schedule.zzz; "
                "valid keys: cron, timezone, jitter_seconds, retries, minutes, memory_mb, drift, drift_hours"
            ),
        ),
    ],
)
def test_an_unknown_key_names_the_nearest_one(sections: dict[str, Any], sentence: str) -> None:
    assert refusal(**sections) == sentence


def test_the_folder_of_a_project_is_no_key_of_its_file() -> None:
    with pytest.raises(ProjectError, match="unknown key folder"):
        parse_project({**tomllib.loads(BLUEPRINT), "folder": "/etc"})


@pytest.mark.parametrize(
    ("sections", "part"),
    [
        ({"model": {"cell": "transformer"}}, "at model.cell"),
        ({"model": {"horizon": 0}}, "at model.horizon"),
        ({"model": {"horizon": "1"}}, "Expected `int`, got `str` at model.horizon"),
        ({"model": {"hidden": 1e9}}, "at model.hidden"),
        ({"model": {"dropout": 1.0}}, "at model.dropout"),
        ({"train": {"seed": -1}}, "at train.seed"),
        ({"train": {"device": "tpu"}}, "at train.device"),
        ({"train": {"learning_rate": 0.0}}, "at train.learning_rate"),
        ({"data": {"targets": []}}, "at data.targets"),
        ({"data": {"targets": "x"}}, "Expected `array`, got `str` at data.targets"),
        ({"backtest": {"split": [0.5, 0.5]}}, "at backtest.split"),
        ({"data": 3}, "at data"),
        ({"data": {"scaling": "global"}}, "at data.scaling"),
        ({"model": {"channels": "each"}}, "at model.channels"),
        ({"model": {"linear": "yes"}}, "at model.linear"),
        ({"model": {"levels": []}}, "at model.levels"),
        ({"model": {"levels": [100]}}, "at model.levels[0]"),
    ],
)
def test_a_value_of_the_wrong_type_or_range_is_refused_at_its_place(sections: dict[str, Any], part: str) -> None:
    tree = tomllib.loads(BLUEPRINT)
    for name, section in sections.items():
        tree[name] = {**tree[name], **section} if isinstance(section, dict) else section
    with pytest.raises(ProjectError) as caught:
        parse_project(tree)
    assert str(caught.value).endswith(part)
    assert "$." not in str(caught.value)


@pytest.mark.parametrize("name", ["", "-a", "a/b", "a b", "x" * 129])
def test_a_name_that_cannot_be_registered_is_refused(name: str) -> None:
    with pytest.raises(ProjectError, match="at name"):
        parse_project({**tomllib.loads(BLUEPRINT), "name": name})


@pytest.mark.parametrize(
    ("sections", "sentence"),
    [
        (
            {"data": {"targets": ["x", "x"]}},
            "column 'x' is named twice in [data]; a column is time, series, target or covariate, once",
        ),
        (
            {"data": {"series": "t"}},
            "column 't' is named twice in [data]; a column is time, series, target or covariate, once",
        ),
        (
            {"data": {"past": ["x"]}},
            "column 'x' is named twice in [data]; a column is time, series, target or covariate, once",
        ),
        (
            {"data": {"series": "id", "known": ["z"], "static": ["z"]}},
            "column 'z' is named twice in [data]; a column is time, series, target or covariate, once",
        ),
        ({"data": {"units": {"z": "m"}}}, "data.units names 'z'; expected one of t, x, y"),
        (
            {"data": {"transform": {"z": "log1p"}, "known": ["k"]}},
            "data.transform names 'z'; expected one of x, y, k",
        ),
        (
            {"data": {"categorical": ["x"]}},
            "data.categorical names 'x'; expected none: data.static is empty",
        ),
        (
            {"data": {"categorical": ["x"], "series": "id", "static": ["region"]}},
            "data.categorical names 'x'; expected one of region",
        ),
        ({"data": {"static": ["region"]}}, "data.static needs data.series: a static column holds one value a series"),
        (
            {"data": {"transform": {"x": {"bounds": [5, 5]}}}},
            "data.transform.x leaves values from 5 to 5; the first must be the smaller",
        ),
        (
            {"data": {"transform": {"y": {"log1p": True, "bounds": [-9, -1]}}}},
            "data.transform.y leaves values from 0 to -1; the first must be the smaller",
        ),
        (
            {"data": {"transform": {"y": {"integer": True, "bounds": [0.2, 0.8]}}}},
            "data.transform.y leaves values from 1 to 0; the first must be the smaller",
        ),
        (
            {"data": {"transform": {"y": {"bounds": [0, math.nan]}}}},
            "data.transform.y has a bound that is no number; write inf where there is none",
        ),
        (
            {"data": {"transform": {"y": {"bound": [0, 1]}}}},
            "unknown key data.transform.y.bound; did you mean data.transform.y.bounds?",
        ),
        (
            {"data": {"transform": {"y": {"bounds": [0]}}}},
            "Expected `array` of length 2, got 1 at data.transform.y.bounds",
        ),
        ({"data": {"transform": {"y": "log"}}}, "Invalid enum value 'log' at data.transform.y"),
        (
            {"data": {"source": "postgresql://me:geheim@host/plant"}},
            "data.source is the address postgresql://me:***@host/plant; say with data.query what to select there",
        ),
        (
            {"data": {"source": "sqlite:///plant.db", "query": " "}},
            "data.source is the address sqlite:///plant.db; say with data.query what to select there",
        ),
        (
            {"data": {"query": "SELECT 1"}},
            "data.query asks a database, and data.source is 'a.csv'; expected an address with ://",
        ),
        ({"model": {"levels": [80, 90, 80]}}, "model.levels names 80 twice; name each level once"),
        (
            {"data": {"timezone": "Berlin"}},
            "data.timezone is 'Berlin'; expected an IANA name such as UTC or Europe/Berlin",
        ),
        (
            {"data": {"freq": "hourly"}},
            "data.freq is 'hourly'; expected a pandas frequency such as min, 15min, h, D, W-MON or MS",
        ),
    ],
)
def test_a_contradiction_in_the_data_is_refused(sections: dict[str, Any], sentence: str) -> None:
    assert refusal(**sections) == f"gatecast.toml: {sentence}"


def test_columns_have_roles_and_natures_in_the_order_of_a_row() -> None:
    data = parse(
        data={
            "series": "id",
            "past": ["p"],
            "known": ["k"],
            "static": ["s", "c"],
            "categorical": ["c"],
            "transform": {"k": {"bounds": [0, math.inf]}, "x": "log1p", "y": "none", "p": {"integer": True}},
        }
    ).data
    assert data.columns == Columns(("x", "y"), ("p",), ("k",), ("s", "c"))
    assert data.transforms() == (
        Transform(log1p=True),
        PLAIN,
        Transform(integer=True),
        Transform(bounds=(0.0, None)),
    )


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:geheim@host/plant",
        "postgresql://me:ge%40heim@host/plant",
        "postgresql://me:geh@eim@host/plant",
        "postgresql://me:geheim@host:port/plant",
        "postgresql://host/plant?user=me&password=geheim",
        "mssql+pyodbc:///?odbc_connect=PWD%3Dgeheim",
        "no scheme://me:geheim@host/plant",
    ],
)
def test_what_is_shown_of_a_project_holds_no_password(address: str) -> None:
    project = parse(data={"source": address, "query": "SELECT 1"})
    shown = msgspec.json.encode(project.public()).decode()
    assert "***" in shown
    assert not any(secret in shown for secret in ("geh", "eim"))
    assert msgspec.structs.replace(project.public().data, source=address) == project.data


def test_a_project_without_a_password_is_shown_as_it_is() -> None:
    for source, query in (("a.csv", None), ("data/*.csv", None), ("sqlite:///plant.db", "SELECT 1")):
        project = parse(data={"source": source, "query": query})
        assert project.public() == project


@pytest.mark.parametrize(
    ("split", "reason"),
    [
        ((0.7, 0.0, 0.3), "each of train, validation and test must be above 0"),
        ((0.7, -0.1, 0.3), "each of train, validation and test must be above 0"),
        ((0.7, 0.2, 0.2), "fractions must not add up to more than 1"),
        ((100, 0.5, 20), "give three fractions below 1, or three whole numbers of rows"),
        ((100.5, 10, 20), "give three fractions below 1, or three whole numbers of rows"),
    ],
)
def test_a_split_that_contradicts_itself_is_refused(split: tuple[float, ...], reason: str) -> None:
    assert refusal(backtest={"split": list(split)}).endswith(f"; {reason}")


@pytest.mark.parametrize("split", [[0.7, 0.1, 0.2], [0.5, 0.1, 0.1], [0.6, 0.2, 0.2], [100, 10, 20], [1, 1, 1]])
def test_fractions_and_row_counts_are_both_a_split(split: list[float]) -> None:
    assert list(parse(backtest={"split": split}).backtest.split) == split


def test_a_missing_file_is_named_with_a_way_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"there is no project file .*; `gatecast demo` writes one to start from"):
        load_project(tmp_path / "gatecast.toml")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"name = ", "is not TOML"), (b"\xff\xfe", "cannot be read"), (b"name = 1\nname = 2", "TOML")],
)
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "gatecast.toml"
    path.write_bytes(content)
    with pytest.raises(ProjectError, match=reason):
        load_project(path)


def test_a_folder_is_no_project_file(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="cannot be read"):
        load_project(tmp_path)


def test_a_project_goes_to_builtins_and_back() -> None:
    project = parse()
    assert msgspec.convert(msgspec.to_builtins(project), Project) == project

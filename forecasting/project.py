"""The project file `gatecast.toml`, parsed once into one typed, frozen object.

Every key has a type, a range and (but for name, source, time and targets) a default; a key that is not known is an
error that names the nearest one that is.
"""

from __future__ import annotations

import difflib
import math
import tomllib
import typing
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import pandas as pd
from msgspec import Meta

from forecasting.addresses import is_address, without_password
from forecasting.errors import ProjectError
from forecasting.sections import (
    LOG,
    BacktestSection,
    DataSection,
    ModelSection,
    Nature,
    PromoteSection,
    ScheduleSection,
    Section,
    TrainSection,
)
from forecasting.transforms import Transform

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]


class Project(Section, frozen=True):
    """One registered model: its data, its architecture, its training and its calendar."""

    name: Name
    data: DataSection
    model: ModelSection = ModelSection()
    train: TrainSection = TrainSection()
    backtest: BacktestSection = BacktestSection()
    promote: PromoteSection = PromoteSection()
    schedule: ScheduleSection = ScheduleSection()
    folder: str = "."

    @property
    def source(self) -> Path:
        """The data file, relative paths counted from the folder of the project file."""
        return Path(self.folder) / self.data.source

    def public(self) -> Project:
        """Return the project as it may be shown and recorded: without a password in its source."""
        history = self.data.history and without_password(self.data.history)
        data = msgspec.structs.replace(self.data, source=without_password(self.data.source), history=history)
        return msgspec.structs.replace(self, data=data)


def allowing_schema_change(project: Project) -> Project:
    """Return a project under which a champion that cannot be compared makes way."""
    promote = msgspec.structs.replace(project.promote, allow_schema_change=True)
    return msgspec.structs.replace(project, promote=promote)


def warmed(project: Project) -> Project:
    """Return a project whose training begins with the members of the version in production."""
    return msgspec.structs.replace(project, train=msgspec.structs.replace(project.train, warm=True))


def load_project(path: Path) -> Project:
    """Read and check a project file.

    Raises:
        ProjectError: the file is missing, is no TOML, or holds something that is not understood.
    """
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        message = f"there is no project file {path}; `gatecast demo` writes one to start from"
        raise ProjectError(message) from None
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path} cannot be read: {error}"
        raise ProjectError(message) from error
    except tomllib.TOMLDecodeError as error:
        message = f"{path} is not TOML: {error}"
        raise ProjectError(message) from error
    return parse_project(tree, folder=path.parent, origin=str(path))


def parse_project(tree: dict[str, Any], folder: Path = Path(), origin: str = "project") -> Project:
    """Turn the tree of a project file into a `Project`; `folder` is what its relative paths start from.

    Raises:
        ProjectError: a key is unknown or a value has the wrong type or range.
    """
    _refuse_unknown_keys(tree, Project, origin, "")
    _refuse_strange_transforms(tree, origin)
    try:
        project = msgspec.convert(tree, Project)
    except msgspec.ValidationError as error:
        message = f"{origin}: {_in_toml_words(str(error))}"
        raise ProjectError(message) from None
    _refuse_contradictions(project, origin)
    return msgspec.structs.replace(project, folder=str(folder))


def _refuse_unknown_keys(tree: dict[str, Any], section: type[msgspec.Struct], origin: str, prefix: str) -> None:
    hints = typing.get_type_hints(section)
    valid = [key for key in section.__struct_fields__ if key != "folder"]
    for key, value in tree.items():
        if key not in valid:
            near = difflib.get_close_matches(key, valid, n=1, cutoff=0.5)
            advice = f"did you mean {prefix}{near[0]}?" if near else f"valid keys: {', '.join(valid)}"
            message = f"{origin}: unknown key {prefix}{key}; {advice}"
            raise ProjectError(message)
        if isinstance(hints[key], type) and issubclass(hints[key], Section) and isinstance(value, dict):
            _refuse_unknown_keys(value, hints[key], origin, f"{prefix}{key}.")


def _refuse_strange_transforms(tree: dict[str, Any], origin: str) -> None:
    """Check what is said of each column by itself: for all of them together, no column would be named."""
    data = tree.get("data")
    given = data.get("transform") if isinstance(data, dict) else None
    for name, one in given.items() if isinstance(given, dict) else ():
        if isinstance(one, dict):
            _refuse_unknown_keys(one, Transform, origin, f"data.transform.{name}.")
        try:
            msgspec.convert(one, Nature)
        except msgspec.ValidationError as error:
            message = f"{origin}: {_in_toml_words(str(error), f'data.transform.{name}')}"
            raise ProjectError(message) from None


def _in_toml_words(text: str, table: str = "") -> str:
    """Say where in the file, as TOML would: `$.data.freq` becomes `data.freq`; `table` is what `$` stands for."""
    said, _, where = text.partition(" - at `$")
    place = f"{table}{where.removesuffix('`')}".removeprefix(".")
    said = said.replace("Object", "the file").replace("object", "table")
    return f"{said} at {place}" if place else said


def _refuse_contradictions(project: Project, origin: str) -> None:
    data = project.data
    checks = (
        _bad_log(data),
        _bad_query(data),
        _repeated(data),
        _stray(data),
        _bad_transform(data),
        _bad_zone(data),
        _bad_freq(data),
    )
    for found in (*checks, _bad_levels(project.model), _bad_split(project.backtest)):
        if found:
            message = f"{origin}: {found}"
            raise ProjectError(message)


def _bad_query(data: DataSection) -> str | None:
    key, kept = ("data.history", data.history or "") if data.source == LOG else ("data.source", data.source)
    address, asked = is_address(kept), bool(data.query and data.query.strip())
    if address and not asked:
        return f"{key} is the address {without_password(kept)}; say with data.query what to select there"
    if data.query is not None and not address:
        return f"data.query asks a database, and {key} is {kept!r}; expected an address with ://"
    return None


def _bad_log(data: DataSection) -> str | None:
    """Find a key about the log where the log is not read, or one that names a stream among several series."""
    keys = {"history": data.history, "stream": data.stream, "principal": data.principal}
    given = [key for key, value in keys.items() if value is not None]
    if data.source != LOG and given:
        return f"data.{given[0]} goes with data.source = {LOG!r}, and that is {without_password(data.source)!r}"
    if data.history == LOG:
        return f"data.history is {LOG!r}; expected a file, a glob of files or an address"
    if data.stream is not None and data.series is not None:
        return "data.stream names one stream, and data.series says that there are several; leave one out"
    return None


def _named(data: DataSection) -> list[str]:
    return [data.time, *([data.series] if data.series else []), *data.columns.row, *data.static]


def _repeated(data: DataSection) -> str | None:
    named = _named(data)
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        return f"column {twice[0]!r} is named twice in [data]; a column is time, series, target or covariate, once"
    return None


def _stray(data: DataSection) -> str | None:
    """Find a name in one of the tables about columns that belongs to no column it could mean."""
    meant: dict[str, tuple[Collection[str], Sequence[str]]] = {
        "units": (data.units, _named(data)),
        "transform": (data.transform, data.columns.row),
        "categorical": (data.categorical, data.static),
    }
    for key, (given, valid) in meant.items():
        if stray := sorted(set(given) - set(valid)):
            expected = f"one of {', '.join(valid)}" if valid else "none: data.static is empty"
            return f"data.{key} names {stray[0]!r}; expected {expected}"
    if data.static and data.series is None:
        return "data.static needs data.series: a static column holds one value a series"
    return None


def _bad_transform(data: DataSection) -> str | None:
    for name, transform in zip(data.columns.row, data.transforms(), strict=True):
        if any(bound is not None and math.isnan(bound) for bound in transform.bounds):
            return f"data.transform.{name} has a bound that is no number; write inf where there is none"
        low, high = transform.limits
        if low is not None and high is not None and low >= high:
            return f"data.transform.{name} leaves values from {low:g} to {high:g}; the first must be the smaller"
    return None


def _bad_levels(model: ModelSection) -> str | None:
    twice = sorted({level for level in model.levels if model.levels.count(level) > 1})
    return f"model.levels names {twice[0]} twice; name each level once" if twice else None


def _bad_zone(data: DataSection) -> str | None:
    try:
        ZoneInfo(data.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return f"data.timezone is {data.timezone!r}; expected an IANA name such as UTC or Europe/Berlin"
    return None


def _bad_freq(data: DataSection) -> str | None:
    try:
        pd.tseries.frequencies.to_offset(data.freq)
    except ValueError:
        return f"data.freq is {data.freq!r}; expected a pandas frequency such as min, 15min, h, D, W-MON or MS"
    return None


def _bad_split(backtest: BacktestSection) -> str | None:
    split, fractions = backtest.split, all(part < 1 for part in backtest.split)
    if min(split) <= 0:
        return f"backtest.split is {split}; each of train, validation and test must be above 0"
    if fractions and sum(split) > 1 + 1e-9:
        return f"backtest.split is {split}; fractions must not add up to more than 1"
    if not fractions and any(part != int(part) for part in split):
        return f"backtest.split is {split}; give three fractions below 1, or three whole numbers of rows"
    return None

"""The project file `gatecast.toml`, parsed once into one typed, frozen object.

Every key has a type, a range and (but for name, source, time and targets) a default; a key that is not known is an
error that names the nearest one that is.
"""

from __future__ import annotations

import difflib
import re
import tomllib
import typing
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import pandas as pd
from msgspec import Meta

from forecasting.errors import ProjectError

Count = Annotated[int, Meta(ge=1)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
CellName = Literal["lstm", "gru", "rnn"]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the project file: immutable, and closed to keys it does not know."""


class DataSection(_Section, frozen=True):
    """Where the rows are and what their columns mean."""

    source: Annotated[str, Meta(min_length=1)]
    time: Annotated[str, Meta(min_length=1)]
    targets: Annotated[list[str], Meta(min_length=1)]
    timezone: str = "UTC"
    series: str | None = None
    past: list[str] = []
    known: list[str] = []
    static: list[str] = []
    freq: str = "h"
    units: dict[str, str] = {}
    transform: dict[str, Any] = {}


class ModelSection(_Section, frozen=True):
    """The architecture. `horizon` is in steps of `freq`."""

    cell: CellName = "lstm"
    channels: Literal["joint", "independent", "auto"] = "auto"
    horizon: Annotated[int, Meta(ge=1, le=1000)] = 1
    hidden: Annotated[int, Meta(ge=1, le=2048)] = 32
    layers: Annotated[int, Meta(ge=1, le=8)] = 1
    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.3


class TrainSection(_Section, frozen=True):
    """How the network is fitted. Lengths are in rows.

    One thread is as fast as two for networks of this size, does not collapse when other processes want the cores, and
    makes the weights independent of the machine's core count.
    """

    seed: Annotated[int, Meta(ge=0, lt=2**32)] = 0
    members: Annotated[int, Meta(ge=1, le=64)] = 3
    length: Annotated[int, Meta(ge=2)] = 192
    burn_in: Annotated[int, Meta(ge=0)] = 48
    batch: Count = 32
    epochs: Count = 60
    steps_per_epoch: Count = 20
    patience: Count = 8
    learning_rate: Annotated[float, Meta(gt=0, le=1)] = 1e-3
    weight_decay: Annotated[float, Meta(ge=0)] = 1e-2
    clip: Annotated[float, Meta(gt=0)] = 1.0
    threads: Count = 1
    device: Annotated[str, Meta(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = "auto"


class BacktestSection(_Section, frozen=True):
    """`split` gives train, validation and test: fractions of the time axis, or row counts from its start."""

    split: tuple[float, float, float] = (0.7, 0.1, 0.2)


class PromoteSection(_Section, frozen=True):
    """When a new version takes the alias `production`."""


class ScheduleSection(_Section, frozen=True):
    """When to retrain."""

    cron: str = "0 3 * * *"


class Project(_Section, frozen=True):
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
        if isinstance(hints[key], type) and issubclass(hints[key], _Section) and isinstance(value, dict):
            _refuse_unknown_keys(value, hints[key], origin, f"{prefix}{key}.")


def _in_toml_words(text: str) -> str:
    """Say where in the file, as TOML would: `$.data.freq` becomes `data.freq`."""
    return re.sub(r" - at `\$\.?(.*)`$", r" at \1", text).replace("Object", "the file").replace("object", "table")


def _refuse_contradictions(project: Project, origin: str) -> None:
    data = project.data
    for found in (_repeated(data), _later(project), _bad_zone(data), _bad_freq(data), _bad_split(project.backtest)):
        if found:
            message = f"{origin}: {found}"
            raise ProjectError(message)


def _repeated(data: DataSection) -> str | None:
    named = [data.time, *([data.series] if data.series else []), *data.targets, *data.past, *data.known]
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        return f"column {twice[0]!r} is named twice in [data]; a column is time, series, target or covariate, once"
    stray = sorted(set(data.units) - set(named))
    return f"data.units names {stray[0]!r}, which is no column of [data]" if stray else None


def _later(project: Project) -> str | None:
    for key in ("past", "known", "static", "transform"):
        if getattr(project.data, key):
            hint = "leave it empty" if key == "transform" else "leave it empty (calendar features come from freq)"
            return f"data.{key} is not supported by this version; {hint}"
    if project.model.channels == "independent":
        return "model.channels = 'independent' is not supported by this version; auto and joint are the same now"
    return None


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

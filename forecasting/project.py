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
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import pandas as pd
from msgspec import Meta

from forecasting.addresses import is_address, without_password
from forecasting.columns import Columns
from forecasting.errors import ProjectError
from forecasting.transforms import PLAIN, Transform

Count = Annotated[int, Meta(ge=1)]
Level = Annotated[int, Meta(ge=1, le=99)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
Nature = Literal["none", "log1p"] | Transform
CellName = Literal["lstm", "gru", "rnn"]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the project file: immutable, and closed to keys it does not know."""


class DataSection(_Section, frozen=True):
    """Where the rows are and what their columns mean.

    `source` is a file (csv, csv.gz, parquet), a glob of files, or a SQLAlchemy URL with a `query`; a password need not
    stand in it where the driver finds one by itself (`~/.pgpass`, `PGPASSWORD`). Static columns whose values are all
    numbers are numbers, unless `categorical` names them. `scaling` is by each series' own training rows or, for all
    series alike, by those of the whole panel.
    """

    source: Annotated[str, Meta(min_length=1)]
    time: Annotated[str, Meta(min_length=1)]
    targets: Annotated[list[str], Meta(min_length=1)]
    query: str | None = None
    timezone: str = "UTC"
    series: str | None = None
    past: list[str] = []
    known: list[str] = []
    static: list[str] = []
    categorical: list[str] = []
    freq: str = "h"
    units: dict[str, str] = {}
    transform: dict[str, Nature] = {}
    scaling: Literal["series", "panel"] = "series"

    @property
    def columns(self) -> Columns:
        """The columns by role."""
        return Columns(tuple(self.targets), tuple(self.past), tuple(self.known), tuple(self.static))

    def transforms(self) -> tuple[Transform, ...]:
        """Return what each column of a row is, in the order of `columns.row`."""
        shorthand = {"none": PLAIN, "log1p": Transform(log1p=True)}
        wanted = [self.transform.get(name, PLAIN) for name in self.columns.row]
        return tuple(shorthand[one] if isinstance(one, str) else _bounded(one) for one in wanted)


def _bounded(transform: Transform) -> Transform:
    """Return the transform with None where a bound is infinite, which JSON could not keep."""
    low, high = (None if bound is None or math.isinf(bound) else bound for bound in transform.bounds)
    return msgspec.structs.replace(transform, bounds=(low, high))


class ModelSection(_Section, frozen=True):
    """The architecture. `horizon` is in steps of `freq`, `levels` are those of the intervals in percent.

    `channels`: one network that sees all targets together, or one shared by the targets that sees each alone. `linear`:
    the linear road of a target sees its own past (channel), that of all, or is left out. Both are chosen on validation
    rows when `auto`.
    """

    cell: CellName = "lstm"
    channels: Literal["joint", "independent", "auto"] = "auto"
    linear: Literal["channel", "all", "none", "auto"] = "auto"
    horizon: Annotated[int, Meta(ge=1, le=1000)] = 1
    levels: Annotated[list[Level], Meta(min_length=1)] = msgspec.field(default_factory=lambda: [80, 90, 95])
    hidden: Annotated[int, Meta(ge=1, le=2048)] = 32
    layers: Annotated[int, Meta(ge=1, le=8)] = 1
    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.3


class TrainSection(_Section, frozen=True):
    """How the network is fitted. Lengths are in rows.

    At most `threads` members learn side by side, each on one thread: the weights are the same whatever their number.
    """

    seed: Annotated[int, Meta(ge=0, lt=2**32)] = 0
    members: Annotated[int, Meta(ge=1, le=64)] = 3
    length: Annotated[int, Meta(ge=2)] = 192
    burn_in: Annotated[int, Meta(ge=0)] = 48
    batch: Count = 32
    epochs: Count = 60
    steps_per_epoch: Count = 20
    patience: Count = 6
    learning_rate: Annotated[float, Meta(gt=0, le=1)] = 6e-3
    weight_decay: Annotated[float, Meta(ge=0)] = 1e-2
    clip: Annotated[float, Meta(gt=0)] = 1.0
    threads: Annotated[int, Meta(ge=1, le=64)] = 8
    device: Annotated[str, Meta(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = "auto"


class BacktestSection(_Section, frozen=True):
    """`split` gives train, validation and test: fractions of the time axis, or row counts from its start.

    Of fractions the test part is at most the `newest` rows; where a model is retrained that is 1,000 unless said here.
    """

    split: tuple[float, float, float] = (0.7, 0.1, 0.2)
    newest: Count | None = None


class PromoteSection(_Section, frozen=True):
    """When a new version takes the alias `production` from the champion, which holds it.

    `better`: it beats the naive forecasts, and the champion beyond chance (two-sided p below `level`) and by `min_gain`
    of its loss. `not-worse`: it is not worse beyond chance, nor by `min_gain`. `manual`: what the gate would do is
    recorded, and nothing is moved. With `allow_schema_change` a champion that cannot be compared, because its columns,
    steps or horizon are others, makes way.
    """

    mode: Literal["better", "not-worse", "manual"] = "better"
    min_gain: Annotated[float, Meta(ge=0, lt=1)] = 0.01
    level: Annotated[float, Meta(gt=0, lt=1)] = 0.05
    allow_schema_change: bool = False


class ScheduleSection(_Section, frozen=True):
    """When to retrain: a cron expression of five fields, by the clock of `timezone`.

    A run starts up to `jitter_seconds` later, may take `minutes` and `memory_mb`, and is tried again `retries` times
    where it failed for a reason that may pass.
    """

    cron: str = "0 3 * * *"
    timezone: str = "UTC"
    jitter_seconds: Annotated[float, Meta(ge=0, le=3600)] = 0.0
    retries: Annotated[int, Meta(ge=0, le=100)] = 3
    minutes: Annotated[float, Meta(gt=0)] = 240.0
    memory_mb: Count = 16_384


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

    def public(self) -> Project:
        """Return the project as it may be shown and recorded: without a password in its source."""
        data = msgspec.structs.replace(self.data, source=without_password(self.data.source))
        return msgspec.structs.replace(self, data=data)


def allowing_schema_change(project: Project) -> Project:
    """Return a project under which a champion that cannot be compared makes way."""
    promote = msgspec.structs.replace(project.promote, allow_schema_change=True)
    return msgspec.structs.replace(project, promote=promote)


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
        if isinstance(hints[key], type) and issubclass(hints[key], _Section) and isinstance(value, dict):
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
    checks = (_bad_query(data), _repeated(data), _stray(data), _bad_transform(data), _bad_zone(data), _bad_freq(data))
    for found in (*checks, _bad_levels(project.model), _bad_split(project.backtest)):
        if found:
            message = f"{origin}: {found}"
            raise ProjectError(message)


def _bad_query(data: DataSection) -> str | None:
    address, asked = is_address(data.source), bool(data.query and data.query.strip())
    if address and not asked:
        return f"data.source is the address {without_password(data.source)}; say with data.query what to select there"
    if data.query is not None and not address:
        return f"data.query asks a database, and data.source is {data.source!r}; expected an address with ://"
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

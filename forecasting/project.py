"""The project file `gatecast.toml`, parsed once into one typed, frozen object.

Every key has a type, a range and (but for name, source, time and targets) a default; a key that is not known is an
error that names the nearest one that is.
"""

from __future__ import annotations

import difflib
import tomllib
import typing
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from forecasting.addresses import without_password
from forecasting.contradictions import contradiction
from forecasting.errors import ProjectError
from forecasting.sections import (
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
    if found := contradiction(project.data, project.model, project.train, project.backtest):
        message = f"{origin}: {found}"
        raise ProjectError(message)
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

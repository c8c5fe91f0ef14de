"""What a search may change of a project, in what range, and the project with settings changed. It searches nothing.

A setting is named by its place in the project file: `model.hidden` is the key `hidden` of the table `[model]`.
"""

from __future__ import annotations

import hashlib
import json
from itertools import groupby
from typing import Any, TypeAlias

import msgspec

from forecasting.assembly import Prepared
from forecasting.project import Project

Setting: TypeAlias = str | int | float
Settings: TypeAlias = dict[str, Setting]

CHANNELS = ("independent", "joint")
LENGTHS = (96, 128, 192, 256, 384, 512)
STUDIED = ("data", "model", "train", "backtest")
UNSTUDIED = frozenset({"train.members", "train.threads"})
"""Settings that move no error of a trial: it has one member, and as many threads as there are."""


class Choice(msgspec.Struct, frozen=True, tag=True):
    """One of these."""

    options: tuple[str | int, ...]

    def including(self, own: Any) -> Choice:
        """Return the options with one more if it is not among them."""
        return self if own in self.options else Choice((*self.options, own))


class Whole(msgspec.Struct, frozen=True, tag=True):
    """A whole number, both ends included, drawn by its logarithm."""

    low: int
    high: int

    def including(self, own: Any) -> Whole:
        """Return a range that reaches to one more."""
        return Whole(min(self.low, own), max(self.high, own))


class Number(msgspec.Struct, frozen=True, tag=True):
    """A number, drawn evenly or (`log`) by its logarithm."""

    low: float
    high: float
    log: bool

    def including(self, own: Any) -> Number:
        """Return a range that reaches to one more; 0 has no logarithm and stays outside."""
        low = self.low if self.log and own <= 0 else min(self.low, own)
        return Number(low, max(self.high, own), self.log)


Space: TypeAlias = dict[str, Choice | Whole | Number]

SPACE: Space = {
    "model.cell": Choice(("lstm", "gru")),
    "model.channels": Choice(CHANNELS),
    "model.hidden": Whole(16, 96),
    "model.layers": Whole(1, 2),
    "model.dropout": Number(0.0, 0.6, log=False),
    "train.length": Choice(LENGTHS),
    "train.learning_rate": Number(1e-3, 2e-2, log=True),
    "train.weight_decay": Number(1e-4, 1e-1, log=True),
}


def space_of(project: Project, prepared: Prepared) -> Space:
    """Return the ranges for a project and its data, wide enough for its own settings.

    A sequence is no longer than the training rows of the longest series allow; a single target is seen one way.
    """
    room = max(one.train.stop for one in prepared.series) - project.model.horizon - project.train.burn_in
    lengths = Choice(tuple(length for length in LENGTHS if length <= room))
    space: Space = {**SPACE, "model.channels": Choice(_ways(project)), "train.length": lengths}
    for settings in own_settings(project):
        space = {key: one.including(settings[key]) for key, one in space.items()}
    return space


def own_settings(project: Project) -> list[Settings]:
    """Return the settings of a project; those that leave the channels open become one for each way to see them."""
    tree = msgspec.to_builtins(project)
    settings = {key: tree[section][name] for key, section, name in _places()}
    way = project.model.channels
    return [{**settings, "model.channels": one} for one in _ways(project) if way in (one, "auto") or not _many(project)]


def _ways(project: Project) -> tuple[str, ...]:
    return CHANNELS if _many(project) else ("joint",)


def _many(project: Project) -> bool:
    return len(project.data.targets) > 1


def inside(settings: Settings, space: Space) -> Settings:
    """Return the point of the space that stands for settings: themselves, but for a 0 that has no logarithm."""
    least = {key: one.low for key, one in space.items() if isinstance(one, Number) and one.log}
    return settings | {key: max(float(settings[key]), low) for key, low in least.items()}


def with_settings(project: Project, settings: Settings) -> Project:
    """Return the project with these settings instead of its own."""
    for key, value in settings.items():
        section, _, name = key.partition(".")
        table = msgspec.structs.replace(getattr(project, section), **{name: value})
        project = msgspec.structs.replace(project, **{section: table})
    return project


def study_name(project: Project, space: Space, digest: str) -> str:
    """Return a name that searches share where an error on validation rows means the same to all of them.

    That is for the same data (their `digest`), the same ranges, and the same settings that are not searched.
    """
    content = msgspec.json.encode([digest, space, fixed_settings(project, space)], order="deterministic")
    return hashlib.sha256(content).hexdigest()[:16]


def fixed_settings(project: Project, space: Space) -> dict[str, Any]:
    """Return what all trials have in common, no password."""
    tree = msgspec.to_builtins(project.public())
    settings = {f"{section}.{name}": value for section in STUDIED for name, value in tree[section].items()}
    return {key: value for key, value in settings.items() if key not in {*space, *UNSTUDIED}}


def toml_of(settings: Settings) -> str:
    """Return settings as tables of the project file."""
    lines: list[str] = []
    for section, places in groupby(_places(), key=lambda place: place[1]):
        lines += [f"[{section}]", *(f"{name} = {json.dumps(settings[key])}" for key, _, name in places)]
    return "\n".join(lines)


def _places() -> list[tuple[str, str, str]]:
    """Return (setting, table, key) of all that are searched."""
    return [(key, key.partition(".")[0], key.partition(".")[2]) for key in SPACE]

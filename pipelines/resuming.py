"""What a training begins with: where one like it was ended, or the members of the version in production."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import msgspec
import pandas as pd
from rich.console import Console

from forecasting.assembly import Prepared
from forecasting.bundle import Bundle
from forecasting.errors import BundleError, NoSuchModel
from forecasting.project import Project
from forecasting.registry import PRODUCTION, Registry
from pipelines.provenance import PACKAGES
from pipelines.versions import open_version


@contextmanager
def resumable(home: Path, project: Project, digest: str, warm: Bundle | None, console: Console) -> Iterator[Path]:
    """Give a folder in which the training of a project on data of this digest is kept until the block is done.

    What is there of another training of the project is deleted: of other data or settings, or by other packages.
    """
    ours = home / "checkpoints" / project.name
    folder = ours / _key(project, digest, warm)
    for other in ours.glob("*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.glob("*.safetensors")):
        console.print(
            "training goes on where one of the same data and settings was ended", highlight=False, soft_wrap=True
        )
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def warm_from(registry: Registry, project: Project, prepared: Prepared, console: Console) -> Bundle | None:
    """Return the version in production, if `train.warm` asks for it and training may begin with its members."""
    if not project.train.warm:
        return None
    try:
        found = open_version(registry, registry.version(project.name, PRODUCTION))
        why = _unfit(found, prepared)
    except NoSuchModel:
        why = "there is none"
    except BundleError as error:
        why = f"it cannot be opened ({error})"
    said = (
        f"anew, not with the members in production: {why}" if why else "with the members of the version in production"
    )
    console.print(f"training begins {said}", highlight=False, soft_wrap=True)
    return None if why else found


def _unfit(champion: Bundle, prepared: Prepared) -> str:
    """Say why members must not be begun with; nothing if they may.

    They must have learnt from what are training rows now, and been chosen by rows before the test part: else the rows
    that judge them would be known to them.
    """
    where, split = champion.spec.provenance, prepared.split
    if champion.spec.columns != prepared.panel.columns or champion.statics.columns != prepared.scales.statics.columns:
        return "its columns, or categories, are others"
    if where.train_end is None or where.seen_end is None:
        return "it does not say what it has learnt from"
    if pd.Timestamp(where.train_end) > split.valid or pd.Timestamp(where.seen_end) > split.test:
        return f"it has learnt from rows until {where.seen_end}, which are to judge it"
    return ""


def _key(project: Project, digest: str, warm: Bundle | None) -> str:
    """Return what is the same for two trainings that come to the same weights."""
    builtins = msgspec.to_builtins(project)
    settings = {name: builtins[name] for name in ("data", "model", "train", "backtest")}
    begun = None if warm is None else warm.spec.provenance
    packages = {name: version(name) for name in PACKAGES}
    content = msgspec.json.encode([settings, digest, msgspec.to_builtins(begun), packages], order="deterministic")
    return hashlib.sha256(content).hexdigest()[:16]

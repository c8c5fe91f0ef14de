"""The data that is measured on: the demo panel of the package, or rows made up from a seed."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from forecasting.project import Project, load_project


def demo_file() -> Path:
    """Return the project file of the demo panel."""
    return Path(str(files("pipelines.demo") / "gatecast.toml"))


def demo_project() -> Project:
    """Return the project of the demo panel."""
    return load_project(demo_file())

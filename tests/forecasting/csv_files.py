"""Csv files to test with, and what the reading says about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from forecasting.errors import DataRejected
from forecasting.project import Project, parse_project
from forecasting.reading import read_panel

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from forecasting.series import Panel

HEADER = "time,x,y"


def cells(panel: Panel) -> np.ndarray:
    """Return the values of the first series."""
    first, *_ = panel
    return first.values


def project(folder: Path, **data: object) -> Project:
    section = {"source": "data.csv", "time": "time", "targets": ["x", "y"], **data}
    return parse_project({"name": "demo", "data": section}, folder=folder)


def numbers(at: int) -> str:
    return f"{at * 7 % 11},{at * 5 % 13}"


def clean(count: int = 40, freq: str = "h", start: str = "2013-01-01", suffix: str = "Z") -> list[str]:
    times = pd.date_range(start, periods=count, freq=freq)
    return [HEADER, *(f"{time.isoformat()}{suffix},{numbers(at)}" for at, time in enumerate(times))]


def write(folder: Path, lines: list[str], name: str = "data.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def findings(folder: Path, lines: list[str], **data: object) -> list[str]:
    """Every finding about the lines of a file, as the action and the sentence."""
    write(folder, lines)
    try:
        report = read_panel(project(folder, **data))[1]
    except DataRejected as error:
        report = error.report
    return [f"{finding.action} {finding.sentence}" for finding in report.findings]


def panel_lines(*parts: tuple[str, list[str]]) -> list[str]:
    return ["id,time,x,y", *(f"{name},{line}" for name, lines in parts for line in lines)]

"""No package that reads what others send is older than the release that closed what was found in it."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]

FLOORS = {
    "mlflow": ("3.10", "CVE-2026-2614: files read without authentication when a model version is made"),
    "torch": ("2.6", "CVE-2025-32434: code run by torch.load even with weights_only"),
    "starlette": ("1.3.1", "CVE-2026-54282, -54283: limits of URLs and forms; CVE-2025-62727 and others before"),
    "h11": (
        "0.16",
        "CVE-2025-43859: malformed chunks let a request be smuggled; reads for whoever starts uvicorn by hand",
    ),
    "httptools": (
        "0.6.3",
        "the parser of service/wire.py; uvicorn tells it how to end a connection, which older ones lack",
    ),
    "uvicorn": ("0.54", "the protocol class that service/wire.py derives from"),
}
"""The least version of each, and why."""

INDIRECT = {"h11"}
"""Brought by others; nothing of ours imports it."""


@pytest.mark.parametrize("package", FLOORS)
def test_what_is_installed_is_no_older(package: str) -> None:
    least, why = FLOORS[package]
    assert Version(version(package)) >= Version(least), why


@pytest.mark.parametrize("package", sorted(FLOORS.keys() - INDIRECT))
def test_what_is_declared_lets_nothing_older_in(package: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {found.name: found for found in map(Requirement, project["dependencies"])}
    lowest = [Version(one.version) for one in declared[package].specifier if one.operator in {">=", "=="}]
    assert max(lowest) >= Version(FLOORS[package][0]), FLOORS[package][1]


def test_the_tested_versions_are_no_older() -> None:
    pins = dict(re.findall(r"^([\w.-]+)==([\w.+]+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    old = {name: pins[name] for name, (least, _) in FLOORS.items() if Version(pins[name]) < Version(least)}
    assert old == {}

"""The house is as drawn: contracts hold, the packages are ours, and the pages name what exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import forecasting
import pipelines
import service

ROOT = Path(__file__).parents[1]
PACKAGES = (forecasting, service, pipelines)
SOURCES = sorted(path for package in ("forecasting", "service", "pipelines") for path in (ROOT / package).rglob("*.py"))


def test_the_import_contracts_hold() -> None:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_the_packages_imported_are_ours_and_no_strangers_of_the_same_name() -> None:
    homes = {Path(package.__file__).parents[1] for package in PACKAGES}
    assert homes == {ROOT}


def test_every_place_in_the_readme_exists() -> None:
    table = (ROOT / "README.md").read_text().split("## Where is ...?")[1].split("##")[0]
    places = re.findall(r"\| `([^`]+)` \|", table)
    assert len(places) > 15
    assert [place for place in places if not (ROOT / place).exists()] == []


def test_the_architecture_page_names_every_module() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text().split("## Modules")[1]
    named = set(re.findall(r"([\w/]+\.py)`", page))
    lacking = [
        path.name for path in SOURCES if path.name != "__init__.py" and path.name not in {Path(n).name for n in named}
    ]
    assert lacking == []


def test_the_architecture_page_names_no_module_that_is_gone() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text().split("## Modules")[1]
    named = {Path(name).name for name in re.findall(r"([\w/]+\.py)`", page)}
    assert named - {path.name for path in SOURCES} == set()


def test_the_environment_is_read_in_one_file_of_each_package_that_may() -> None:
    readers = {str(path.relative_to(ROOT)) for path in SOURCES if re.search(r"\bos\.environ|getenv", path.read_text())}
    assert readers == {"service/settings.py", "pipelines/settings.py"}


def test_nothing_we_wrote_can_open_a_pickle() -> None:
    pattern = re.compile(r"\bimport (pickle|cloudpickle|joblib|dill)\b|torch\.load|read_pickle|allow_pickle=True")
    assert [path.name for path in SOURCES if pattern.search(path.read_text())] == []


def test_importing_forecasting_imports_neither_mlflow_nor_lightning() -> None:
    assert _heavy_imports_of("forecasting") == "[]"


@pytest.mark.parametrize("module", ["service.app", "forecasting.bundle", "forecasting.windows"])
def test_what_serving_imports_includes_no_lightning_and_no_mlflow(module: str) -> None:
    assert _heavy_imports_of(module) == "[]"


def _heavy_imports_of(module: str) -> str:
    heavy = ("mlflow", "pytorch_lightning", "statsmodels", "matplotlib")
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return found.stdout.strip()

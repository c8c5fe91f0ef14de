"""The tiny bundles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from forecasting.bundle import Bundle, save_bundle
from tests import bundles


@pytest.fixture(scope="session")
def make_bundle() -> Callable[..., Bundle]:
    """Return the maker of tiny bundles, for those who need another one."""
    return bundles.make_bundle


@pytest.fixture(scope="session")
def tiny_bundle() -> Bundle:
    """Return the tiny bundle."""
    return bundles.make_bundle()


@pytest.fixture(scope="session")
def rich_bundle() -> Bundle:
    """Return the tiny bundle with covariates of every kind."""
    return bundles.make_rich_bundle()


@pytest.fixture(scope="session")
def tiny_folder(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the tiny bundle was saved in."""
    folder = tmp_path_factory.mktemp("tiny") / "bundle"
    save_bundle(tiny_bundle, folder)
    return folder

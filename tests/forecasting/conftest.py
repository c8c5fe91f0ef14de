"""The tiny bundles."""

from __future__ import annotations

import pytest

from forecasting.bundle import Bundle
from tests import bundles


@pytest.fixture(scope="session")
def rich_bundle() -> Bundle:
    """Return the tiny bundle with covariates of every kind."""
    return bundles.make_rich_bundle()

"""What holds for every test: one thread, a seed, no deadline for an example."""

from __future__ import annotations

import pytest
import torch
from hypothesis import settings


def pytest_configure() -> None:
    """Leave the other cores to others, and the time of an example to the machine."""
    torch.set_num_threads(1)
    settings.register_profile("patient", deadline=None)
    settings.load_profile("patient")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Let weights that no test seeds be the same whichever tests ran before."""
    torch.manual_seed(0)

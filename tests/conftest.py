"""A tiny real bundle: two columns, hourly, a panel of two series, weights drawn from a seed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from hypothesis import settings

from forecasting.bundle import FORMAT, Bundle, Provenance, Spec, save_bundle
from forecasting.calendar import Calendar
from forecasting.network import Architecture, Forecaster
from forecasting.scaling import Scale, Scaler


def pytest_configure() -> None:
    """Leave the other cores to others, and the time of an example to the machine."""
    torch.set_num_threads(1)
    settings.register_profile("patient", deadline=None)
    settings.load_profile("patient")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Let weights that no test seeds be the same whichever tests ran before."""
    torch.manual_seed(0)


def _forecaster(architecture: Architecture) -> Forecaster:
    forecaster = Forecaster(architecture)
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in forecaster.parameters():
            weight.copy_(torch.randn(weight.shape, generator=draw) * 0.1)
    return forecaster.eval().requires_grad_(False)


def _make(**changes: Any) -> Bundle:
    """Build a bundle; `horizon` and the fields of `Spec` can be changed. `b` has no plausible limits."""
    horizon = changes.pop("horizon", 2)
    calendar = changes.pop("calendar", Calendar(freq="h"))
    architecture = Architecture(
        cell="lstm", columns=2, calendar=calendar.width, horizon=horizon, lags=4, hidden=8, layers=1, dropout=0.0,
        members=2,
    )  # fmt: skip
    spec = Spec(
        format=FORMAT,
        name="tiny",
        architecture=architecture,
        targets=("a", "b"),
        calendar=calendar,
        lookback=6,
        missing=True,
        panel=True,
        units={"a": "degF"},
        provenance=Provenance(data_hash="sha256:00"),
    )
    scale = Scale(mean=(10.0, 1000.0), std=(2.0, 50.0), lower=(-90.0, None), upper=(110.0, None))
    other = msgspec.structs.replace(scale, mean=(20.0, 900.0))
    scaler = Scaler(series={"north": scale, "south": other}, overall=scale)
    return Bundle(msgspec.structs.replace(spec, **changes), _forecaster(architecture), scaler)


@pytest.fixture(scope="session")
def make_bundle() -> Callable[..., Bundle]:
    """Return the maker of tiny bundles, for those who need another one."""
    return _make


@pytest.fixture(scope="session")
def tiny_bundle() -> Bundle:
    """Return the tiny bundle."""
    return _make()


@pytest.fixture(scope="session")
def tiny_folder(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the tiny bundle was saved in."""
    folder = tmp_path_factory.mktemp("tiny") / "bundle"
    save_bundle(tiny_bundle, folder)
    return folder

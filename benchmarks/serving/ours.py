"""A registry with versions of the measured model, and the window that is asked.

`python -m benchmarks.serving.ours HOME` moves the alias `production` to the version that stands on each line of its
standard input, and says when it has.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
import pandas as pd
import torch

from benchmarks.inprocess import COLUMNS, NEWEST, ROWS, Case, bundle_of
from forecasting.bundle import Bundle, save_bundle
from forecasting.conformal import Calibration, Outcome, calibrate
from forecasting.registry import Registry, embedded
from forecasting.scaling import Scaler

NAME = "benchmark"
CASE = Case("joint", hidden=64, layers=2, members=1, horizon=1, timezone="UTC")
RESIDUALS = 999
DECISION = {"promote": True, "reason": "measured"}


def measured_bundle(seed: int = 0, case: Case = CASE) -> Bundle:
    """Return the model: weights drawn from a seed, intervals calibrated on errors that are drawn too."""
    torch.manual_seed(seed)
    bundle = bundle_of(case)
    for weight in bundle.forecaster.parameters():
        weight.add_(0.05 * torch.randn_like(weight))  # some start at zero, whatever the seed
    return replace(bundle, calibration=_calibration(bundle.scaler))


def _calibration(scaler: Scaler) -> Calibration:
    draw, shape = np.random.default_rng(0), (RESIDUALS, CASE.horizon, COLUMNS)
    said, came = (draw.normal(size=shape).astype(np.float32) for _ in range(2))
    scale = np.ones(shape, dtype=np.float32)
    return calibrate([Outcome(said, said, scale, came, scaler.units(None).first(COLUMNS))], (80, 90, 95))


def make_home(home: Path, versions: int = 1, case: Case = CASE) -> None:
    """Register that many versions, each with weights of its own; the first is in production."""
    registry = Registry(*embedded(home))
    for seed in range(versions):
        with TemporaryDirectory() as scratch, registry.run(NAME) as run:
            save_bundle(measured_bundle(seed, case), Path(scratch) / "bundle")
            run.register(Path(scratch) / "bundle", _example())
    registry.promote(registry.version(NAME, "1"), DECISION)


def _example() -> pd.DataFrame:
    index = pd.date_range(end=pd.Timestamp(NEWEST, tz="UTC"), periods=ROWS, freq="h")
    return pd.DataFrame(rows(), index=index, columns=[f"c{place}" for place in range(COLUMNS)])


def rows(seed: int = 0) -> np.ndarray:
    """Return a window of numbers with 4 decimals."""
    return np.random.default_rng(seed).normal(size=(ROWS, COLUMNS)).round(4)


def body() -> bytes:
    """Return the request that is measured."""
    return msgspec.json.encode({"observations": rows().tolist(), "last_timestamp": f"{_newest():%Y-%m-%dT%H:%M:%SZ}"})


def _newest() -> pd.Timestamp:
    return pd.Timestamp(NEWEST, tz="UTC")


def main(home: Path) -> None:
    """Move the alias when told."""
    registry = Registry(*embedded(home))
    versions = {one.version: one for one in registry.versions(NAME)}
    print("ready", flush=True)
    for line in sys.stdin:
        registry.promote(versions[line.strip()], DECISION)
        print(time.monotonic(), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

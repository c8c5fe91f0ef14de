"""Rows for the tiny bundle, and where the artifact of the only version lies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from forecasting.calendar import nanoseconds
from forecasting.prediction import Window


def frame(rows: int = 12, seed: int = 0, series: str = "north") -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    values = {"a": 10 + draw.normal(size=rows), "b": 1000 + 30 * draw.normal(size=rows)}
    times = pd.date_range("2024-03-01", periods=rows, freq="h", tz="UTC")
    return pd.DataFrame(values, index=times).assign(series=series)


def window(rows: pd.DataFrame) -> Window:
    return Window(rows[["a", "b"]].to_numpy(np.float32), nanoseconds(rows.index), rows["series"].iloc[0])


def artifact_of(home: Path) -> Path:
    (found,) = home.glob("artifacts/tiny/models/*/artifacts")
    return found

"""Builders of small panels, and of forecasters whose every weight matters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import torch
from hypothesis import strategies as st
from torch import Tensor

from forecasting.calendar import Calendar, nanoseconds
from forecasting.network import Architecture, Forecaster, Rows, State
from forecasting.project import Project, TrainSection, parse_project
from forecasting.scaled import Part, ScaledSeries, scale_panel
from forecasting.scaling import Units, fit_scaler
from forecasting.series import Panel, Series, cut

CELLS = ("lstm", "gru", "rnn")
HOURLY = Calendar(freq="h")
NO_CALENDAR = Calendar(freq="YS")
START = pd.Timestamp("2024-01-01", tz="UTC")


def series(name: str, values: np.ndarray, late: int = 0) -> Series:
    """Build an hourly series that starts `late` rows behind START."""
    index = pd.date_range(START + pd.Timedelta(hours=late), periods=len(values), freq="h")
    return Series(name, index, np.asarray(values, dtype=np.float32))


def panel(*parts: Series) -> Panel:
    return Panel(tuple("abcdefgh"[: parts[0].values.shape[1]]), "h", "UTC", parts)


def scaled(*parts: Series, split: tuple[float, float, float] = (0.6, 0.2, 0.2)) -> tuple[ScaledSeries, ...]:
    """Cut and scale hourly series as training does."""
    whole = panel(*parts)
    cuts = cut(whole, split)
    return scale_panel(whole, fit_scaler(cuts.train(whole)), HOURLY, cuts)


def plain(z: Any, valid: int, test: int, calendar: Calendar = NO_CALENDAR) -> ScaledSeries:
    """Build a series whose z units are its own; validation starts at row `valid`, the test part at row `test`."""
    values = np.asarray(z, dtype=np.float32)
    one = series("a", values)
    limit = np.full(values.shape[1], np.inf, dtype=np.float32)
    units = Units(np.zeros_like(limit), np.ones_like(limit), -limit, limit)
    parts = (Part(0, valid), Part(valid, test), Part(test, len(values)))
    return ScaledSeries(one, units, calendar, nanoseconds(one.index), *parts)


def walk(rows: int, columns: int = 2, seed: int = 0, missing: float = 0.0) -> np.ndarray:
    """Draw a slow random walk that returns to 0, with a share of cells missing."""
    draw = np.random.default_rng(seed)
    values = np.zeros((rows, columns))
    for row in range(1, rows):
        values[row] = 0.9 * values[row - 1] + draw.normal(size=columns)
    values[draw.random(values.shape) < missing] = np.nan
    return values.astype(np.float32)


def architecture(**changes: Any) -> Architecture:
    fields: dict[str, Any] = {
        "cell": "lstm", "columns": 2, "calendar": 0, "horizon": 2, "lags": 3, "hidden": 4, "layers": 1,
        "dropout": 0.0, "members": 2,
    }  # fmt: skip
    return Architecture(**fields | changes)


def forecaster(seed: int = 0, **changes: Any) -> Forecaster:
    """Build a forecaster with random heads, linear road, share and spread; the latter two are positive."""
    built = Forecaster(architecture(**changes))
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in (*built.parameters(), *built.linear.buffers()):
            weight.copy_(torch.randn(weight.shape, generator=draw) * 0.3)
        for weight in (built.share, built.spread):
            weight.copy_(torch.rand(weight.shape, generator=draw) + 0.5)
    return built.eval().requires_grad_(False)


def tensors(state: State) -> list[Tensor]:
    """List every tensor of a state."""
    return [state.level, state.seen, state.absence, state.changes, *(part for cell in state.cells for part in cell)]


def close(ours: Any, theirs: Any, tolerance: float = 1e-5) -> None:
    """Assert equality within atol + rtol * |x|, both at the tolerance."""
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


@dataclass(frozen=True)
class Case:
    """An architecture but for its cell, and rows for it."""

    fields: dict[str, Any]
    rows: Rows
    seed: int

    def forecaster(self, cell: str) -> Forecaster:
        return forecaster(self.seed, cell=cell, **self.fields)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw small architectures and rows: complete, with holes, with late first rows, with a column never seen."""
    fields = {
        "columns": draw(st.integers(1, 3)),
        "calendar": draw(st.sampled_from([0, 2])),
        "horizon": draw(st.integers(1, 3)),
        "lags": draw(st.integers(1, 5)),
        "layers": draw(st.integers(1, 2)),
        "members": draw(st.integers(1, 2)),
    }
    batch, time, seed = draw(st.integers(1, 3)), draw(st.integers(2, 16)), draw(st.integers(0, 2**16))
    noise = torch.Generator().manual_seed(seed)
    values = torch.randn(batch, time, fields["columns"], generator=noise)
    values[torch.rand(values.shape, generator=noise) < draw(st.sampled_from([0.0, 0.3, 0.9]))] = torch.nan
    values[:, : draw(st.integers(0, 3))] = torch.nan
    if draw(st.booleans()):
        values[0, :, -1] = torch.nan
    return Case(fields, Rows(values, torch.randn(batch, time, fields["calendar"], generator=noise)), seed)


def project(**sections: Any) -> Project:
    """Build a project for series made here: two columns, a small network, a short training on the CPU."""
    train = {
        "members": 1, "length": 32, "burn_in": 8, "batch": 8, "epochs": 3, "steps_per_epoch": 4, "device": "cpu",
    }  # fmt: skip
    tree = {
        "name": "test",
        "data": {"source": "x.csv", "time": "t", "targets": ["a", "b"]} | sections.get("data", {}),
        "model": {"hidden": 8, "dropout": 0.0} | sections.get("model", {}),
        "train": train | sections.get("train", {}),
    }
    return parse_project(tree)


def with_train(of: Project, **changes: Any) -> Project:
    """Change keys of [train]."""
    train: TrainSection = msgspec.structs.replace(of.train, **changes)
    return msgspec.structs.replace(of, train=train)

"""Builders of small panels, and of forecasters whose every weight matters."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pandas as pd
import torch
from torch import Tensor

from forecasting.calendar import Calendar, nanoseconds
from forecasting.columns import Columns
from forecasting.conformal import Calibration, Outcome, calibrate
from forecasting.evaluation import Backtest, backtest
from forecasting.members import Architecture
from forecasting.network import Forecaster, State
from forecasting.project import Project, parse_project
from forecasting.scaled import Part, ScaledSeries, Scales, origins, scale_panel, targets
from forecasting.scaling import Scale, Scaler, Units, fit_scaler
from forecasting.sections import TrainSection
from forecasting.series import Panel, Series, cut
from forecasting.statics import Statics, fit_statics
from forecasting.streaming import Job, stream
from forecasting.transforms import PLAIN

CELLS = ("lstm", "gru", "rnn")
HOURLY = Calendar(freq="h")
NO_CALENDAR = Calendar(freq="YS")
START = pd.Timestamp("2024-01-01", tz="UTC")


def series(name: str, values: np.ndarray, late: int = 0, **static: float | str | None) -> Series:
    """Build an hourly series that starts `late` rows behind START."""
    index = pd.date_range(START + pd.Timedelta(hours=late), periods=len(values), freq="h")
    return Series(name, index, np.asarray(values, dtype=np.float32), static)


def columns(width: int, past: int = 0, known: int = 0, static: tuple[str, ...] = ()) -> Columns:
    """Name the columns of a row a, b, c, ...; the last `known` are known in advance, the `past` before them are not."""
    names, targets = tuple("abcdefgh"[:width]), width - past - known
    return Columns(names[:targets], names[targets : targets + past], names[targets + past :], static)


def panel(*parts: Series, past: int = 0, known: int = 0) -> Panel:
    first = parts[0]
    return Panel(columns(first.values.shape[1], past, known, tuple(first.static)), "h", "UTC", parts)


def scaled(
    *parts: Series, split: tuple[float, float, float] = (0.6, 0.2, 0.2), past: int = 0, known: int = 0
) -> tuple[ScaledSeries, ...]:
    """Cut and scale hourly series as training does."""
    whole = panel(*parts, past=past, known=known)
    cuts = cut(whole, split)
    train = cuts.train(whole)
    return scale_panel(whole, Scales(fit_scaler(train), fit_statics(train), HOURLY), cuts)


def own_units(width: int) -> Units:
    """Return units that change nothing."""
    none = (None,) * width
    scale = Scale(mean=(0.0,) * width, std=(1.0,) * width, spread=(1.0,) * width, lower=none, upper=none)
    return Scaler(series={}, overall=scale, transforms=(PLAIN,) * width, ids=()).units(None)


def plain(
    z: Any, valid: int, test: int, calendar: Calendar = NO_CALENDAR, past: int = 0, known: int = 0
) -> ScaledSeries:
    """Build a series whose z units are its own; validation starts at row `valid`, the test part at row `test`."""
    values = np.asarray(z, dtype=np.float32)
    one, width = series("a", values), values.shape[1]
    parts = (Part(0, valid), Part(valid, test), Part(test, len(values)))
    roles, static = columns(width, past, known), Statics().encode(None)
    return ScaledSeries(one, roles, own_units(width), static, Statics(), calendar, nanoseconds(one.index), *parts)


def walk(rows: int, columns: int = 2, seed: int = 0, missing: float = 0.0) -> np.ndarray:
    """Draw a slow random walk that returns to 0, with a share of cells missing."""
    draw = np.random.default_rng(seed)
    values = np.zeros((rows, columns))
    for row in range(1, rows):
        values[row] = 0.9 * values[row - 1] + draw.normal(size=columns)
    values[draw.random(values.shape) < missing] = np.nan
    return values.astype(np.float32)


def architecture(columns: int = 2, past: int = 0, **changes: Any) -> Architecture:
    """Build an architecture for so many targets and past covariates."""
    fields: dict[str, Any] = {
        "cell": "lstm", "channels": "joint", "targets": columns, "seen": columns + past, "known": 0, "statics": 0,
        "categories": (), "calendar": 0, "horizon": 2, "lags": 3, "hidden": 4, "layers": 1, "dropout": 0.0,
        "members": 2,
    }  # fmt: skip
    return Architecture(**fields | changes)


def forecaster(seed: int = 0, **changes: Any) -> Forecaster:
    """Build a forecaster with random heads, linear road, share, spread and noise; share and spread are positive."""
    built = Forecaster(architecture(**changes))
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in (*built.parameters(), *built.linear.buffers(), built.noise):
            weight.copy_(torch.randn(weight.shape, generator=draw) * 0.3)
        for weight in (built.share, built.spread):
            weight.copy_(torch.rand(weight.shape, generator=draw) + 0.5)
    return built.eval().requires_grad_(False)


def tensors(state: State) -> list[Tensor]:
    """List every tensor of a state."""
    return [*state.past, *state.static, *(part for cell in state.cells for part in cell)]


def close(ours: Any, theirs: Any, tolerance: float = 1e-5) -> None:
    """Assert equality within atol + rtol * |x|, both at the tolerance."""
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


def calibrated(network: Forecaster, panel: tuple[ScaledSeries, ...], levels: list[int]) -> Calibration:
    """Calibrate on validation rows."""
    horizon = network.architecture.horizon
    rows = [origins(one.valid, horizon) for one in panel]
    told = stream(network, [Job(one, at) for one, at in zip(panel, rows, strict=True)])
    came = [targets(one, at, horizon) for one, at in zip(panel, rows, strict=True)]
    parts = zip(told, came, panel, strict=True)
    return calibrate([Outcome(*said, actual, one.target_units) for said, actual, one in parts], levels)


def persistent(horizon: int, columns: int = 2) -> Forecaster:
    """An untrained forecaster, which is persistence."""
    return Forecaster(architecture(columns, calendar=HOURLY.width, horizon=horizon)).eval()


def judged(network: Forecaster, panel: tuple[ScaledSeries, ...]) -> Backtest:
    """Calibrate on validation rows and backtest."""
    columns = panel[0].columns.targets
    return backtest(network, calibrated(network, panel, [90]), panel, columns)


def simulated(matrix: np.ndarray, rows: int = 3000, noise: float = 0.1) -> np.ndarray:
    """Draw a vector autoregression of order one."""
    draw, z = np.random.default_rng(3), np.zeros((rows, len(matrix)))
    for row in range(1, rows):
        z[row] = matrix @ z[row - 1] + noise * draw.normal(size=len(matrix))
    return z


def covered(missing: float = 0.0) -> ScaledSeries:
    """Build a series with covariates of both kinds beside two targets."""
    return plain(walk(500, columns=5, missing=missing), 350, 450, HOURLY, past=1, known=2)


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

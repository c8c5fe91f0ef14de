"""One window in process: what `build_window` and `forecast` cost over the bare network call."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.measuring import Way, interleaved, milliseconds, ratio
from benchmarks.publishing import Table, publish
from forecasting.bundle import FORMAT, Bundle, Spec
from forecasting.calendar import Calendar
from forecasting.cells import fused_of
from forecasting.columns import Columns
from forecasting.members import Architecture, Member
from forecasting.network import Forecaster, Rows
from forecasting.prediction import Window, forecast
from forecasting.scaling import Scale, Scaler
from forecasting.transforms import PLAIN
from forecasting.windows import RawWindow, build_window

COLUMNS, ROWS, LAGS = 7, 96, 24
NEWEST = 1_784_548_800_000_000_000  # 2026-07-20 12:00 UTC
ROUNDS = 500


class Case(NamedTuple):
    """A model to ask: its channels, hidden units, layers and members, steps ahead, time zone of its calendar."""

    channels: str
    hidden: int
    layers: int
    members: int
    horizon: int
    timezone: str


CASES = [
    Case(channels, hidden, layers, members, horizon, timezone)
    for channels, hidden, layers, members in (("joint", 64, 2, 1), ("joint", 32, 1, 3), ("independent", 32, 1, 3))
    for horizon in (1, 24)
    for timezone in ("UTC", "Europe/Berlin")
]


def main() -> None:
    """Measure every case and write the result."""
    torch.set_num_threads(1)
    publish(
        "inprocess",
        "A window of 96 rows x 7 columns, in one thread, in processor time. `network` is `Forecaster.forecast_last` "
        "under inference mode on ready tensors, `cells` the fused cells of all members alone. The goal is `forecast` "
        "<= 1.5 x `network`.",
        [_table([_measured(case) for case in CASES])],
    )


def _measured(case: Case) -> tuple[str, ...]:
    bundle = bundle_of(case)
    times = interleaved(_ways(bundle), ROUNDS)
    network = f"{case.channels} lstm {case.layers} x {case.hidden}, {case.members} member(s)"
    return (
        f"{network}, horizon {case.horizon}, {case.timezone}",
        *(milliseconds(times[name]) for name in ("cells", "network", "forecast", "build and forecast")),
        ratio(times["forecast"], times["network"]),
        ratio(times["build and forecast"], times["network"]),
    )


def _table(rows: list[tuple[str, ...]]) -> Table:
    ways = ("cells, ms", "network, ms", "forecast, ms", "build and forecast, ms")
    note = "Medians; a ratio is of two calls in the same round: its median (the middle half; all)."
    return Table("One window", ("model", *ways, "forecast / network", "build and forecast / network"), rows, note)


def _ways(bundle: Bundle) -> dict[str, Way]:
    values = np.random.default_rng(0).normal(size=(ROWS, COLUMNS))
    raw = RawWindow(values.tolist(), last_timestamp=NEWEST)
    window = build_window(bundle.spec, raw)
    return {
        "cells": _cells(bundle),
        "network": _network(bundle, window),
        "forecast": lambda: forecast(bundle, window),
        "build and forecast": lambda: forecast(bundle, build_window(bundle.spec, raw)),
    }


def _network(bundle: Bundle, window: Window) -> Callable[[], object]:
    assert window.times is not None
    calendar = bundle.spec.calendar.features(window.times)
    known = torch.zeros(1, ROWS + bundle.spec.horizon, 0)
    rows = Rows(torch.from_numpy(window.values)[None], torch.from_numpy(calendar)[None], known)
    state = bundle.forecaster.initial_state(1)

    @torch.inference_mode()
    def call() -> object:
        return bundle.forecaster.forecast_last(rows, state)

    return call


def _cells(bundle: Bundle) -> Callable[[], object]:
    cells = [_cell(member) for member in bundle.forecaster.members]  # type: ignore[arg-type]

    @torch.inference_mode()
    def call() -> object:
        return [cell() for cell in cells]

    return call


def _cell(member: Member) -> Callable[[], object]:
    folds = member.architecture.folds
    inputs, state = torch.randn(folds, ROWS, fused_of(member.cell).input_size), member.cell.initial_state(folds)
    return lambda: member.cell.unroll(inputs, state)


def bundle_of(case: Case, cell: str = "lstm", lags: int = LAGS) -> Bundle:
    calendar = Calendar(freq="h", timezone=case.timezone)
    names = tuple(f"c{i}" for i in range(COLUMNS))
    architecture = Architecture(
        cell=cell,
        channels=case.channels,
        targets=COLUMNS,
        seen=COLUMNS,
        known=0,
        statics=0,
        categories=(),
        calendar=calendar.width,
        horizon=case.horizon,
        lags=lags,
        hidden=case.hidden,
        layers=case.layers,
        dropout=0.3,
        members=case.members,
    )
    spec = Spec(
        format=FORMAT,
        name="benchmark",
        architecture=architecture,
        columns=Columns(names),
        calendar=calendar,
        lookback=48,
        missing=True,
        panel=False,
    )
    ones = (1.0,) * COLUMNS
    scale = Scale(mean=(0.0,) * COLUMNS, std=ones, spread=ones, lower=(-50.0,) * COLUMNS, upper=(50.0,) * COLUMNS)
    forecaster = Forecaster(architecture).eval().requires_grad_(False)
    scaler = Scaler(series={"all": scale}, overall=scale, transforms=(PLAIN,) * COLUMNS, ids=("all",))
    return Bundle(spec, forecaster, scaler)


if __name__ == "__main__":
    main()

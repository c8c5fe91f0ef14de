"""What cells of one's own cost beside torch's fused modules, what a memory report takes, and an explanation."""

from __future__ import annotations

import statistics
import time
from functools import partial
from itertools import product

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits
from torch import nn

from benchmarks.inprocess import COLUMNS, NEWEST, Case, bundle_of
from benchmarks.measuring import Way, interleaved, milliseconds, ratio
from benchmarks.publishing import Table, publish
from forecasting.bundle import Bundle
from forecasting.calendar import Calendar
from forecasting.cells import FUSED, SYSTEMS, FusedCell, LoopedCell
from forecasting.engines import EagerEngine, engine_for
from forecasting.memory import measure_memory
from forecasting.memory.explaining import Explainer
from forecasting.prediction import Window, z_inputs
from forecasting.scaled import ScaledSeries, Scales, scale_panel
from forecasting.scaling import fit_scaler
from forecasting.series import Panel, Series, cut
from forecasting.statics import fit_statics

HOUR = 3_600_000_000_000
TIME, BATCH, FEATURES, HIDDEN = 200, 32, 7, 64
ROUNDS, ASKED = 15, 200
ROWS = 169


def main() -> None:
    """Measure and write the result."""
    torch.set_num_threads(1)
    threadpool_limits(1)  # as the service does
    publish(
        "cells",
        "In one thread, in processor time. Cells: forward and backward over "
        f"{BATCH} sequences of {TIME} rows x {FEATURES} columns, {HIDDEN} hidden units; the goal is a third of the "
        "fused module's speed, that of the lstm where a cell has none of its own. Explanations: a window of "
        f"{ROWS} rows x {COLUMNS} columns; the goal is 2.5 x the prediction. Report: a model of 2 x 64, within 30 s.",
        [_cells(), _explanations(), _report()],
    )


def _cells() -> Table:
    ways: dict[str, Way] = {f"fused {name}": _trained(FusedCell(name, FEATURES, HIDDEN, 1, 0.0)) for name in FUSED}
    ways |= {name: _trained(LoopedCell(name, FEATURES, HIDDEN, 1, 0.0)) for name in SYSTEMS}
    times = interleaved(ways, ROUNDS)
    rows = []
    for name in SYSTEMS:
        floor = f"fused {name if name in FUSED else 'lstm'}"
        rows.append(
            (name, milliseconds(times[name]), floor, milliseconds(times[floor]), ratio(times[name], times[floor]))
        )
    return Table(
        "Cells row by row", ("cell", "ms", "floor", "ms", "cell / floor"), rows, "Medians; ratios in one round."
    )


def _trained(cell: nn.Module) -> Way:
    rows = torch.randn(BATCH, TIME, FEATURES)

    def call() -> object:
        output, _ = cell.unroll(rows, cell.initial_state(BATCH))  # type: ignore[operator]
        output.sum().backward()
        return output

    return call


def _explanations() -> Table:
    cases = (Case("joint", 32, 1, 3, 1, "UTC"), Case("joint", 64, 2, 1, 24, "UTC"))
    rows = []
    for cell, case in product(FUSED, cases):
        times = interleaved(_asked(bundle_of(case, cell=cell, lags=96)), ASKED)
        name = f"{case.members} x {cell} {case.layers} x {case.hidden}, horizon {case.horizon}"
        each = [milliseconds(times[way]) for way in ("served", "torch", "explained")]
        ratios = [ratio(times["explained"], times[way]) for way in ("served", "torch")]
        rows.append((name, *each, *ratios))
    head = ("model", "prediction as served, ms", "by torch, ms", "explanation, ms", "explanation / served", "/ torch")
    return Table("Explanations", head, rows, "Medians; ratios in one round.")


def _asked(bundle: Bundle) -> dict[str, Way]:
    values = np.random.default_rng(0).normal(size=(ROWS, COLUMNS)).astype(np.float32)
    inputs = z_inputs(bundle, Window(values, NEWEST - HOUR * np.arange(ROWS)[::-1]))
    names, network = bundle.spec.targets, bundle.forecaster
    return {
        "served": partial(engine_for(network).forecast_last, inputs),
        "torch": partial(EagerEngine(network).forecast_last, inputs),
        "explained": partial(Explainer(network, names, names).explain, inputs),
    }


def _report() -> Table:
    rows = []
    for cell in FUSED:
        bundle = bundle_of(Case("joint", 64, 2, 3, 24, "UTC"), cell=cell, lags=96)
        panel, seconds = _panel(), []
        for _ in range(3):
            start = time.process_time()
            measure_memory(bundle.forecaster, panel, 512)
            seconds.append(time.process_time() - start)
        rows.append((f"3 x {cell} 2 x 64, horizon 24", f"{statistics.median(seconds):.2f}"))
    return Table("Memory report", ("model", "s"), rows, "16 windows of 1,024 rows; median of three.")


def _panel() -> tuple[ScaledSeries, ...]:
    values = np.random.default_rng(0).normal(size=(4_000, COLUMNS)).cumsum(axis=0).astype(np.float32)
    index = pd.date_range("2024-01-01", periods=len(values), freq="h", tz="UTC")
    columns = bundle_of(Case("joint", 8, 1, 1, 1, "UTC")).spec.columns
    panel = Panel(columns, "h", "UTC", (Series("a", index, values, {}),))
    split = cut(panel, (0.7, 0.1, 0.2))
    train = split.train(panel)
    return scale_panel(panel, Scales(fit_scaler(train), fit_statics(train), Calendar(freq="h")), split)


if __name__ == "__main__":
    main()

"""Measures what a forecaster remembers, on validation rows; bounded, however long or many the series are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from forecasting.cells import Gates
from forecasting.members import Member, Static
from forecasting.memory.reach import reaches
from forecasting.memory.traces import traces
from forecasting.network import Forecaster, Rows
from forecasting.remembering import Constants, Gate, LayerGates, Memory
from forecasting.scaled import ScaledSeries, evenly, origins, static_of
from forecasting.streaming import Job, rows_of

WINDOWS, LONGEST = 16, 1_024
FEWEST = 2
MOST_NUMBERS = 40_000_000
"""Of one kind, such as gates, that a member holds at once."""
LOW, HIGH = 0.1, 0.9
TINY = 1e-30


class Windows(NamedTuple):
    """Rows behind which the forecaster is asked, and the static covariates of their series."""

    rows: Rows
    static: Static


def measure_memory(forecaster: Forecaster, panel: Sequence[ScaledSeries], rows: int) -> Memory | None:
    """Measure a forecaster in evaluation mode over windows of twice so many rows, where there are so many.

    None where no series has a validation origin with a row before it.
    """
    windows = _windows(forecaster, panel, min(2 * rows, LONGEST))
    if windows is None:
        return None
    found = reaches(forecaster, windows.rows, windows.static)
    return Memory(
        windows=len(windows.rows.values),
        history=windows.rows.values.shape[1],
        forecast=found.forecast,
        linear=found.linear,
        recurrent=found.recurrent,
        layers=tuple(_layers(forecaster, windows)),
    )


def _windows(forecaster: Forecaster, panel: Sequence[ScaledSeries], most: int) -> Windows | None:
    """Take windows of one length that end at validation origins spread over series and time."""
    a = forecaster.architecture
    ends = _ends(panel, a.horizon)
    if not ends:
        return None
    length = min(most, max(row for _, row in ends) + 1)
    ends = [(one, row) for one, row in ends if row + 1 >= length]
    count = int(np.clip(MOST_NUMBERS // (length * 4 * a.hidden * a.folds * a.layers), 1, WINDOWS))
    jobs = [Job(one, range(row, row + 1), warm_up=length - 1) for one, row in evenly(ends, count)]
    device = forecaster.spread.device
    return Windows(rows_of(jobs, 0, length, a.horizon, device), static_of([job.one for job in jobs], device))


def _ends(panel: Sequence[ScaledSeries], horizon: int) -> list[tuple[ScaledSeries, int]]:
    """Choose series with validation origins, and origins of each, evenly; an origin has a row before it."""
    parts = evenly([(one, at) for one in panel if len(at := origins(one.valid, horizon))], WINDOWS)
    each = -(-WINDOWS // max(len(parts), 1))
    return [(one, row) for one, at in parts for row in evenly(at, each) if row + 1 >= FEWEST]


@torch.no_grad()
def _layers(forecaster: Forecaster, windows: Windows) -> list[LayerGates]:
    """Return what the gates do, layer by layer, all members together."""
    state = forecaster.initial_state(len(windows.rows.values), windows.static)
    seen = forecaster.seen(windows.rows, state)
    by_member = [
        [trace.gates for trace in traces(member.cell, member.inputs(seen), member.folded(cell))]
        for member, cell in zip(_members(forecaster), state.cells, strict=True)
    ]
    return [_layer(gates) for gates in zip(*by_member, strict=True)]


def _members(forecaster: Forecaster) -> list[Member]:
    return list(forecaster.members)  # type: ignore[arg-type]


def _layer(gates: Sequence[Gates]) -> LayerGates:
    keep, write, read = (None if parts[0] is None else list(parts) for parts in zip(*gates, strict=True))
    return LayerGates(
        keep=None if keep is None else _gate(keep),
        write=None if write is None else _gate(write),
        read=None if read is None else _gate(read),
        constants=None if keep is None else _constants(keep),
    )


def _gate(parts: Sequence[Tensor]) -> Gate:
    values = torch.cat([part.flatten() for part in parts]).double().cpu()
    tenths = torch.histc(values, bins=10, min=0.0, max=1.0) / len(values)
    return Gate(
        mean=_share(values.mean()),
        low=_share((values < LOW).double().mean()),
        high=_share((values > HIGH).double().mean()),
        tenths=tuple(_share(one) for one in tenths),
    )


def _share(value: Tensor) -> float:
    return min(max(round(float(value), 6), 0.0), 1.0)


def _constants(keeps: Sequence[Tensor]) -> Constants:
    """Return time constants of the mean logarithm of each unit's gate: what it keeps of a memory over many rows."""
    logs = torch.cat([part.double().clamp(min=TINY).log().flatten(0, 1).mean(dim=0) for part in keeps])
    rows = (-1 / logs.clamp(max=-1e-9)).cpu()
    tenth, median, ninetieth = (float(one) for one in torch.quantile(rows, torch.tensor([0.1, 0.5, 0.9]).double()))
    return Constants(
        tenth=round(tenth, 3),
        median=round(median, 3),
        ninetieth=round(ninetieth, 3),
        longest=round(float(rows.max()), 3),
    )

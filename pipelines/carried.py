"""What a model remembers and what becomes of it when it is carried: measured as it is registered, and recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from forecasting.memory import measure_memory
from forecasting.memory.pictures import gates_figure, reach_figure
from forecasting.network import Forecaster
from forecasting.registry import Run
from forecasting.remembering import Memory
from forecasting.scaled import ScaledSeries
from forecasting.settling import measure_streaming
from forecasting.steadiness import LONGEST, Streaming


class Carried(NamedTuple):
    """Both; a memory that no validation row can be asked for is None."""

    streaming: Streaming
    memory: Memory | None


def measure_carried(forecaster: Forecaster, panel: Sequence[ScaledSeries], window: int) -> Carried:
    """Measure them on validation rows; memory over twice as many rows as the model settles within."""
    streaming = measure_streaming(forecaster, panel, window)
    rows = max(window, streaming.settling or LONGEST)
    return Carried(streaming, measure_memory(forecaster, panel, rows))


def log_carried(run: Run, carried: Carried, freq: str) -> None:
    """Record them with their figures, and pictures of the memory."""
    streaming, memory = carried
    run.log_json("streaming.json", streaming)
    run.log_metrics({"streaming_ratio": streaming.ratio, "settling_rows": streaming.settling})
    if memory is None:
        return
    run.log_json("memory.json", memory)
    roads = {"forecast": memory.forecast, "linear": memory.linear, "recurrent": memory.recurrent}
    run.log_metrics({f"memory.reach_rows.{name}": reach.most for name, reach in roads.items()})
    constants = [layer.constants for layer in memory.layers]
    run.log_metrics({f"memory.keep_rows.layer_{i}": one.median for i, one in enumerate(constants) if one})
    run.log_figure("pictures/memory-reach.png", reach_figure(memory, freq))
    if any(layer.keep or layer.write or layer.read for layer in memory.layers):
        run.log_figure("pictures/memory-gates.png", gates_figure(memory))

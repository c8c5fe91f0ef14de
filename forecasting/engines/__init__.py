"""Engines: how a network's forecast is computed. Two small interfaces, answers equal to 1e-5 in z units.

interface.py  what goes in and out: of windows, and of streams a row at a time
eager.py      the network itself, on whatever device its weights are
compiled.py   windows on one core of a CPU in a third of the time: cells by onnxruntime, the rest by numpy
graph.py      the cells as an ONNX graph
tracing.py    windows with how their forecasts came about
stepped.py    streams on one core of a CPU: a row at a time costs microseconds
packing.py    the weights as the kernel takes them, and the layout of a state
kernel.py     a row of many streams, compiled by numba

An engine is chosen by device and cell alone, never by load or by a stopwatch: the same request to the same model gives
the same bytes on every start. numba takes half a second to import, and compiles once on a machine: only who asks for
the steps of a network on a CPU pays for it.
"""

from forecasting.cells import FUSED
from forecasting.engines.compiled import CompiledEngine
from forecasting.engines.eager import EagerEngine, EagerSteps
from forecasting.engines.interface import Engine, Inputs, States, StepEngine, Steps, ZForecast
from forecasting.network import Forecaster

__all__ = [
    "CompiledEngine",
    "EagerEngine",
    "EagerSteps",
    "Engine",
    "Inputs",
    "States",
    "StepEngine",
    "Steps",
    "ZForecast",
    "engine_for",
    "steps_for",
]


def engine_for(forecaster: Forecaster) -> Engine:
    """Return the engine that measures best on the device of the weights (`benchmarks/inprocess.py` measures both)."""
    return CompiledEngine(forecaster) if _compiles(forecaster) else EagerEngine(forecaster)


def steps_for(forecaster: Forecaster) -> StepEngine:
    """Return what steps the streams of a network on the device of its weights (`benchmarks/steps.py` measures both)."""
    if not _compiles(forecaster):
        return EagerSteps(forecaster)
    from forecasting.engines.stepped import CompiledSteps  # noqa: PLC0415 - numba, see above

    return CompiledSteps(forecaster)


def _compiles(forecaster: Forecaster) -> bool:
    """Tell whether the compiled engines know the cell, and the device."""
    return forecaster.spread.device.type == "cpu" and forecaster.architecture.cell in FUSED

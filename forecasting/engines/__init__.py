"""Engines: how a network's forecast from windows is computed. One small interface, answers equal to 1e-5 in z units.

interface.py  what goes in and out
eager.py      the network itself, on whatever device its weights are
compiled.py   the same on one core of a CPU in a third of the time: cells by onnxruntime, the rest by numpy
graph.py      the cells as an ONNX graph

An engine is chosen by device alone, never by load or by a stopwatch: the same request to the same model gives the same
bytes on every start.
"""

from forecasting.engines.compiled import CompiledEngine
from forecasting.engines.eager import EagerEngine
from forecasting.engines.interface import Engine, Inputs, ZForecast
from forecasting.network import Forecaster

__all__ = ["CompiledEngine", "EagerEngine", "Engine", "Inputs", "ZForecast", "engine_for"]


def engine_for(forecaster: Forecaster) -> Engine:
    """Return the engine that measures best on the device of the weights (`benchmarks/inprocess.py` measures both)."""
    return CompiledEngine(forecaster) if forecaster.spread.device.type == "cpu" else EagerEngine(forecaster)

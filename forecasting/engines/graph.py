"""The recurrent cells of all members as one ONNX graph, run by onnxruntime on one thread.

Inputs `rows0`, `rows1`, ... of shape (time, batch, feature), one a member, from a zero state; outputs the hidden state
of the last layer behind the last row, of shape (1, batch, hidden), or those of every layer behind every row, of shape
(time, batch, hidden), member by member. ONNX orders the gates in its own way:

            torch                          ONNX
    lstm    write, keep, content, read     write, read, keep, content
    gru     reset, keep, content           keep, reset, content; linear_before_reset is torch's convention
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from forecasting.cells import fused_of
from forecasting.members import Member
from forecasting.network import Forecaster

OPSET, IR_VERSION = 17, 9  # old enough for every onnxruntime that installs here, new enough for all that is used
ERRORS_ONLY = 3

OPERATORS = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}
ORDERS = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2), "rnn": (0,)}
ATTRIBUTES: dict[str, dict[str, Any]] = {"lstm": {}, "gru": {"linear_before_reset": 1}, "rnn": {}}


def open_cells(forecaster: Forecaster, *, every: bool = False) -> onnxruntime.InferenceSession:
    """Compile the cells of a network; the session copies the weights, and many threads may run it.

    With `every` it says the hidden state of every layer behind every row.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    model = _model(list(forecaster.members), every=every).SerializeToString()  # type: ignore[arg-type]
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _model(members: list[Member], *, every: bool) -> onnx.ModelProto:
    nodes: list[onnx.NodeProto] = []
    weights, inputs, outputs = [numpy_helper.from_array(np.array([1]), "direction")], [], []
    for place, member in enumerate(members):
        rnn = fused_of(member.cell)
        inputs.append(_tensor(f"rows{place}", ["time", "batch", rnn.input_size]))
        for layer in range(rnn.num_layers):
            nodes.extend(_nodes(member, place, layer, every or layer + 1 < rnn.num_layers))
            weights.extend(_weights(member, place, layer))
            if every:
                outputs.append(_tensor(f"out{place}.{layer}", ["time", "batch", rnn.hidden_size]))
        if not every:
            outputs.append(_tensor(f"last{place}.{rnn.num_layers - 1}", [1, "batch", rnn.hidden_size]))
    graph = helper.make_graph(nodes, "cells", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def _tensor(name: str, shape: list[str | int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _nodes(member: Member, place: int, layer: int, above: bool) -> Iterator[onnx.NodeProto]:
    """Yield a layer and, where they are read (above), its outputs without the axis of directions."""
    cell, rnn, at = member.architecture.cell, fused_of(member.cell), f"{place}.{layer}"
    rows = f"out{place}.{layer - 1}" if layer else f"rows{place}"
    made = [f"all{at}" if above else "", f"last{at}"]
    given = [rows, *(f"{part}{at}" for part in ("W", "R", "B"))]
    yield helper.make_node(OPERATORS[cell], given, made, hidden_size=rnn.hidden_size, **ATTRIBUTES[cell])
    if above:
        yield helper.make_node("Squeeze", [f"all{at}", "direction"], [f"out{at}"])


def _weights(member: Member, place: int, layer: int) -> Iterator[onnx.TensorProto]:
    def part(name: str) -> np.ndarray:
        torchs = fused_of(member.cell).get_parameter(f"{name}_l{layer}").detach().cpu().numpy()
        gates = np.split(torchs, len(ORDERS[member.architecture.cell]))
        return np.concatenate([gates[gate] for gate in ORDERS[member.architecture.cell]])

    biases = np.concatenate([part("bias_ih"), part("bias_hh")])
    for name, weight in (("W", part("weight_ih")), ("R", part("weight_hh")), ("B", biases)):
        yield numpy_helper.from_array(weight[None], f"{name}{place}.{layer}")

"""From tensors to windows, and from forecasts to tensors: the names and shapes of the Open Inference Protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec
import numpy as np

from forecasting.bundle import Bundle
from forecasting.errors import WindowRejected
from forecasting.prediction import Asked, WindowForecast
from forecasting.windows import RawWindow, build_window
from service.answers import nanoseconds
from service.schemas import Limits, TensorMetadata, Time
from service.tensors import InferRequest, OutputAsked, Tensor

OBSERVATIONS, LAST, SERIES, KNOWN, LEVELS = "observations", "last_timestamp", "series", "known_future", "levels"
INPUTS = (OBSERVATIONS, LAST, SERIES, KNOWN, LEVELS)
POINT, MEDIAN, TIMES, INTERVAL = "point", "median", "timestamps", "interval_"

T = TypeVar("T")


def inputs_of(bundle: Bundle) -> list[TensorMetadata]:
    """Describe what a model takes."""
    spec, columns = bundle.spec, bundle.spec.columns
    found = [("FP32", OBSERVATIONS, [-1, -1, len(columns.row)]), ("BYTES", LAST, [-1])]
    found += [("BYTES", SERIES, [-1])] if spec.panel else []
    found += [("FP32", KNOWN, [-1, spec.horizon, len(columns.known)])] if columns.known else []
    found += [("INT64", LEVELS, [-1])] if bundle.calibration else []
    return [TensorMetadata(name=name, datatype=kind, shape=shape) for kind, name, shape in found]


def outputs_of(bundle: Bundle) -> list[TensorMetadata]:
    """Describe what a model gives."""
    steps, targets = bundle.spec.horizon, len(bundle.spec.targets)
    levels = bundle.calibration.levels if bundle.calibration else ()
    found = [("FP32", name, [-1, steps, targets]) for name in (POINT, MEDIAN)]
    found += [("FP32", f"{INTERVAL}{level}", [-1, steps, targets, 2]) for level in levels]
    found += [("INT64", TIMES, [-1, steps])]
    return [TensorMetadata(name=name, datatype=kind, shape=shape) for kind, name, shape in found]


def windows_of_tensors(
    bundle: Bundle, request: InferRequest, tensors: Mapping[str, Tensor], limits: Limits
) -> list[Asked]:
    """Return the windows that a request asks about.

    Raises:
        WindowRejected: an input is none of this model, or cannot be used; then none is answered.
    """
    outputs = request.outputs or ()
    _refuse_inputs(tensors)
    _refuse_outputs(bundle, outputs, tensors)
    rows = _rows(tensors[OBSERVATIONS], limits)
    times, series = _times(tensors.get(LAST), len(rows)), _texts(tensors.get(SERIES), len(rows))
    known = _known(tensors.get(KNOWN), len(rows))
    levels = _levels(outputs, tensors.get(LEVELS))
    found = []
    for place, own in enumerate(rows):
        raw = RawWindow(own, last_timestamp=times[place], series=series[place], known_future=known[place])
        try:
            found.append(Asked(build_window(bundle.spec, raw), levels))
        except WindowRejected as error:
            raise in_tensors(error, tensors, f"window {place} of {len(rows)}: ") from error
    return found


def in_tensors(error: WindowRejected, tensors: Mapping[str, Tensor], where: str = "") -> WindowRejected:
    """Return a refusal with the pointer to the input at fault."""
    part = error.pointer.split("/")[1:2]
    tensor = tensors.get(part[0]) if part else None
    return WindowRejected(where + str(error), f"/inputs/{tensor.place}" if tensor else "")


def _refuse_inputs(tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if name not in INPUTS:
            tensor.refuse(f"there is no such input; known are {', '.join(INPUTS)}")
    if OBSERVATIONS not in tensors:
        message = f"the input {OBSERVATIONS} is missing; it holds the rows of the window"
        raise WindowRejected(message, "/inputs")


def _rows(tensor: Tensor, limits: Limits) -> np.ndarray:
    values = _numbers(tensor)
    batch, rows, _ = values.shape
    if batch > limits.max_windows or rows > limits.max_rows:
        most = f"at most {limits.max_windows} windows of {limits.max_rows} rows are taken"
        tensor.refuse(f"{batch} windows of {rows} rows came; {most}", "/shape")
    return values


def _refuse_outputs(bundle: Bundle, outputs: Sequence[OutputAsked], tensors: Mapping[str, Tensor]) -> None:
    valid = [output.name for output in outputs_of(bundle)]
    for place, output in enumerate(outputs):
        if output.name not in valid:
            message = f"the model has no such output; it has {', '.join(valid)}"
            raise WindowRejected(message, f"/outputs/{place}")
        if output.name == TIMES and LAST not in tensors:
            message = f"without the input {LAST}, the times of the forecast are not known"
            raise WindowRejected(message, f"/outputs/{place}")


def _numbers(tensor: Tensor) -> np.ndarray:
    """Return a tensor of numbers with a batch in front."""
    if not tensor.datatype.startswith("FP"):
        tensor.refuse("the datatype has to be FP32 or FP64", "/datatype")
    if len(tensor.shape) == 1:
        tensor.refuse("the shape has to be [rows, columns] or [batch, rows, columns]", "/shape")
    values: np.ndarray = tensor.values
    return values if len(tensor.shape) == 3 else values[None]  # noqa: PLR2004 - batch, rows, columns


def _times(tensor: Tensor | None, batch: int) -> Sequence[int | None]:
    if tensor is None:
        return [None] * batch
    if tensor.datatype == "INT64":
        found: list[int | None] = tensor.values.ravel().tolist()
        return _one_each(tensor, found, batch)
    texts = _texts(tensor, batch)
    try:
        return [nanoseconds(time) for time in msgspec.convert(texts, list[Time])]
    except msgspec.ValidationError:
        tensor.refuse("a time is none of RFC 3339 with a zone, such as 2024-03-01T09:00:00Z", "/data")


def _texts(tensor: Tensor | None, batch: int) -> Sequence[str | None]:
    if tensor is None:
        return [None] * batch
    if tensor.datatype != "BYTES":
        tensor.refuse("the datatype has to be BYTES, for texts", "/datatype")
    return _one_each(tensor, tensor.values, batch)


def _known(tensor: Tensor | None, batch: int) -> Sequence[np.ndarray | None]:
    return [None] * batch if tensor is None else _one_each(tensor, list(_numbers(tensor)), batch)


def _one_each(tensor: Tensor, parts: list[T], batch: int) -> list[T]:
    if len(parts) != batch:
        tensor.refuse(f"{len(parts)} came for {batch} windows; send one a window", "/shape")
    return parts


def _levels(outputs: Sequence[OutputAsked], tensor: Tensor | None) -> list[int] | None:
    """Return the levels that are asked for, in `levels` or by the names of outputs; None where none are."""
    named = [int(one.name.removeprefix(INTERVAL)) for one in outputs if one.name.startswith(INTERVAL)]
    if tensor is None:
        return named or None
    if not tensor.datatype.startswith("INT"):
        tensor.refuse("the datatype has to be INT32 or INT64", "/datatype")
    return [*tensor.values.ravel().tolist(), *named]


def arrays_of(answers: Sequence[WindowForecast], outputs: Sequence[OutputAsked] | None) -> dict[str, np.ndarray]:
    """Return the outputs that are wanted, or all there are."""
    found = {POINT: np.stack([one.point for one in answers]), MEDIAN: np.stack([one.median for one in answers])}
    for level in answers[0].intervals:
        ends = [np.stack(one.intervals[level], axis=-1) for one in answers]
        found[f"{INTERVAL}{level}"] = np.stack(ends)
    instants = [one.instants for one in answers if one.instants is not None]
    if instants:
        found[TIMES] = np.stack(instants)
    return found if outputs is None else {one.name: found[one.name] for one in outputs}

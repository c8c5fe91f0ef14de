"""The tensors of the Open Inference Protocol: in JSON, or in binary behind it as Triton's clients send them."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Annotated, Any, Literal, NamedTuple, NoReturn

import msgspec
import numpy as np
from msgspec import Meta

from forecasting.errors import WindowRejected
from service.body import decode_as, refuse_repeated_keys

LONGEST_TEXT = 256
PREFIX_BYTES = 4  # of the length before each text

TensorCell = int | float | Annotated[str, Meta(max_length=LONGEST_TEXT)] | None
TensorData = Annotated[
    list[TensorCell | list[TensorCell | list[TensorCell]]],
    Meta(description="Row by row, flat or nested as `shape` says; null is a missing number."),
]
Name = Annotated[str, Meta(max_length=64)]
Size = Annotated[int, Meta(ge=1)]
DataType = Literal["FP32", "FP64", "INT32", "INT64", "BYTES"]

NUMBERS: Mapping[str, np.dtype[Any]] = {
    name: np.dtype(code) for name, code in (("FP32", "<f4"), ("FP64", "<f8"), ("INT32", "<i4"), ("INT64", "<i8"))
}
CELLS: Mapping[str, frozenset[type]] = {
    **dict.fromkeys(("FP32", "FP64"), frozenset({int, float, type(None)})),
    **dict.fromkeys(("INT32", "INT64"), frozenset({int})),
    "BYTES": frozenset({str}),
}


class TensorParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many bytes behind the JSON are this tensor's."""

    binary_data_size: Annotated[int, Meta(ge=0)] | None = None


class InputTensor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One input: its values in `data`, or in binary behind the JSON."""

    name: Name
    shape: Annotated[list[Size], Meta(min_length=1, max_length=3)]
    datatype: DataType
    data: TensorData | None = None
    parameters: TensorParameters | None = None


class OutputParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether this output is to come in binary."""

    binary_data: bool | None = None


class OutputAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One output that is wanted."""

    name: Name
    parameters: OutputParameters | None = None


class InferParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether outputs are to come in binary, where they do not say it themselves."""

    binary_data_output: bool | None = None


class InferRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Inputs by name, and the outputs that are wanted; by default all.

    `observations` [rows, columns] or [batch, rows, columns]: targets, past and known covariates in the model's order,
    oldest row first, NaN or null where missing. `last_timestamp` [batch]: RFC 3339, or INT64 nanoseconds since 1970.
    `series` [batch], where the model has several. `known_future` [steps, columns] or [batch, steps, columns], where it
    has known covariates. `levels`: of the intervals in percent.
    """

    inputs: Annotated[list[InputTensor], Meta(min_length=1, max_length=8)]
    id: Annotated[str, Meta(max_length=LONGEST_TEXT)] | None = None
    outputs: Annotated[list[OutputAsked], Meta(min_length=1, max_length=128)] | None = None
    parameters: InferParameters | None = None


class OutputTensor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One output: its values in `data`, row by row, or in binary behind the JSON."""

    name: str
    datatype: DataType
    shape: list[int]
    data: list[float | int] | None = None
    parameters: TensorParameters | None = None


class InferAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which model answered, and its outputs."""

    model_name: str
    model_version: str
    outputs: list[OutputTensor]
    id: str | None = None
    parameters: dict[str, str] = {}


class Tensor(NamedTuple):
    """An input as it came, by its place among them; `values` is an array of `shape`, or a list of texts."""

    place: int
    datatype: DataType
    shape: tuple[int, ...]
    values: Any

    def refuse(self, message: str, part: str = "") -> NoReturn:
        """Raise `WindowRejected` with the pointer to this input."""
        raise WindowRejected(message, f"/inputs/{self.place}{part}")


_DECODER = msgspec.json.Decoder(InferRequest)


def read_tensors(body: bytes, head: str) -> tuple[InferRequest, dict[str, Tensor]]:
    """Return a request and its inputs by name; `head` says how many bytes of it are JSON, empty where all are.

    Raises:
        NotJson, WindowRejected: it cannot be used.
    """
    text, rest = _split(body, head)
    request = decode_as(_DECODER, text, _advice)
    refuse_repeated_keys(text)
    found: dict[str, Tensor] = {}
    for place, one in enumerate(request.inputs):
        empty = Tensor(place, one.datatype, tuple(one.shape), None)
        if one.name in found:
            empty.refuse("an input of that name came before; send each once")
        size = one.parameters.binary_data_size if one.parameters else None
        if (size is None) == (one.data is None):
            empty.refuse("send data, or binary_data_size with the bytes behind the JSON")
        values = _from_cells(empty, one.data or []) if size is None else _from_bytes(empty, rest[:size], size)
        rest = rest if size is None else rest[size:]
        found[one.name] = empty._replace(values=values)
    if rest:
        message = f"{len(rest)} bytes behind the JSON belong to no input; check binary_data_size"
        raise WindowRejected(message)
    return request, found


def _split(body: bytes, head: str) -> tuple[bytes, bytes]:
    length = int(head or len(body))
    if length > len(body):
        message = f"Inference-Header-Content-Length says {length}; {len(body)} bytes came"
        raise WindowRejected(message)
    return body[:length], body[length:]


def _advice(key: str) -> str:
    valid = [*InferRequest.__struct_fields__, *InputTensor.__struct_fields__, "binary_data", "binary_data_output"]
    near = difflib.get_close_matches(key, valid, n=1, cutoff=0.6)
    return f"unknown key; did you mean {near[0]}?" if near else f"unknown key; known are {', '.join(valid)}"


def _from_cells(tensor: Tensor, cells: Sequence[Any]) -> Any:
    """Return the values of a tensor that came in JSON."""
    cells, expected = _flat(tensor, cells), math.prod(tensor.shape)
    if len(cells) != expected:
        tensor.refuse(f"data has {len(cells)} values; the shape {list(tensor.shape)} has {expected}", "/data")
    if not set(map(type, cells)) <= CELLS[tensor.datatype]:
        tensor.refuse(f"data holds something that is not of the datatype {tensor.datatype}", "/data")
    if tensor.datatype == "BYTES":
        return list(cells)
    try:
        return np.array(cells, np.float64 if tensor.datatype.startswith("FP") else np.int64).reshape(tensor.shape)
    except OverflowError:
        tensor.refuse("data holds a number of more digits than any datatype has", "/data")


def _flat(tensor: Tensor, cells: Sequence[Any]) -> Sequence[Any]:
    """Return the cells of nested lists, each but the outermost of the length that the shape says."""
    if not any(isinstance(cell, list) for cell in cells):
        return cells
    for size in tensor.shape[1:]:
        if not all(isinstance(row, list) and len(row) == size for row in cells):
            tensor.refuse(f"data does not have the shape {list(tensor.shape)}", "/data")
        cells = list(chain.from_iterable(cells))
    return cells


def _from_bytes(tensor: Tensor, raw: bytes, size: int) -> Any:
    """Return the values of a tensor that came in binary."""
    expected = math.prod(tensor.shape)
    if tensor.datatype == "BYTES":
        texts = _texts(tensor, raw)
        if len(texts) != expected:
            tensor.refuse(f"{len(texts)} texts came; the shape {list(tensor.shape)} has {expected}")
        return texts
    kind = NUMBERS[tensor.datatype]
    if not len(raw) == size == expected * kind.itemsize:
        tensor.refuse(
            f"{len(raw)} bytes came, said were {size}; the shape {list(tensor.shape)} of {tensor.datatype} "
            f"has {expected * kind.itemsize}"
        )
    wide = np.float64 if kind.kind == "f" else np.int64
    return np.frombuffer(raw, kind).astype(wide).reshape(tensor.shape)


def _texts(tensor: Tensor, raw: bytes) -> list[str]:
    found, at = [], 0
    while at < len(raw):
        begin = at + PREFIX_BYTES
        at = begin + int.from_bytes(raw[at:begin], "little")
        if begin > len(raw) or at > len(raw) or at - begin > LONGEST_TEXT:
            tensor.refuse(f"a text is cut off, or has more than {LONGEST_TEXT} bytes; check binary_data_size")
        found.append(raw[begin:at])
    try:
        return [text.decode() for text in found]
    except UnicodeDecodeError:
        tensor.refuse("a text is not UTF-8")


def write_tensors(answer: InferAnswer, arrays: Mapping[str, np.ndarray], binary: set[str]) -> tuple[bytes, int | None]:
    """Return the bytes of an answer with these outputs, and how many of them are JSON, where not all are."""
    outputs, behind = [], []
    for name, array in arrays.items():
        kind: DataType = "FP32" if array.dtype.kind == "f" else "INT64"
        raw = np.ascontiguousarray(array, NUMBERS[kind]).tobytes() if name in binary else None
        outputs.append(
            OutputTensor(
                name=name,
                datatype=kind,
                shape=list(array.shape),
                data=array.ravel().tolist() if raw is None else None,
                parameters=None if raw is None else TensorParameters(binary_data_size=len(raw)),
            )
        )
        behind += [] if raw is None else [raw]
    text = msgspec.json.encode(msgspec.structs.replace(answer, outputs=outputs))
    return b"".join([text, *behind]), len(text) if behind else None

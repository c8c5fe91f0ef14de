"""The usual request, one window of plain numbers, read without making a Python object of every number in it.

That takes two thirds of the time, and a window is most of a request. Whatever is not quite usual is left to `body`,
which knows how to say what is wrong; what both accept they understand alike.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import simdjson
from jaxtyping import Float

from service.body import quotes_of
from service.schemas import Explain, Levels, Positive, SeriesId, Time

NUMERALS = b"0123456789+-.eE \t\r\n"
"""All that numbers are written with, and white space; what is left of rows without them is their shape."""


class Usual(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A `WindowRequest` of the keys that are used most, its rows not read yet."""

    observations: msgspec.Raw
    last_timestamp: Time | None = None
    series: SeriesId | None = None
    horizon: Positive | None = None
    levels: Levels | None = None
    explain: Explain | None = None


class QuickReader:
    """Reads one body after another; not for several threads."""

    def __init__(self) -> None:
        """Make what is used again for every body."""
        self._usual = msgspec.json.Decoder(Usual)
        self._numbers = simdjson.Parser()

    def read(self, body: bytes) -> tuple[Usual, Float[np.ndarray, "rows columns"]] | None:
        """Return a request and its rows; None where it is no usual one."""
        try:
            usual = self._usual.decode(body)
            if body.count(b'"') != quotes_of(usual):  # a key stands twice, or is null
                return None
            rows = self._rows(bytes(usual.observations))
        except (msgspec.MsgspecError, ValueError, TypeError, RuntimeError):  # the last three are simdjson's
            return None
        return None if rows is None else (usual, rows)

    def _rows(self, text: bytes) -> Float[np.ndarray, "rows columns"] | None:
        shape = text.translate(None, NUMERALS)
        rows, columns = shape.count(b"[") - 1, shape.find(b"]") - 1
        row = b"[" + b"," * (columns - 1) + b"]"
        if rows < 1 or columns < 1 or shape != b"[" + b",".join([row] * rows) + b"]":
            return None
        parsed: Any = self._numbers.parse(text)
        numbers = np.frombuffer(parsed.as_buffer(of_type="d"))
        with np.errstate(over="ignore", invalid="ignore"):
            values = numbers.astype(np.float32)
        whole = len(values) == rows * columns and np.isfinite(values).all()
        return values.reshape(rows, columns) if whole else None

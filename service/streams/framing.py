"""From the bytes of an Arrow IPC stream to its record batches, whoever wrote the bytes.

Messages are read one by one: what is in them is checked before anything is taken out, and what would be inflated is
measured before it is. Arrow verifies the metadata of a message (a flatbuffer) and, when it is asked to, every offset of
a column; how large a compressed column becomes it does not tell, so that is read here from the metadata and the body.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from forecasting.errors import WindowRejected
from service.problems import BodyTooLarge

HEADER, BUFFERS, COMPRESSION = 2, 2, 3
"""Places of fields in the tables `Message` (the first) and `RecordBatch` of Arrow's Message.fbs."""

PREFIX = 8
"""Bytes before each compressed buffer: how large it is otherwise, or -1 where it is left as it is."""


def batches_of(body: bytes, check: Callable[[pa.Schema], None], limit: int) -> Iterator[pa.RecordBatch]:
    """Yield the record batches of a stream whose schema passes `check`.

    Raises:
        WindowRejected: it is not whole, or has messages of another kind; or what `check` raises.
        BodyTooLarge: inflated it has more bytes than `limit`.
    """
    try:
        yield from _batches(pa.ipc.MessageReader.open_stream(pa.BufferReader(body)), check, limit)
    except (pa.ArrowException, MemoryError, struct.error, IndexError, ValueError, OSError) as error:
        message = "the body is not a whole stream of Arrow IPC; send what an IPC stream writer wrote"
        raise WindowRejected(message) from error


def _batches(reader: Any, check: Callable[[pa.Schema], None], limit: int) -> Iterator[pa.RecordBatch]:
    first = _next(reader)
    if first is None or first.type != "schema":
        message = "the body does not begin with a schema; send what an IPC stream writer wrote"
        raise WindowRejected(message)
    schema = pa.ipc.read_schema(first)
    check(schema)
    left = limit
    while (found := _next(reader)) is not None:
        if found.type != "record batch":
            message = f"the stream holds a message of the kind {found.type!r}; send record batches only"
            raise WindowRejected(message)
        left -= inflated(found.metadata.to_pybytes(), found.body)
        if left < 0:
            message = f"inflated, the table has more than {limit:,} bytes; send fewer rows"
            raise BodyTooLarge(message)
        batch = pa.ipc.read_record_batch(found, schema)
        batch.validate(full=True)
        yield batch


def _next(reader: Any) -> pa.Message | None:
    try:
        return reader.read_next_message()
    except StopIteration:
        return None


def inflated(metadata: bytes, body: pa.Buffer | None) -> int:
    """Return how many bytes the buffers of a record batch have once they are not compressed.

    Raises:
        struct.error, IndexError: the metadata points outside of itself, or of the body.
    """
    size = 0 if body is None else body.size
    batch = _child(metadata, _root(metadata), HEADER)
    buffers = _child(metadata, batch, BUFFERS) if batch else 0
    if not batch or not buffers or not _child(metadata, batch, COMPRESSION) or body is None:
        return size
    view = memoryview(body)
    (count,) = struct.unpack_from("<I", metadata, buffers)
    total = 0
    for offset, length in struct.iter_unpack("<qq", metadata[buffers + 4 : buffers + 4 + 16 * count]):
        if length:
            (large,) = struct.unpack_from("<q", view, offset)
            total += length - PREFIX if large < 0 else large
    return total


def _root(table: bytes) -> int:
    return int(struct.unpack_from("<I", table, 0)[0])


def _child(buffer: bytes, table: int, place: int) -> int:
    """Return where a table or vector is that a field of a table points at, 0 where the field is absent."""
    vtable = table - struct.unpack_from("<i", buffer, table)[0]
    (size,) = struct.unpack_from("<H", buffer, vtable)
    slot = 4 + 2 * place
    if slot + 2 > size:
        return 0
    (offset,) = struct.unpack_from("<H", buffer, vtable + slot)
    return int(table + offset + struct.unpack_from("<I", buffer, table + offset)[0]) if offset else 0

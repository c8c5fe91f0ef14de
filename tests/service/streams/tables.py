"""Arrow tables, and the bytes they travel as."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from pyarrow import ipc
from starlette.testclient import TestClient

from tests.service.streams.pushing import ARROW, BEGIN, MODEL, rows

UTC = pa.timestamp("us", tz="UTC")


def table(streams: list[str], first: int = 0, **changes: Any) -> pa.Table:
    """Return one row each of streams, in the hour `first`; columns can be changed, or left out (None)."""
    count = len(streams)
    values = rows(count, first)
    columns = {
        "stream": pa.array(streams),
        "timestamp": pa.array([BEGIN.timestamp() * 1e6 + first * 3.6e9] * count).cast(pa.int64()).cast(UTC),
        "a": pa.array([row[0] for row in values], pa.float32()),
        "b": pa.array([row[1] for row in values], pa.float32()),
    } | changes
    return pa.table({name: column for name, column in columns.items() if column is not None})


def written(found: pa.Table, rows: int = 3, **options: Any) -> bytes:
    """Return the bytes of a table, in batches of some rows."""
    sink = pa.BufferOutputStream()
    with ipc.new_stream(sink, found.schema, options=ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(found, max_chunksize=rows)
    raw: bytes = sink.getvalue().to_pybytes()
    return raw


def observe(client: TestClient, content: bytes, model: str = MODEL, query: str = "", **headers: str) -> Any:
    own = {"content-type": ARROW, **headers}
    return client.post(f"{model}/streams:observe{query}", content=content, headers=own)


def read(content: bytes) -> pa.Table:
    return ipc.open_stream(content).read_all()

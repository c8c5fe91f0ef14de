"""Rows that streams push: never the same twice, each an hour after the one before it of its stream."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import islice

import numpy as np
import pyarrow as pa

from benchmarks.inprocess import COLUMNS, NEWEST
from benchmarks.serving.ours import NAME, rows

HOUR = 3_600_000_000_000
KINDS = 997
"""Different rows; a prime number, so that every stream comes by all of them."""

ARROW, JSON = "application/vnd.apache.arrow.stream", "application/json"
OBSERVE = f"/v1/models/{NAME}/streams:observe"


def path_of(stream: str) -> str:
    """Return where rows of a stream are pushed to."""
    return f"/v1/models/{NAME}/streams/{stream}/observations"


def times(first: int, count: int) -> list[str]:
    """Return times as a request has them, from a place in the life of a stream on."""
    found = (NEWEST + (first + np.arange(count, dtype=np.int64)) * HOUR).astype("datetime64[ns]")
    return [f"{time}Z" for time in np.datetime_as_string(found, unit="s")]


@cache
def texts() -> list[str]:
    """Return rows as JSON, all of one length: a blank stands where others have a minus."""
    drawn = np.concatenate([rows(seed) for seed in range(KINDS // 96 + 1)])[:KINDS].clip(-9, 9)
    return [f"[{','.join(f'{number: .4f}' for number in row)}]" for row in drawn]


def requests(names: list[str], head: str, count: int) -> Iterator[bytes]:
    """Yield that many requests, to each stream in turn, all of one length; `head` is what they have beside the usual.

    The names are to be of one length.
    """
    drawn, life = texts(), times(0, -(-count // len(names)))
    paths = [path_of(name) for name in names]

    def each() -> Iterator[bytes]:
        for age, time in enumerate(life):
            for place, path in enumerate(paths):
                row = drawn[(age + 31 * place) % KINDS]
                body = f'{{"observations":[{row}],"last_timestamp":"{time}"}}'
                yield (
                    f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {JSON}\r\n{head}"
                    f"Content-Length: {len(body)}\r\n\r\n{body}"
                ).encode()

    return islice(each(), count)


def table(names: list[str], first: int, count: int = 1) -> bytes:
    """Return an Arrow stream that pushes `count` rows to each stream, from a place in their lives on."""
    ages = first + np.tile(np.arange(count), len(names))
    draw = np.random.default_rng(first).normal(size=(len(ages), COLUMNS)).astype(np.float32)
    columns = {
        "stream": pa.array(np.repeat(np.array(names, dtype=object), count), pa.string()),
        "timestamp": pa.array(NEWEST + ages * HOUR, pa.timestamp("ns", tz="UTC")),
        **{f"c{place}": draw[:, place] for place in range(COLUMNS)},
    }
    found = pa.table(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, found.schema) as writer:
        writer.write_table(found)
    return bytes(sink.getvalue())


def document(names: list[str], first: int) -> bytes:
    """Return the JSON that pushes a row to each stream."""
    (time,), drawn = times(first, 1), texts()
    pushes = (
        f'{{"stream":"{name}","observations":[{drawn[(first + 31 * place) % KINDS]}],"last_timestamp":"{time}"}}'
        for place, name in enumerate(names)
    )
    return f'{{"streams":[{",".join(pushes)}]}}'.encode()

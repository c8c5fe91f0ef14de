"""The requests, in the form each server wants: what is wrong with them is the same."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from benchmarks.inprocess import COLUMNS, ROWS
from benchmarks.serving.ours import rows

PIECE = 50_000
MB = 20 * PIECE
JSON = {"Content-Type": "application/json"}
LONG_INTEGER = "9" * 5000
MARK = "client-text-7f3a"
"""Stands in requests where a text is wrong, so that an answer that echoes them is known."""


@dataclass(frozen=True)
class Asked:
    """A request. A body that is an iterator is sent in chunks, unless `length` declares how long it is."""

    body: bytes | Iterator[bytes]
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    method: str = "POST"
    path: str | None = None
    length: int | None = None


@dataclass(frozen=True)
class Dialect:
    """How a window, as JSON text, is asked: text before it, text behind it, and how a parameter is given."""

    before: str
    after: str
    parameter: str

    def body(self, window: str, more: str = "") -> bytes:
        """Return a body with that window; `more` stands behind the last key."""
        return f"{{{self.before}{window}{self.after}{more}}}".encode()


OURS = Dialect('"observations": ', ', "last_timestamp": "2026-07-20T12:00:00Z"', '"levels": [90], "verbose": true')
MLFLOW = Dialect('"inputs": [', "]", '"params": {"verbose": true}')

Make = Callable[[Dialect], Asked]


@dataclass(frozen=True)
class Case:
    """A wrong request: `group` and `name` say what is wrong with it. One that is `huge` is sent only if asked for."""

    group: str
    name: str
    make: Make
    huge: bool = False


def cases() -> list[Case]:
    """Return all of them, the largest last: a server may be busy with them for long after its answer."""
    found = [*_cells(), *_shapes(), *_keys(), *_bodies(), *_transport(), *_sizes()]
    assert len({(case.group, case.name) for case in found}) == len(found)
    return found


def good_window(cell: str | None = None) -> str:
    """Return the good window as JSON text, one cell of it replaced."""
    texts = [[str(value) for value in row] for row in rows().tolist()]
    if cell is not None:
        texts[40][3] = cell
    return _array(_array(row) for row in texts)


def _array(items: Iterable[str]) -> str:
    return f"[{', '.join(items)}]"


def _of_window(group: str, name: str, window: str) -> Case:
    return Case(group, name, lambda dialect: Asked(dialect.body(window)))


def _cells() -> Iterator[Case]:
    one = {
        "`NaN`": "NaN",
        "`null`": "null",
        '`"NaN"`': '"NaN"',
        "`Infinity`": "Infinity",
        "`-Infinity`": "-Infinity",
        "`1e309`": "1e309",
        "`1e308`": "1e308",
        "`1e39`": "1e39",
        "`true`": "true",
        "a number as a string": '"1.5"',
        "a text": f'"{MARK}"',
        "an object": '{"value": 1}',
        "an integer of 5,000 digits": LONG_INTEGER,
    }
    for name, cell in one.items():
        yield _of_window("One cell is", name, good_window(cell))
    for name, cell in {"`1e38`": "1e38", "`null`": "null"}.items():
        yield _of_window("Every cell is", name, _repeated(_array([cell] * COLUMNS), ROWS))


def _shapes() -> Iterator[Case]:
    group, row = "The window", _array(["0.5"] * COLUMNS)
    shapes = {
        "of 6 columns": _repeated(_array(["0.5"] * 6), ROWS),
        "of 8 columns": _repeated(_array(["0.5"] * 8), ROWS),
        "one row short": _repeated(row, ROWS - 1),
        "of 20,000 rows": _repeated(row, 20_000),
        "with a short row": good_window()[:-1] + ", [0.5]]",
        "without rows": "[]",
        "of empty rows": "[[], []]",
        "is a number": "5",
        "is a text": f'"{MARK}"',
        "is `null`": "null",
        **{f"nested {depth:,} deep": "[" * depth + "1" + "]" * depth for depth in (64, 900, 100_000)},
    }
    for name, window in shapes.items():
        yield _of_window(group, name, window)


def _repeated(row: str, count: int) -> str:
    return _array([row] * count)


def _keys() -> Iterator[Case]:
    group, good = "The keys", good_window()
    yield Case(group, "one that is not known", lambda one: Asked(one.body(good, f', "{MARK}": 1')))
    yield Case(group, "a parameter that is not known", lambda one: Asked(one.body(good, f", {one.parameter}")))
    yield Case(group, "one twice", lambda one: Asked(one.body(good, f", {one.before}{good}{one.after}")))
    yield Case(group, "none", lambda _: Asked(b"{}"))
    yield Case(group, "no object around them", lambda _: Asked(good.encode()))


def _bodies() -> Iterator[Case]:
    group = "The body"
    yield Case(group, "empty", lambda _: Asked(b""))
    yield Case(group, "no JSON", lambda _: Asked(f"{MARK} {{".encode()))
    yield Case(group, "cut off", lambda one: Asked(one.body(good_window())[:-200]))
    yield Case(group, "text behind its end", lambda one: Asked(one.body(good_window()) + b" x"))
    yield Case(group, "not UTF-8", lambda one: Asked(one.body('"\x00"').replace(b"\x00", b"\xff\xfe")))
    yield Case(group, "UTF-16", lambda one: Asked(one.body(good_window()).decode().encode("utf-16")))


def _transport() -> Iterator[Case]:
    group, good = "The request", good_window()
    csv = b"c0,c1,c2,c3,c4,c5,c6\n" + b"0.1,0.2,0.3,0.4,0.5,0.6,0.7\n" * 96

    def typed(media: str, body: bytes | None = None) -> Make:
        return lambda one: Asked(one.body(good) if body is None else body, {"Content-Type": media})

    yield Case(group, "no Content-Type", lambda one: Asked(one.body(good), {}))
    yield Case(group, "JSON as text/plain", typed("text/plain"))
    yield Case(group, "CSV", typed("text/csv", csv))
    yield Case(group, "noise as Parquet", typed("application/vnd.apache.parquet", b"PAR1" + bytes(range(256))))
    yield Case(
        group,
        "gzip",
        lambda one: Asked(gzip.compress(one.body(good)), {**JSON, "Content-Encoding": "gzip"}),
    )
    yield Case(group, "GET", lambda _: Asked(b"", {}, "GET"))
    yield Case(group, "to a path that is not there", lambda one: Asked(one.body(good), path="/nowhere"))


def _sizes() -> Iterator[Case]:
    group = "A body of"
    for size in (20, 50, 200):
        yield Case(group, f"{size} MB of windows", _large(size * MB), huge=size > 50)
    yield Case(group, "50 MB of windows, in chunks", _large(50 * MB, chunked=True))
    yield Case(group, "50 MB of spaces", lambda _: Asked(_spaces(50 * MB), length=50 * MB))


def _large(size: int, *, chunked: bool = False) -> Make:
    """Make a request of windows that is in order but for its size; spaces fill it up."""

    def make(dialect: Dialect) -> Asked:
        window = good_window().encode()
        one = dialect.body(window.decode())
        before, after = one.split(window)
        count = (size - len(one)) // len(b", " + window)
        left = size - len(one) - count * len(b", " + window)
        pieces = itertools.chain([before, window], itertools.repeat(b", " + window, count), [after, b" " * left])
        return Asked(pieces, length=None if chunked else size)

    return make


def _spaces(size: int) -> Iterator[bytes]:
    return itertools.repeat(b" " * PIECE, size // PIECE)

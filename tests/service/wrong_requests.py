"""Requests that are wrong in one way each, and what becomes of them; `test_request_faults` sends them.

The bodies are texts, so that they may be what no writer of JSON writes. Where a text is wrong, it holds `MARK`.
"""

from __future__ import annotations

import gzip
from typing import NamedTuple

MARK = "do-not-repeat-me"
TABLE, TENSORS = "/invocations?model=tiny", "/v2/models/tiny/infer"
FORECAST, RICH = "/v1/models/tiny/forecast", "/v1/models/rich/forecast"
JSON = (("Content-Type", "application/json"),)
REJECTED, NOT_JSON, MEDIA = "window-rejected", "not-json", "unsupported-media-type"
ROWS, WINDOWS, BYTES = 50, 3, 60_000
"""What the service takes at most."""

Headers = tuple[tuple[str, str], ...]


class Case(NamedTuple):
    """A request and its answer: status, the code of the problem, the JSON pointer to the fault where there is one.

    The code of a 200 is that of a warning that has to come with it.
    """

    name: str
    body: bytes
    status: int
    code: str = ""
    pointer: str | None = None
    path: str = FORECAST
    method: str = "POST"
    headers: Headers = JSON
    chunked: bool = False
    times: int = 1
    """How often the body is sent, as one."""


def body(more: str = "", /, **changes: str | None) -> bytes:
    """Return a good request, but for keys that are changed, left out (None), or come `more` at the end."""
    texts = {
        "observations": "[[9.5, 1010.0], [10.0, 1005.0], [10.5, 1000.0]]",
        "last_timestamp": '"2024-03-01T02:00:00Z"',
        "series": '"north"',
    } | changes
    pairs = ", ".join(f'"{key}": {text}' for key, text in texts.items() if text is not None)
    return f"{{{pairs}{more}}}".encode()


def rich(more: str = "", /, **changes: str | None) -> bytes:
    """Return a good request of the model that has covariates of every kind, changed in the same way."""
    texts = {"observations": "[[3.5, 4, 0.0, 30.0, 0], [4.5, 3, null, 31.0, 0]]", "known_future": "[[32, 1], [33, 0]]"}
    return body(more, **texts | changes)


def named(columns: str, data: str | None = "[[9.5, 1010.0]]", **changes: str | None) -> bytes:
    """Return a good request of columns with data, changed in the same way."""
    return body("", **{"observations": None, "columns": columns, "data": data} | changes)


def cell(text: str) -> bytes:
    """Return the good request with a text in place of one of its numbers."""
    return body(observations=f"[[9.5, 1010.0], [10.0, {text}], [10.5, 1000.0]]")


def tensor(shape: str, data: str) -> str:
    """Return a request of the Open Inference Protocol."""
    return f'{{"inputs": [{{"name": "observations", "datatype": "FP32", "shape": {shape}, "data": {data}}}]}}'


GOOD = body()


def repeated(text: str, count: int) -> str:
    return f"[{', '.join([text] * count)}]"


# In place of one number: name, text, status, code. The pointer is to that number wherever the body is JSON.
CELLS: tuple[tuple[str, str, int, str], ...] = (
    ("NaN", "NaN", 400, NOT_JSON),
    ("Infinity", "Infinity", 400, NOT_JSON),
    ("minus Infinity", "-Infinity", 400, NOT_JSON),
    ("nan", "nan", 400, NOT_JSON),
    ("null", "null", 200, ""),  # a missing value, and this model takes those
    ("the text NaN", '"NaN"', 422, REJECTED),
    ("a text", f'"{MARK}"', 422, REJECTED),
    ("a number as a text", '"1005.0"', 422, REJECTED),
    ("true", "true", 422, REJECTED),
    ("false", "false", 422, REJECTED),
    ("an object", f'{{"{MARK}": 1}}', 422, REJECTED),
    ("an array", "[1005.0]", 422, REJECTED),
    ("1e39", "1e39", 422, REJECTED),
    ("minus 1e39", "-1e39", 422, REJECTED),
    ("1e308", "1e308", 422, REJECTED),
    ("1e309", "1e309", 422, REJECTED),
    ("minus 1e309", "-1e309", 422, REJECTED),
    ("an exponent without end", "1e99999999999999999999", 422, REJECTED),
    ("an exponent below every other", "1e-99999999999999999999", 200, ""),  # that is 0
    ("minus zero", "-0.0", 200, ""),
    ("a denormal", "5e-324", 200, ""),
    ("a 32-bit denormal", "1e-45", 200, ""),
    ("an integer of 5,000 digits", "9" * 5000, 422, REJECTED),
    ("a fraction of 5,000 digits", "1." + "9" * 5000, 200, ""),
    ("a leading zero", "01005", 400, NOT_JSON),
    ("a plus sign", "+1005", 400, NOT_JSON),
    ("no digit before the point", ".5", 400, NOT_JSON),
    ("no digit behind the point", "1005.", 400, NOT_JSON),
    ("hexadecimal", "0x10", 400, NOT_JSON),
    ("an underscore between digits", "1_005", 400, NOT_JSON),
    ("a digit of another script", "١", 400, NOT_JSON),  # noqa: RUF001 - that is the point
    ("nothing", "", 400, NOT_JSON),
)

# In place of one number, too: what 32-bit floats hold and no series of this model could.
FAR = ("1e38", "3.4028235e38", "-1e12", "9223372036854775808", "18446744073709551616", "-9223372036854775809")

# `observations` as a whole: name, text, status, code, pointer.
SHAPES: tuple[tuple[str, str, int, str, str | None], ...] = (
    ("too narrow", "[[9.5], [10.0]]", 422, REJECTED, "/observations/0"),
    ("too wide", "[[9.5, 1010.0, 1.0]]", 422, REJECTED, "/observations/0"),
    ("with a comma for a point", "[[9.5, 1010.0], [10.0, 1005,5]]", 422, REJECTED, "/observations/1"),
    ("ragged", "[[9.5, 1010.0], [10.0]]", 422, REJECTED, "/observations/1"),
    ("without rows", "[]", 422, REJECTED, "/observations"),
    ("of empty rows", "[[], []]", 422, REJECTED, "/observations/0"),
    ("one flat row", "[9.5, 1010.0]", 422, REJECTED, "/observations/0"),
    ("a number", "5", 422, REJECTED, "/observations"),
    ("a text", f'"{MARK}"', 422, REJECTED, "/observations"),
    ("an object", f'{{"{MARK}": [1]}}', 422, REJECTED, "/observations"),
    ("null", "null", 422, REJECTED, None),
    ("of nulls alone", "[[null, null], [null, null]]", 422, REJECTED, None),
    ("all 1e38", repeated("[1e38, 1e38]", 20), 422, REJECTED, None),
    ("one row", "[[9.5, 1010.0]]", 200, "", None),
    ("as long as it may be", repeated("[9.5, 1010.0]", ROWS), 200, "", None),
    ("one row too long", repeated("[9.5, 1010.0]", ROWS + 1), 422, REJECTED, "/observations"),
    ("of 5,000 rows", repeated("[1, 2]", 5000), 422, REJECTED, "/observations"),
    ("nested 64 deep", "[" * 64 + "1" + "]" * 64, 422, REJECTED, "/observations/0/0"),
    ("nested 900 deep", "[" * 900 + "1" + "]" * 900, 422, REJECTED, "/observations/0/0"),
    ("nested 25,000 deep", "[" * 25_000 + "1" + "]" * 25_000, 422, REJECTED, "/observations/0/0"),
    ("opened 50,000 times", "[" * 50_000, 422, REJECTED, "/observations/0/0"),
)

KEYS = (
    Case("one that is not known", body(f', "{MARK}": 1'), 422, REJECTED),
    Case("a parameter that is not known", body(', "params": {"verbose": true}'), 422, REJECTED),
    Case("an explanation that there is not", body(', "explain": true'), 422, REJECTED),
    Case("one twice", body(', "series": "north"'), 422, REJECTED),
    Case("one twice, once with an escape", body(', "seri\\u0065s": "north"'), 422, REJECTED),
    Case("one twice, nested", body(static='{"size": 1, "size": 1}'), 422, REJECTED),
    Case(
        "one twice in one of two windows",
        b'{"windows": [%b, %b]}' % (GOOD, body(', "series": "south"')),
        422,
        REJECTED,
    ),
    Case("empty", body(', "": 1'), 422, REJECTED),
    Case("in capitals", body(observations=None, OBSERVATIONS="[[1, 2]]"), 422, REJECTED),
    Case("with a NUL", body(f', "series\\u0000{MARK}": "north"'), 422, REJECTED),
    Case("half a surrogate pair", body(', "\\ud800": 1'), 400, NOT_JSON),
    Case("of a prototype", body(', "__proto__": {"admin": true}'), 422, REJECTED),
    Case("none", b"{}", 422, REJECTED),
    Case("an array around them", b"[%b]" % GOOD, 422, REJECTED),
    Case("a number in their place", b"5", 422, REJECTED),
    Case("a text in their place", f'"{MARK}"'.encode(), 422, REJECTED),
    Case("null in their place", b"null", 422, REJECTED),
    Case("observations beside data", body(columns='["a", "b"]', data="[[1, 2]]"), 422, REJECTED),
    Case("observations beside columns", body(columns='["a", "b"]'), 422, REJECTED),
    Case("columns alone", named('["a", "b"]', data=None), 422, REJECTED),
    Case("data alone", body(observations=None, data="[[9.5, 1010.0]]"), 422, REJECTED),
    Case("columns repeated", named('["a", "a"]'), 422, REJECTED, "/columns/1"),
    Case("columns not known", named(f'["a", "{MARK}"]'), 422, REJECTED, "/columns/1"),
    Case("columns too few", named('["a"]', "[[9.5]]"), 422, REJECTED, "/columns"),
    Case("columns too many", named('["a", "b", "c"]', "[[1, 2, 3]]"), 422, REJECTED, "/columns/2"),
    Case("columns empty", named("[]", "[[]]"), 422, REJECTED, "/columns"),
    Case("columns of numbers", named("[1, 2]"), 422, REJECTED, "/columns/0"),
    Case("columns with a name too long", named(f'["a", "{MARK * 20}"]'), 422, REJECTED, "/columns/1"),
    Case("columns that look alike", named('["а", "b"]'), 422, REJECTED, "/columns/0"),  # noqa: RUF001
    Case("columns in another order", named('["b", "a"]', "[[1010.0, 9.5]]"), 200),
    Case("data ragged", named('["a", "b"]', "[[1, 2], [3]]"), 422, REJECTED, "/data/1"),
    Case("data too long", named('["a", "b"]', repeated("[1, 2]", 51)), 422, REJECTED, "/data"),
    Case("windows empty", b'{"windows": []}', 422, REJECTED, "/windows"),
    Case("windows of an object", b'{"windows": %b}' % GOOD, 422, REJECTED, "/windows"),
    Case("windows in windows", b'{"windows": [{"windows": [%b]}]}' % GOOD, 422, REJECTED, "/windows/0"),
    Case("windows of windows", b'{"windows": [[%b]]}' % GOOD, 422, REJECTED, "/windows/0"),
    Case("windows too many", b'{"windows": [%b]}' % b", ".join([GOOD] * 4), 422, REJECTED, "/windows"),
    Case("windows beside rows", body(f', "windows": [{GOOD.decode()}]'), 422, REJECTED, "/observations"),
    Case("windows that are null", b'{"windows": null}', 422, REJECTED),
    Case("a window that is null", b'{"windows": [null]}', 422, REJECTED, "/windows/0"),
    Case(
        "a bad window behind a good one",
        b'{"windows": [%b, %b]}' % (GOOD, body(observations="[[1, true]]")),
        422,
        REJECTED,
        "/windows/1/observations/0/1",
    ),
    Case("as many windows as may be", b'{"windows": [%b]}' % b", ".join([GOOD] * WINDOWS), 200),
)

# `last_timestamp`: name, text, status. A problem is a rejected window and points there.
# Hours need not be full: a window brings its own grid.
LAST: tuple[tuple[str, str, int], ...] = (
    ("with an offset", '"2024-03-01T03:00:00+01:00"', 200),
    ("with a small z", '"2024-03-01t02:00:00z"', 200),
    ("with an offset of half an hour", '"2024-03-01T02:00:00+05:30"', 200),
    ("off the grid", '"2024-03-01T02:17:00Z"', 200),
    ("a microsecond off the grid", '"2024-03-01T02:00:00.000001Z"', 200),
    ("without a zone", '"2024-03-01T02:00:00"', 422),
    ("a leap second", '"2016-12-31T23:59:60Z"', 422),
    ("the 30th of February", '"2024-02-30T02:00:00Z"', 422),
    ("an hour 24", '"2024-03-01T24:00:00Z"', 422),
    ("an offset of 99 hours", '"2024-03-01T02:00:00+99:00"', 422),
    ("the year 0", '"0000-01-01T00:00:00Z"', 422),
    ("the year 1", '"0001-01-01T00:00:00Z"', 422),
    ("the year 1 less an offset", '"0001-01-01T00:00:00+14:00"', 422),
    ("just before what 64 bits hold", '"1677-09-21T00:00:00Z"', 422),
    ("just after what 64 bits hold", '"2262-04-12T00:00:00Z"', 422),
    ("the last hour of 64 bits", '"2262-04-11T23:00:00Z"', 422),
    ("the year 9999", '"9999-12-31T23:00:00Z"', 422),
    ("the year 9999 and an offset", '"9999-12-31T23:00:00-14:00"', 422),
    ("the year 10000", '"10000-01-01T00:00:00Z"', 422),
    ("a date", '"2024-03-01"', 422),
    ("a text", f'"{MARK}"', 422),
    ("empty", '""', 422),
    ("seconds", "1709258400", 422),
    ("seconds as a text", '"1709258400"', 422),
    ("seconds as a float", "1709258400.5", 422),
    ("true", "true", 422),
    ("an array", '["2024-03-01T02:00:00Z"]', 422),
    ("digits of another script", '"２０２４-03-01T02:00:00Z"', 422),  # noqa: RUF001 - that is the point
)


def times(*hours: str) -> bytes:
    """Return a request with a time a row, each the end of one on the same day."""
    texts = ", ".join(f'"2024-03-01T{hour}"' for hour in hours)
    return body(last_timestamp=None, timestamps=f"[{texts}]")


TIMES = (
    Case("unsorted", times("02:00:00Z", "00:00:00Z", "01:00:00Z"), 422, REJECTED, "/timestamps/1"),
    Case("twice the same", times("00:00:00Z", "00:00:00Z", "01:00:00Z"), 422, REJECTED, "/timestamps/1"),
    Case("the same twice", times("00:00:00Z", "01:00:00+01:00", "02:00:00Z"), 422, REJECTED, "/timestamps/1"),
    Case("off the grid", times("00:00:00Z", "01:00:01Z", "02:00:00Z"), 422, REJECTED, "/timestamps/1"),
    Case("too few", times("00:00:00Z"), 422, REJECTED, "/timestamps"),
    Case("too many", times(*(f"0{hour}:00:00Z" for hour in range(4))), 422, REJECTED, "/timestamps"),
    Case("none", times(), 422, REJECTED, "/timestamps"),
    Case("with a null", body(last_timestamp=None, timestamps="[null]"), 422, REJECTED, "/timestamps/0"),
    Case("beside the last", body(timestamps='["2024-03-01T02:00:00Z"]'), 422, REJECTED),
    Case("with a gap", times("00:00:00Z", "01:00:00Z", "04:00:00Z"), 200),
    Case(
        "centuries apart",
        body(
            observations="[[1, 2], [3, 4]]",
            last_timestamp=None,
            timestamps='["1810-01-01T00:00:00Z", "2190-01-01T00:00:00Z"]',
        ),
        422,
        REJECTED,
        "/timestamps",
    ),
    Case("neither times nor a last one", body(last_timestamp=None), 422, REJECTED),
)

# Other keys of a window: key, text, status, pointer.
VALUES: tuple[tuple[str, str, int, str | None], ...] = (
    ("horizon", "0", 422, "/horizon"),
    ("horizon", "-1", 422, "/horizon"),
    ("horizon", "1.5", 422, "/horizon"),
    ("horizon", "1.0", 422, "/horizon"),
    ("horizon", '"1"', 422, "/horizon"),
    ("horizon", "true", 422, "/horizon"),
    ("horizon", "null", 200, None),
    ("horizon", "1", 200, None),
    ("horizon", "3", 422, "/horizon"),
    ("horizon", "18446744073709551616", 422, "/horizon"),
    ("horizon", "1e400", 422, "/horizon"),
    ("levels", "[]", 200, None),
    ("levels", "[90, 90]", 200, None),
    ("levels", "[80, 95]", 200, None),
    ("levels", "[50]", 422, "/levels/0"),
    ("levels", "[101]", 422, "/levels/0"),
    ("levels", "[0]", 422, "/levels/0"),
    ("levels", "[90.5]", 422, "/levels/0"),
    ("levels", '["90"]', 422, "/levels/0"),
    ("levels", "[true]", 422, "/levels/0"),
    ("levels", "90", 422, "/levels"),
    ("levels", "[[90]]", 422, "/levels/0"),
    ("levels", repeated("90", 100), 422, "/levels"),
    ("levels", "null", 200, None),
    ("series", f'"{MARK}"', 200, None),
    ("series", '""', 200, None),
    ("series", "null", 200, None),
    ("series", "5", 422, "/series"),
    ("series", '["north"]', 422, "/series"),
    ("series", f'"{"x" * 256}"', 200, None),
    ("series", f'"{"x" * 257}"', 422, "/series"),
    ("series", '"\\u0000"', 200, None),
    ("series", '"\\ud83d\\ude00"', 200, None),
    ("series", '"‮north"', 200, None),  # noqa: PLE2502 - that is the point
    ("series", '"nor\\u0074h"', 200, None),
    ("static", f'{{"{MARK}": 1}}', 422, "/static"),
    ("static", "{}", 200, None),
    ("static", "[]", 422, "/static"),
    ("static", "null", 200, None),
    ("known_future", "[[1], [2]]", 422, "/known_future"),
    ("known_future", "[]", 422, "/known_future"),
    ("known_future", "null", 200, None),
)

COVARIATES = (
    Case("as they should be", rich(), 200),
    Case("known future missing", rich(known_future=None), 422, REJECTED, "/known_future"),
    Case("known future too short", rich(known_future="[[32, 1]]"), 422, REJECTED, "/known_future"),
    Case("known future too long", rich(known_future="[[1, 1], [1, 1], [1, 1]]"), 422, REJECTED),
    Case("known future ragged", rich(known_future="[[32, 1], [33]]"), 422, REJECTED, "/known_future/1"),
    Case("known future of 1e39", rich(known_future="[[32, 1], [1e39, 1]]"), 422, REJECTED),
    Case("known future of texts", rich(known_future=f'[["{MARK}", 1], [1, 1]]'), 422, REJECTED),
    Case("a count that is none", rich(observations="[[3.5, 4.5, 0, 30, 0]]"), 200),
    Case("a logarithm of what is below 0", rich(observations="[[-3.5, 4, 0, 30, 0]]"), 200, "implausible"),
    Case("a static column not known", rich(static=f'{{"{MARK}": 1}}'), 422, REJECTED, "/static"),
    Case("a static number as a text", rich(static=f'{{"size": "{MARK}"}}'), 200, "unknown-static"),
    Case("a static category as a number", rich(static='{"region": 5}'), 200, "unknown-static"),
    Case("a static number of 1e308", rich(static='{"size": 1e308}'), 200, "implausible"),
    Case("a static category not known", rich(static=f'{{"region": "{MARK}"}}'), 200, "unknown-static"),
    Case("a static object", rich(static='{"size": {}}'), 422, REJECTED),
)

TEXT = GOOD.decode()
BODIES = (
    Case("empty", b"", 400, NOT_JSON),
    Case("of spaces", b" \r\n\t" * 10, 400, NOT_JSON),
    Case("no JSON", f"{MARK} {{".encode(), 400, NOT_JSON),
    Case("cut off", GOOD[:-9], 400, NOT_JSON),
    Case("text behind its end", GOOD + MARK.encode(), 400, NOT_JSON),
    Case("twice", GOOD * 2, 400, NOT_JSON),
    Case("twice, a line each", GOOD + b"\n" + GOOD, 400, NOT_JSON),
    Case("with a comment", b"/* %b */" % MARK.encode() + GOOD, 400, NOT_JSON),
    Case("with single quotes", GOOD.replace(b'"', b"'"), 400, NOT_JSON),
    Case("with a comma too many", GOOD[:-1] + b",}", 400, NOT_JSON),
    Case("with a byte order mark", b"\xef\xbb\xbf" + GOOD, 400, NOT_JSON),
    Case("UTF-16", TEXT.encode("utf-16"), 400, NOT_JSON),
    Case("UTF-16 without a mark", TEXT.encode("utf-16-le"), 400, NOT_JSON),
    Case("UTF-32", TEXT.encode("utf-32"), 400, NOT_JSON),
    Case("NUL bytes", bytes(100), 400, NOT_JSON),
    Case("a NUL behind its end", GOOD + b"\x00", 400, NOT_JSON),
    Case("a NUL in a text", GOOD.replace(b"north", b"no\x00rth"), 400, NOT_JSON),
    Case("no UTF-8", GOOD.replace(b"north", b"\xff\xfe"), 400, NOT_JSON),
    Case("a letter in Latin-1", body(series='"nörd"').replace("ö".encode(), b"\xf6"), 400, NOT_JSON),
    Case("UTF-8 longer than it has to be", GOOD.replace(b"north", b"\xc0\xaf"), 400, NOT_JSON),
    Case("half a surrogate pair in UTF-8", GOOD.replace(b"north", b"\xed\xa0\x80"), 400, NOT_JSON),
    Case("half a surrogate pair, escaped", GOOD.replace(b"north", b"\\ud800"), 400, NOT_JSON),
    Case("the other half, escaped", GOOD.replace(b"north", b"\\udc00"), 400, NOT_JSON),
    Case("an escape that is none", GOOD.replace(b"north", b"\\x41"), 400, NOT_JSON),
    Case("a text without end", GOOD[:-2], 400, NOT_JSON),
    Case("a form", f"observations={MARK}".encode(), 400, NOT_JSON),
    Case("noise", bytes(range(256)), 400, NOT_JSON),
    Case("a pickle", b"\x80\x04\x95" + MARK.encode() + b".", 400, NOT_JSON),
    Case("in chunks", GOOD, 200, chunked=True),
    Case("one byte too large", GOOD + b" " * (BYTES + 1 - len(GOOD)), 413, "body-too-large"),
    Case("as large as it may be", GOOD + b" " * (BYTES - len(GOOD)), 200),
    Case("too large, in chunks", GOOD + b" " * BYTES, 413, "body-too-large", chunked=True),
    Case("20 MB of requests", GOOD * 400, 413, "body-too-large", times=400),
    Case("20 MB of requests, in chunks", GOOD * 400, 413, "body-too-large", chunked=True, times=400),
    Case("50 MB of spaces", b" " * 50_000, 413, "body-too-large", times=1000),
    Case("50 MB of brackets", b"[" * 50_000, 413, "body-too-large", times=1000),
)

# Where it is sent: name, path, status, code.
PATHS: tuple[tuple[str, str, int, str], ...] = (
    ("no such path", f"/{MARK}", 404, "http-404"),
    ("no such model", f"/v1/models/{MARK}/forecast", 404, "unknown-model"),
    ("a model in capitals", "/v1/models/TINY/forecast", 404, "unknown-model"),
    ("a model of the folder above", "/v1/models/../x/forecast", 404, "http-404"),
    ("the folder above, escaped", "/v1/models/%2e%2e/forecast", 404, "unknown-model"),
    ("a file of the host", "/v1/models/..%2F..%2Fetc%2Fpasswd/forecast", 404, "http-404"),
    ("a slash, escaped", "/v1/models/tiny%2Fforecast", 200, ""),  # as every ASGI server reads it; so does the guard
    ("a slash in the name, escaped", f"/v1/models/tiny%2F{MARK}/forecast", 404, "http-404"),
    ("a slash, escaped twice", "/v1/models/%252e%252e%252f/forecast", 404, "unknown-model"),
    ("two slashes", "/v1//models/tiny/forecast", 404, "http-404"),
    ("two slashes before it", "//v1/models/tiny/forecast", 404, "http-404"),
    ("no name", "/v1/models//forecast", 404, "http-404"),
    ("a slash behind it", f"{FORECAST}/", 404, "http-404"),
    ("a dot behind it", f"{FORECAST}.", 404, "http-404"),
    ("a parameter behind it", f"{FORECAST};ref=1", 404, "http-404"),
    ("in capitals", "/V1/models/tiny/forecast", 404, "http-404"),
    ("a name of 5,000 letters", f"/v1/models/{'x' * 5000}/forecast", 404, "unknown-model"),
    ("a name with a NUL", f"/v1/models/tiny%00{MARK}/forecast", 404, "unknown-model"),
    ("a name that is no UTF-8", "/v1/models/%ff%fe/forecast", 404, "unknown-model"),
    ("a name with a line end", f"/v1/models/tiny%0d%0aX-{MARK}:1/forecast", 404, "unknown-model"),
    ("a name of another script", "/v1/models/%D1%82%D1%96%D0%BD%D1%83/forecast", 404, "unknown-model"),
    ("an escape cut off", "/v1/models/%/forecast", 404, "unknown-model"),
    ("the name, escaped", "/v1/models/%74iny/forecast", 200, ""),
    ("ref of the alias", f"{FORECAST}?ref=production", 200, ""),
    ("ref of the version", f"{FORECAST}?ref=1", 200, ""),
    ("ref, escaped", f"{FORECAST}?ref=%70roduction", 200, ""),
    ("ref empty", f"{FORECAST}?ref=", 200, ""),
    ("ref not known", f"{FORECAST}?ref={MARK}", 404, "unknown-model"),
    ("ref twice, the last of them wrong", f"{FORECAST}?ref=1&ref={MARK}", 404, "unknown-model"),
    ("ref that is no UTF-8", f"{FORECAST}?ref=%ff%fe", 404, "unknown-model"),
    ("ref of half a surrogate pair", f"{FORECAST}?ref=%ed%a0%80", 404, "unknown-model"),
    ("ref with a NUL", f"{FORECAST}?ref=1%00{MARK}", 404, "unknown-model"),
    ("ref of 5,000 letters", f"{FORECAST}?ref={'x' * 5000}", 404, "unknown-model"),
    ("a thousand parameters", f"{FORECAST}?{'&'.join(['x=1'] * 1000)}", 200, ""),
    ("a parameter that is not known", f"{FORECAST}?{MARK}=1", 200, ""),
    ("a whole address", f"http://{MARK}{FORECAST}", 200, ""),
)

# How it is sent: method, path, status, code.
METHODS: tuple[tuple[str, str, int, str], ...] = (
    *((method, FORECAST, 405, "http-405") for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE")),
    ("HEAD", FORECAST, 405, ""),
    ("PROPFIND", FORECAST, 405, "http-405"),
    ("BREW", FORECAST, 400, "not-http"),
    ("post", FORECAST, 400, "not-http"),
    ("POST", "/livez", 405, "http-405"),
    ("POST", "/v1/models/tiny", 405, "http-405"),
    ("DELETE", "/v1/models/tiny", 405, "http-405"),
    ("GET", "/v1/models/other", 404, "unknown-model"),
    ("GET", "/v1/models?limit=0", 422, "bad-parameter"),
    ("GET", f"/v1/models?limit={MARK}", 422, "bad-parameter"),
    ("GET", f"/v1/models?cursor={MARK}!", 422, "bad-parameter"),
    ("GET", "/v1/models?limit=" + "9" * 5000, 422, "bad-parameter"),
)


# To clients of other servers: name, path, body, status, code.
OTHERS: tuple[tuple[str, str, str, int, str], ...] = (
    ("no table", TABLE, "{}", 422, REJECTED),
    ("two tables", TABLE, '{"instances": [{"a": 1, "b": 2}], "inputs": {"a": [1], "b": [2]}}', 422, REJECTED),
    ("a row without cells", TABLE, '{"dataframe_split": {"columns": ["a", "b"], "data": [[], ["x"]]}}', 422, REJECTED),
    (
        "brackets in texts",
        TABLE,
        '{"dataframe_split": {"columns": ["[[", "]"], "data": [[1, "[]"], ["[", 1]]}}',
        422,
        REJECTED,
    ),
    ("a key twice", TABLE, '{"instances": [{"a": 1, "b": 2}], "instances": [{"a": 1, "b": 2}]}', 422, REJECTED),
    ("a column twice", TABLE, '{"instances": [{"a": 1, "a": 1, "b": 2}]}', 422, REJECTED),
    ("a column not known", TABLE, f'{{"instances": [{{"{MARK}": 1}}]}}', 422, REJECTED),
    ("a time that is none", TABLE, f'{{"instances": [{{"timestamp": "{MARK}", "a": 1, "b": 2}}]}}', 422, REJECTED),
    (
        "a cell of 1e39",
        TABLE,
        '{"instances": [{"timestamp": "2024-03-01T02:00:00Z", "a": 1e39, "b": 2}]}',
        422,
        REJECTED,
    ),
    ("NaN", TABLE, '{"instances": [{"timestamp": "2024-03-01T02:00:00Z", "a": NaN, "b": 2}]}', 400, NOT_JSON),
    ("no model", "/invocations", '{"instances": [{"a": 1, "b": 2}]}', 422, "bad-parameter"),
    ("no tensor", TENSORS, '{"inputs": []}', 422, REJECTED),
    (
        "a tensor not known",
        TENSORS,
        f'{{"inputs": [{{"name": "{MARK}", "datatype": "FP32", "shape": [1]}}]}}',
        422,
        REJECTED,
    ),
    ("a tensor of another shape", TENSORS, tensor("[3, 2]", "[1, 2]"), 422, REJECTED),
    ("a tensor without end", TENSORS, tensor("[9223372036854775807, 9223372036854775807]", "[1, 2]"), 422, REJECTED),
    ("a tensor of less than nothing", TENSORS, tensor("[-1, 2]", "[1, 2]"), 422, REJECTED),
    ("a tensor without rows", TENSORS, tensor("[0, 2]", "[]"), 422, REJECTED),
    ("a tensor of texts", TENSORS, tensor("[1, 2]", f'["{MARK}", 1]'), 422, REJECTED),
    ("a tensor of 1e39", TENSORS, tensor("[1, 2]", "[1e39, 1]"), 422, REJECTED),
    ("a tensor of truths", TENSORS, tensor("[1, 2]", "[true, 1]"), 422, REJECTED),
)


def typed(media: str, *more: tuple[str, str]) -> Headers:
    return (("Content-Type", media), *more)


BOMB = gzip.compress(b" " * 20_000_000)

# With other headers: name, headers, body, status, code.
HEADERS: tuple[tuple[str, Headers, bytes, int, str], ...] = (
    ("no content type", (), GOOD, 415, MEDIA),
    ("an empty content type", typed(""), GOOD, 415, MEDIA),
    ("text/plain", typed("text/plain"), GOOD, 415, MEDIA),
    ("text/csv", typed("text/csv"), f"a,b\n{MARK},2".encode(), 415, MEDIA),
    ("Parquet", typed("application/vnd.apache.parquet"), b"PAR1" + bytes(99), 415, MEDIA),
    ("a form", typed("application/x-www-form-urlencoded"), MARK.encode(), 415, MEDIA),
    ("parts", typed("multipart/form-data; boundary=x"), b"--x\r\n\r\n", 415, MEDIA),
    ("a longer name", typed("application/jsonx"), GOOD, 415, MEDIA),
    ("another kind of JSON", typed("application/ld+json"), GOOD, 415, MEDIA),
    ("anything", typed("*/*"), GOOD, 415, MEDIA),
    ("two content types", (*JSON, *typed("text/plain")), GOOD, 415, MEDIA),
    ("a name of the content type", typed(f"application/{MARK}"), GOOD, 415, MEDIA),
    ("in capitals", typed("APPLICATION/JSON"), GOOD, 200, ""),
    ("with a character set", typed("application/json; charset=utf-8"), GOOD, 200, ""),
    ("with another character set", typed("application/json; charset=utf-16"), TEXT.encode("utf-16"), 400, NOT_JSON),
    (
        "gzip",
        typed("application/json", ("Content-Encoding", "gzip")),
        gzip.compress(GOOD),
        415,
        MEDIA,
    ),
    ("a gzip bomb", typed("application/json", ("Content-Encoding", "gzip")), BOMB, 415, MEDIA),
    ("gzip that nobody told of", JSON, gzip.compress(GOOD), 400, NOT_JSON),
    (
        "two encodings",
        typed("application/json", ("Content-Encoding", "identity, br")),
        GOOD,
        415,
        MEDIA,
    ),
    ("no encoding, told", typed("application/json", ("Content-Encoding", "identity")), GOOD, 200, ""),
    ("a go-ahead asked for", (*JSON, ("Expect", "100-continue")), GOOD, 200, ""),
    ("another expectation", (*JSON, ("Expect", MARK)), GOOD, 200, ""),
    ("another answer wanted", (*JSON, ("Accept", "text/html")), GOOD, 200, ""),
    ("a range wanted", (*JSON, ("Range", "bytes=0-1")), GOOD, 200, ""),
    ("another method wanted", (*JSON, ("X-HTTP-Method-Override", "DELETE")), GOOD, 200, ""),
    ("an id that cannot be logged", (*JSON, ("X-Request-ID", f"{MARK} {MARK}")), GOOD, 200, ""),
    ("a key that nobody asked for", (*JSON, ("Authorization", f"Bearer {MARK}")), GOOD, 200, ""),
    ("headers of 60 kB", (*JSON, ("X-Long", "x" * 60_000)), GOOD, 200, ""),
    ("headers of 70 kB", (*JSON, ("X-Long", MARK * 4500)), GOOD, 431, "head-too-large"),
    ("ten thousand headers", (*JSON, *((("X", "1"),) * 12_000)), GOOD, 431, "head-too-large"),
    ("a header that is no ASCII", (*JSON, ("X-Name", "nörd")), GOOD, 200, ""),
    ("a transfer that is not known", (*JSON, ("Transfer-Encoding", "gzip")), GOOD, 400, "not-http"),
)


def _verdict(status: int, pointer: str | None) -> tuple[int, str, str | None]:
    return (200, "", None) if status == 200 else (status, REJECTED, pointer)


def cases() -> list[Case]:
    """Return all of them."""
    at = "/observations/1/1"
    return [
        *(Case(f"cell: {name}", cell(text), status, code, at) for name, text, status, code in CELLS),
        *(Case(f"cell: {text}", cell(text), 422, REJECTED) for text in FAR),
        *(
            Case(f"window: {name}", body(observations=text), status, code, where)
            for name, text, status, code, where in SHAPES
        ),
        *(case._replace(name=f"keys: {case.name}") for case in KEYS),
        *(
            Case(f"last time: {name}", body(last_timestamp=text), *_verdict(status, "/last_timestamp"))
            for name, text, status in LAST
        ),
        *(case._replace(name=f"times: {case.name}") for case in TIMES),
        *(
            Case(f"{key}: {text[:12]}{len(text)}", body(**{key: text}), *_verdict(status, where))
            for key, text, status, where in VALUES
        ),
        *(case._replace(name=f"covariates: {case.name}", path=RICH) for case in COVARIATES),
        *(case._replace(name=f"body: {case.name}") for case in BODIES),
        *(Case(f"path: {name}", GOOD, status, code, path=path) for name, path, status, code in PATHS),
        *(
            Case(f"method: {method} {path[:30]}", b"", status, code, path=path, method=method, headers=())
            for method, path, status, code in METHODS
        ),
        *(Case(f"others: {name}", text.encode(), status, code, path=path) for name, path, text, status, code in OTHERS),
        *(Case(f"headers: {name}", sent, status, code, headers=own) for name, own, sent, status, code in HEADERS),
    ]

"""From the bytes of a text file to a table of raw cells, or a named refusal.

The text is separated by commas, semicolons, tabs or bars, in UTF-8 with one header line, plain or gzip compressed; the
bytes decide which, never the name of the file. Before pandas parses it, one pass over the bytes counts the fields of
every line: the parser fills short lines and cuts long ones without a word.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, NoReturn, cast

import numpy as np
import pandas as pd

from forecasting.errors import UnreadableSource
from forecasting.reading.tables import MISSING, Table, digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from forecasting.reading.tables import Wanted

_SEPARATORS = ",;\t|"
_GZIP = b"\x1f\x8b"
_FOREIGN = {b"PK\x03\x04": "a zip archive or a spreadsheet", b"PARE": "an encrypted Parquet file"}
_BLOCK = 1 << 24
_LONGEST_HEADER = 1 << 20
_NEWLINE, _RETURN, _QUOTE = b'\n\r"'


def read_text(path: Path, wanted: Wanted) -> Table:
    """Read the wanted columns of a csv file; a row's number is its line.

    A column that holds anything but numbers and missing markers comes back as text, so that a finding can quote it.

    Raises:
        UnreadableSource: it is no table: empty, binary, damaged, not UTF-8, or with lines of unequal width.
    """
    with _named_faults(path):
        header, separator = _read_header(path)
        _refuse_uneven(path, separator, len(header))
        return Table(str(path), digest_of(path), header, _parse(path, separator, header, wanted))


@contextmanager
def _named_faults(path: Path) -> Iterator[None]:
    """Turn what the libraries below raise on a bad file into `UnreadableSource`."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        message = f"{path} is damaged gzip data ({error}); copy it again from where it came"
        raise UnreadableSource(message) from None
    except (pd.errors.ParserError, csv.Error) as error:
        message = f"{path} is not a table: {error}"
        raise UnreadableSource(message) from None


def _open(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path)) if _is_gzip(path) else path.open("rb")


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == _GZIP


def _read_header(path: Path) -> tuple[tuple[str, ...], str]:
    with _open(path) as stream:
        line = stream.readline(_LONGEST_HEADER)
    _refuse_foreign(path, line)
    if len(line) == _LONGEST_HEADER:
        message = f"{path} has a first line of more than {_LONGEST_HEADER:,} bytes; expected a header of column names"
        raise UnreadableSource(message)
    text = _decoded(path, line, 1).removeprefix("\ufeff")
    if not text.strip():
        message = f"{path} has an empty first line; expected a header of column names"
        raise UnreadableSource(message)
    separator = max(_SEPARATORS, key=text.count)
    return tuple(next(csv.reader([text.replace("\r", "")], delimiter=separator))), separator


def _refuse_foreign(path: Path, line: bytes) -> None:
    if not line:
        message = f"{path} is empty; expected a csv file with a header and rows"
        raise UnreadableSource(message)
    for magic, kind in _FOREIGN.items():
        if line.startswith(magic):
            message = f"{path} is {kind}; expected csv, csv.gz or Parquet: export it as one of them"
            raise UnreadableSource(message)


def _decoded(path: Path, block: bytes, line: int) -> str:
    """Return the text of a block of whole lines, of which the first is number `line`."""
    try:
        text = block.decode("utf-8")
        at = block.find(0)
    except UnicodeDecodeError as error:
        at = error.start
    if at < 0:
        return text
    number = line + block.count(b"\n", 0, at)
    message = f"{path} is not UTF-8 text: line {number} holds the byte 0x{block[at]:02x}; save it as csv in UTF-8"
    raise UnreadableSource(message)


def _refuse_uneven(path: Path, separator: str, width: int) -> None:
    """Go through the file once and demand text whose lines all have `width` fields (or nothing at all)."""
    line, rest = 1, b""
    with _open(path) as stream:
        while block := stream.read(_BLOCK):
            rest += block
            done, seen = _check_lines(path, rest, separator, (width, line))
            rest, line = rest[done:], line + seen
            if len(rest) > _BLOCK:
                _refuse_endless(path, line)
    if rest and not _check_lines(path, rest + b"\n", separator, (width, line))[0]:
        _refuse_endless(path, line)


def _refuse_endless(path: Path, line: int) -> NoReturn:
    message = f"{path} has no end to line {line}; look for a double quote that is opened there and never closed"
    raise UnreadableSource(message)


def _check_lines(path: Path, block: bytes, separator: str, expected: tuple[int, int]) -> tuple[int, int]:
    """Check the whole lines of a block against (fields, number of the first line); return their bytes and count."""
    width, line = expected
    ends, fields = _line_ends(np.frombuffer(block, np.uint8), separator)
    done = int(ends[-1]) + 1 if len(ends) else 0
    _decoded(path, block[:done], line)
    if block.count(b"\r", 0, done) != block.count(b"\r\n", 0, done):
        message = f"{path} has carriage returns that end no line; save it with line feeds (Unix or Windows line ends)"
        raise UnreadableSource(message)
    uneven = np.flatnonzero((fields != width) & ~_blank(block, ends))
    if len(uneven):
        found = int(fields[uneven[0]])
        message = f"{path} has {found} fields in line {line + uneven[0]}, and {width} in its header; mend that line"
        raise UnreadableSource(message)
    return done, len(ends)


def _line_ends(block: np.ndarray, separator: str) -> tuple[np.ndarray, np.ndarray]:
    """Return where the lines of a block end and how many fields each has; nothing inside quotes ends either."""
    mark = (block == ord(separator)) | (block == _NEWLINE)
    quote = block == _QUOTE
    if quote.any():
        mark &= ~np.logical_xor.accumulate(quote)
    marks = np.flatnonzero(mark)
    lines = np.flatnonzero(block[marks] == _NEWLINE)
    return marks[lines], np.diff(lines, prepend=-1)


def _blank(block: bytes, ends: np.ndarray) -> np.ndarray:
    data = np.frombuffer(block, np.uint8)
    length = np.diff(ends, prepend=-1) - 1
    blank: np.ndarray = (length == 0) | ((length == 1) & (data[ends - 1] == _RETURN))
    return blank


def _parse(path: Path, separator: str, header: tuple[str, ...], wanted: Wanted) -> pd.DataFrame:
    """Parse the wanted columns; by position, since a header may name one twice."""
    names = [name.strip() for name in header]
    taken = {names.index(name): name for name in wanted.columns if name in names}
    markers: dict[Any, list[str]] = {at: list(MISSING) for at, name in taken.items() if name not in wanted.as_text}
    text = [at for at, name in taken.items() if name in wanted.as_text]
    frame = pd.read_csv(
        path,
        sep=separator,
        compression="gzip" if _is_gzip(path) else None,
        header=None,
        skiprows=1,
        names=list(range(len(names))),
        usecols=sorted(taken),
        index_col=False,
        dtype=dict.fromkeys(text, "str"),
        keep_default_na=False,
        na_values=markers,
        skip_blank_lines=False,
        low_memory=False,
    )
    frame.index = pd.RangeIndex(2, len(frame) + 2, name="line")
    return frame.rename(columns=taken)

"""From a path, a folder or a glob to one table; the bytes of each file say what it is, never its name."""

from __future__ import annotations

import difflib
import glob
import hashlib
import os
import textwrap
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pandas as pd

from forecasting.errors import NoSuchSource, UnreadableSource
from forecasting.reading.parquet import MAGIC, read_parquet
from forecasting.reading.tables import Table, refuse_too_many
from forecasting.reading.texts import read_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forecasting.reading.tables import Wanted

_START = "data.source counts from the folder of the project file"


def read_files(path: Path, wanted: Wanted) -> Table:
    """Read the wanted columns of a file, of the Parquet files of a folder, or of all files that match a glob.

    Several files are one table, in the order of their names; its digest is over theirs.

    Raises:
        NoSuchSource: there is no such file.
        UnreadableSource: a file is no table, or several have different columns.
    """
    with _named_faults(path):
        paths = _found(path)
        tables = [_read_file(one, wanted) for one in paths]
        return replace(_joined(paths, tables), source=str(path))


@contextmanager
def _named_faults(path: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        message = f"{error.filename or path} may not be read by this user; change its permissions"
        raise UnreadableSource(message) from None
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}; check the disk, or name another file"
        raise UnreadableSource(message) from None


def _found(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if path.is_dir():
        return _in_folder(path)
    if path.exists():
        message = f"{path} is no regular file; data.source names a file, a glob of files or a database"
        raise UnreadableSource(message)
    return _matching(path) if glob.has_magic(str(path)) else _refuse_absent(path)


def _in_folder(folder: Path) -> list[Path]:
    if found := sorted(folder.glob("*.parquet")):
        return found
    message = f"{folder} is a folder without a file *.parquet; data.source names a file, or several as {folder}/*.csv"
    raise UnreadableSource(message)


def _matching(pattern: Path) -> list[Path]:
    """Return the files that match, sorted; what is there stands for itself, whatever signs are in its name."""
    base = next(folder for folder in pattern.parents if folder.is_dir())
    names = glob.glob(str(pattern.relative_to(base)), root_dir=base, recursive=True)  # noqa: PTH207 - ** in any place
    if found := sorted(base / name for name in names if (base / name).is_file()):
        return found
    there = sorted(one.name for one in base.iterdir())
    holds = textwrap.shorten(", ".join(there), 200, placeholder=" ...") or "nothing"
    message = f"no file matches {pattern}; {base} holds {holds}; {_START}"
    raise NoSuchSource(message)


def _refuse_absent(path: Path) -> NoReturn:
    if not path.parent.is_dir():
        message = f"there is no folder {path.parent}; {_START}"
        raise NoSuchSource(message)
    near = difflib.get_close_matches(path.name, [one.name for one in path.parent.iterdir()], n=3)
    advice = f"did you mean {' or '.join(near)}?" if near else _START
    message = f"there is no file {path.name} in {path.parent}; {advice}"
    raise NoSuchSource(message)


def _read_file(path: Path, wanted: Wanted) -> Table:
    with path.open("rb") as stream:
        start = stream.read(len(MAGIC))
    return read_parquet(path, wanted) if start == MAGIC else read_text(path, wanted)


def _joined(paths: list[Path], tables: list[Table]) -> Table:
    """Put tables with the same columns under each other; a row is known by the name of its file and its number."""
    first, *others = tables
    if not others:
        return first
    for table in others:
        _refuse_other_columns(first, table)
    refuse_too_many("all files together", sum(len(table.frame) for table in tables))
    base = Path(os.path.commonpath([path.parent for path in paths]))
    kinds = [table.frame.index.name for table in tables]
    labels = [f"{path.relative_to(base)} {kind}" for path, kind in zip(paths, kinds, strict=True)]
    frame = pd.concat([table.frame for table in tables], keys=labels)
    digest = hashlib.sha256("".join(table.digest for table in tables).encode()).hexdigest()
    return Table(first.source, digest, first.header, frame)


def _refuse_other_columns(first: Table, other: Table) -> None:
    ours, theirs = Counter(first.names), Counter(other.names)
    for table, extra in ((first, ours - theirs), (other, theirs - ours)):
        if extra:
            name = next(iter(extra))
            message = (
                f"{first.source} and {other.source} have different headers: column {name!r} is in {table.source} "
                "alone; give all files the same columns, or narrow the glob"
            )
            raise UnreadableSource(message)

"""A table of raw cells, whatever it was read from, and how a person is told where in it something stood."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from forecasting.errors import UnreadableSource

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_WORDS = ("na", "n/a", "#n/a", "<na>", "nan", "null", "none")
MISSING = frozenset({"", "-", "NaN", *(form for word in _WORDS for form in (word, word.upper(), word.title()))})
"""Cells that are read as not observed."""

MOST_ROWS = 50_000_000
"""Rows that are held in memory at most."""


@dataclass(frozen=True)
class Wanted:
    """The columns to read, and those among them whose cells must come as they are written."""

    columns: Collection[str]
    as_text: Collection[str] = ()


@dataclass(frozen=True)
class Table:
    """Rows as they came.

    `source` is its name as it may be shown, `digest` the sha256 of its content. `header` names every column as written,
    `frame` holds the wanted ones under their stripped names; its index says where a row stood (for a text file: the
    line). A column that is there twice is read once.
    """

    source: str
    digest: str
    header: tuple[str, ...]
    frame: pd.DataFrame

    @property
    def names(self) -> list[str]:
        """The names of the header without white space around them."""
        return [name.strip() for name in self.header]


def digest_of(path: Path) -> str:
    """Return the sha256 of the bytes of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def refuse_too_many(source: str, rows: int) -> None:
    """Demand no more rows than there is room for.

    Raises:
        UnreadableSource: there are more.
    """
    if rows > MOST_ROWS:
        message = f"{source} has more than {MOST_ROWS:,} rows; narrow it down to the rows that are to be learnt from"
        raise UnreadableSource(message)


def place(index: pd.Index, at: int) -> str:
    """Return where a row stood: `line 17`, or `b.csv line 17` where there are several files."""
    if isinstance(index, pd.MultiIndex):
        file, number = index[at]
        return f"{file} {number}"
    return f"{index.name or 'row'} {index[at]}"


def first_place(index: pd.Index, mask: np.ndarray) -> str:
    """Return where the first row of a mask stood."""
    return place(index, int(np.flatnonzero(mask)[0]))


def quoted(cells: pd.Series, mask: np.ndarray) -> str:
    """Return where the first cell of a mask stood, and what it holds: `line 17: 'abc'`."""
    return f"{first_place(cells.index, mask)}: {str(cells[mask].iloc[0])[:40]!r}"

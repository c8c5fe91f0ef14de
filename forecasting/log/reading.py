"""Asking a database through a cursor of its driver: about many streams at once, about one, about all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from forecasting.log.queries import Queries
from forecasting.log.searching import Mark, find_rows

_LINES = 1_000  # at a time, for an answer of a server must come within the time that a statement has

Line = Sequence[Any]
Ask = Callable[[Any, str, Sequence[Line]], list[list[Line]]]
"""Given a cursor, a query and lines, return what each line is answered, in their order."""


def ask_by_array(cursor: Any, query: str, lines: Sequence[Line]) -> list[list[Line]]:
    """Ask PostgreSQL: each column of the lines is one parameter."""
    return _ask(cursor, query, lines, lambda some: [list(column) for column in zip(*some, strict=True)])


def ask_by_json(cursor: Any, query: str, lines: Sequence[Line]) -> list[list[Line]]:
    """Ask SQLite: all lines are one parameter."""
    return _ask(cursor, query, lines, lambda some: [msgspec.json.encode(some).decode()])


def _ask(
    cursor: Any, query: str, lines: Sequence[Line], parameters: Callable[[Sequence[Line]], list[Any]]
) -> list[list[Line]]:
    answers: list[list[Line]] = [[] for _ in lines]
    for start in range(0, len(lines), _LINES):
        cursor.execute(query, parameters(lines[start : start + _LINES]))
        for place, *answer in cursor:
            answers[start + place].append(answer)
    return answers


def rows_at(cursor: Any, queries: Queries, ask: Ask, stream: int, times: Sequence[int]) -> list[Line | None]:
    """Return the rows of a stream of these times."""
    ends = [cursor.execute(query, (stream,)).fetchone() for query in (queries.first, queries.last)]
    if None in ends:
        return [None for _ in times]
    seen: dict[int, Line] = {}

    def look(seqs: Sequence[int]) -> dict[int, int]:
        answers = ask(cursor, queries.observations, [(stream, seq, seq) for seq in seqs])
        found = {answer[0][1]: answer[0] for answer in answers if answer}
        seen.update(found)
        return {seq: row[2] for seq, row in found.items()}

    seqs = find_rows(times, Mark(*ends[0]), Mark(*ends[1]), look)
    look([seq for seq in seqs if seq is not None and seq not in seen])
    return [None if seq is None else seen.get(seq) for seq in seqs]


def drifting(cursor: Any, queries: Queries, model: str) -> dict[int, int]:
    """Return how many streams of a model there are, by the code of their drift."""
    every = cursor.execute(queries.of_model, (model,)).fetchone()[0]
    codes = dict(cursor.execute(queries.drifting, (model,)).fetchall())
    steady = every - sum(codes.values())
    return {0: steady, **codes} if steady > 0 else codes

"""Deleting what is old, in slices: each a short transaction, for a push must not wait for the end of all of them."""

from __future__ import annotations

from typing import Any, NamedTuple

from forecasting.log.connecting import Database
from forecasting.log.queries import Queries
from forecasting.log.reading import Ask
from forecasting.log.statements import Statements

_STREAMS = 200
_ROWS = 100


class _Cut(NamedTuple):
    """The first row of a stream that stays, and how many go."""

    stream: int
    seq: int
    rows: int


class Pruning(NamedTuple):
    """Deleting rows that arrived before a time, see `Log.prune`."""

    database: Database
    statements: Statements
    queries: Queries
    ask: Ask
    before: int
    keep: int

    def run(self) -> int:
        """Delete them; return how many."""
        pruned, page = 0, self._page(-1)
        while page:
            unfinished = page
            while unfinished:
                cuts = self._prune(unfinished)
                pruned += sum(cut.rows for cut in cuts)
                unfinished = [cut.stream for cut in cuts if cut.rows == _ROWS]
            page = self._page(page[-1])
        return pruned

    def _page(self, after: int) -> list[int]:
        query = self.queries.ids
        return [
            row[0] for row in self.database.read(lambda cursor: cursor.execute(query, (after, _STREAMS)).fetchall())
        ]

    def _prune(self, page: list[int]) -> list[_Cut]:
        """Delete one slice of some streams; return what went."""
        cuts = self.database.read(lambda cursor: self._cuts(cursor, page))
        if cuts:
            self.database.write(lambda cursor: self._delete(cursor, cuts))
        return cuts

    def _cuts(self, cursor: Any, page: list[int]) -> list[_Cut]:
        firsts = self.ask(cursor, self.queries.old_first, [(stream, self.before) for stream in page])
        spans = [
            (stream, answer[0][0], min(answer[0][0] + _ROWS, answer[0][1] - self.keep) - 1, self.before)
            for stream, answer in zip(page, firsts, strict=True)
            if answer and answer[0][1] is not None  # without a snapshot all rows are needed
        ]
        spans = [span for span in spans if span[1] <= span[2]]
        found = self.ask(cursor, self.queries.old, spans)
        return [
            _Cut(stream, first + gone, gone)
            for (stream, first, *_), answer in zip(spans, found, strict=True)
            if (gone := _gapless(first, [row[0] for row in answer]))
        ]

    def _delete(self, cursor: Any, cuts: list[_Cut]) -> None:
        ends = [(cut.stream, cut.seq) for cut in cuts]
        cursor.executemany(self.statements.prune_rows, ends)
        cursor.executemany(self.statements.prune_corrections, ends)
        # a snapshot needs the row behind it
        cursor.executemany(self.statements.prune_snapshots, [(stream, seq - 1) for stream, seq in ends])


def _gapless(first: int, seqs: list[int]) -> int:
    """Return how many of these rows follow each other from the first on: behind one that is young, all stay."""
    return next((at for at, seq in enumerate(seqs) if seq != first + at), len(seqs))

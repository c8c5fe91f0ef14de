"""The data report: what was found in the rows, and what was done about it.

A finding has a stated rule: it refuses the data, or it names the repair that was made, or it is a note. Nothing is ever
dropped or changed without one.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Action = Literal["refused", "repaired", "noted"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing found. `count` is in rows or cells, `where` an example a person can look up in the file."""

    code: str
    action: Action
    message: str
    count: int = 1
    column: str | None = None
    series: str | None = None
    where: str | None = None

    @property
    def sentence(self) -> str:
        """The finding as one line: code, message, example."""
        example = f" (first: {self.where})" if self.where else ""
        return f"{self.code}: {self.message}{example}"


def counted(number: int, noun: str) -> str:
    """Return `1 row`, `1,204 rows`."""
    return f"{number:,} {noun}{'' if number == 1 or noun == 'series' else 's'}"


class SeriesSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What one series holds after repairs; times in RFC 3339, UTC."""

    id: str
    rows: int
    start: str
    end: str
    missing: dict[str, float]


class DataReport(msgspec.Struct, frozen=True, kw_only=True):
    """All findings about one source, the sha256 of its bytes, and what is left to work with."""

    source: str
    digest: str
    rows: int
    findings: tuple[Finding, ...] = ()
    series: tuple[SeriesSummary, ...] = ()

    @property
    def refusals(self) -> tuple[Finding, ...]:
        """The findings that refuse the data."""
        return tuple(finding for finding in self.findings if finding.action == "refused")

    def to_json(self) -> bytes:
        """Return the report as JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2)

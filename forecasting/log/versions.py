"""Versions of models as small numbers, for they stand in every row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from forecasting.log.connecting import Database
from forecasting.log.records import Version


class Versions:
    """The versions that a database knows, remembered here; numbers are never given twice."""

    def __init__(self, database: Database, every: str, add: str) -> None:
        """Remember none yet; `every` is the query of all (see `queries`), `add` adds one (see `statements`)."""
        self._database = database
        self._every = every
        self._add = add
        self._ids: dict[Version, int] = {}
        self._versions: dict[int, Version] = {}

    def ids(self, wanted: Iterable[Version]) -> Mapping[Version, int]:
        """Return the numbers of all versions known, these among them: new ones are given a number."""
        new = {version for version in wanted if version not in self._ids}
        if new:
            self._learn()
        if missing := sorted(new - self._ids.keys()):
            self._database.write(lambda cursor: cursor.executemany(self._add, missing))
            self._learn()
        return self._ids

    def find(self, version: Version) -> int:
        """Return the number of a version, -1 of one that was never written."""
        if version not in self._ids:
            self._learn()
        return self._ids.get(version, -1)

    def __getitem__(self, number: int) -> Version:
        """Return the version of a number."""
        if number not in self._versions:
            self._learn()
        return self._versions[number]

    def _learn(self) -> None:
        listed = self._database.read(lambda cursor: cursor.execute(self._every).fetchall())
        for number, *version in listed:
            self._versions[number] = Version(*version)
            self._ids[Version(*version)] = number

"""What the columns of a model are for; a row holds targets, past and known covariates, in this order."""

from __future__ import annotations

import msgspec


class Columns(msgspec.Struct, frozen=True):
    """Columns by role.

    `targets` are forecast; `past` covariates are known up to now, `known` ones also for the steps to come; `static`
    ones hold one value a series and are no part of a row.
    """

    targets: tuple[str, ...]
    past: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    static: tuple[str, ...] = ()

    @property
    def row(self) -> tuple[str, ...]:
        """Names of the values of a row."""
        return self.targets + self.past + self.known

    @property
    def seen(self) -> int:
        """How many values of a row are known only once the row is there: targets and past covariates."""
        return len(self.targets) + len(self.past)

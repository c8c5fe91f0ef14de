"""What a column is before it is scaled, and what a forecast of it must respect."""

from __future__ import annotations

import math

import msgspec

Bounds = tuple[float | None, float | None]


class Transform(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The nature of one column.

    `log1p`: learnt as log(1 + x), never below 0. `bounds`: (lowest, highest), both possible; None is no bound.
    `integer`: whole numbers only. Cells that contradict this are findings; forecasts never do.
    """

    log1p: bool = False
    bounds: Bounds = (None, None)
    integer: bool = False

    @property
    def limits(self) -> Bounds:
        """Lowest and highest value there can be; whole numbers, if the column has no other."""
        low, high = (bound if bound is None or math.isfinite(bound) else None for bound in self.bounds)
        low = max(low or 0.0, 0.0) if self.log1p else low
        if not self.integer:
            return low, high
        return None if low is None else float(math.ceil(low)), None if high is None else float(math.floor(high))


PLAIN = Transform()

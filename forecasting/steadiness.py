"""Whether a forecaster may be carried from row to row for ever: what was measured once, when it was registered.

A window and a stream differ in how much history the recurrent state has seen. A network that forgets says the same of
both; one that was taught on short histories and remembers long ones may drift away once it is carried. Two figures tell
them apart: how long a history must be before more of it changes nothing (settling), and what carrying does to the error
(ratio). How they are measured is in `settling`.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

LIMIT = 1.02
"""Largest ratio of the streamed error to that of fresh windows at which a forecaster is carried on and on."""
SETTLED = 0.01
"""Distance to the forecast of the carried state, relative to how far that one goes, that is taken for none."""
NEEDLESS = 1.01
"""Largest ratio of the error from the newest row alone at which history is said to be of no use."""
GROWN = 3.0
"""How much larger a state without bounds is behind five times as many rows, at least; 5 where each row adds."""
LARGE = 10.0
"""Size that a state has reached by then; gates and tanh see no difference beyond."""
LONGEST = 1_024
"""Rows of the longest history that is tried. Not to settle within them is a finding; within fewer, for want of data."""

Rows = Annotated[int, Meta(ge=1)]
Count = Annotated[int, Meta(ge=0)]
Figure = Annotated[float, Meta(ge=0)]


class Streaming(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of the forecasts of a model that is carried over its history; lengths in rows. None is unknown.

    `ratio` is the mean squared error of the point (z units, observed cells of validation rows) of the carried
    forecaster, divided by that of fresh windows of `window` rows, from `origins` origins; the longest carried history
    had `carried` rows. `curve` holds lengths of history and how far the forecast from so much of it is from the one of
    the carried state: root mean square, relative to how far that one goes away from the last value seen. `settling` is
    the first length from which on that stays below 1 %; None where none of those tried is one. `growth` holds the
    largest number in the carried state behind so many rows. `alone` is the error of forecasts from the newest row
    alone, divided by that of the carried forecaster: 1 where no history helps.
    """

    window: Rows
    origins: Count
    carried: Count
    ratio: Figure | None = None
    settling: Rows | None = None
    curve: tuple[tuple[Rows, Figure], ...] = ()
    growth: tuple[tuple[Rows, Figure], ...] = ()
    alone: Figure | None = None

    def __post_init__(self) -> None:
        """Hold the settling length against the curve it was read from."""
        lengths = [rows for rows, _ in self.curve]
        if lengths != sorted(set(lengths)):
            message = "the lengths of the curve do not increase"
            raise ValueError(message)
        if self.settling is not None and self.settling not in lengths:
            message = f"settling is {self.settling}, which is no length of the curve"
            raise ValueError(message)

    @property
    def safe(self) -> bool:
        """Whether nothing speaks against carrying the state on and on; what is unknown does not.

        Against it speaks an error that carrying makes more than 2 % larger; and a memory that never settles unless it
        pays, which shows in an error that carrying makes smaller: such a memory has no end, and validation rows have.
        """
        if self.grows:
            return False
        if self.ratio is None:
            return True
        endless = self.settling is None and self._tried >= LONGEST
        return self.ratio <= (1.0 if endless else LIMIT)

    @property
    def needless(self) -> bool:
        """Whether the newest row alone does as well, so that no memory is needed."""
        return self.alone is not None and self.alone <= NEEDLESS

    @property
    def grows(self) -> bool:
        """Whether the state goes on growing with the rows, so that no state is one that training has seen."""
        if not self.growth:
            return False
        rows, size = self.growth[-1]
        return size > max(LARGE, GROWN * dict(self.growth).get(rows // 5, 0.0))

    @property
    def resync_rows(self) -> int:
        """Rows that the state of an unsafe model is built anew from: a window, or fewer where it settles within fewer.

        Not the settling length as such: the state behind so many rows says what the carried one says, within 1 %, and
        errs as it errs. Fresh windows are what the ratio found to be better, and what the model was trained on.
        """
        return self.window if self.settling is None else min(self.window, self.settling)

    @property
    def resync_every(self) -> int:
        """Steps after which the state of an unsafe model is built anew, so that a step costs two in the mean."""
        return self.resync_rows

    @property
    def _tried(self) -> int:
        return self.curve[-1][0] if self.curve else 0

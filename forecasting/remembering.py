"""What a forecaster remembers, in three numbers that are not the same; measured once, when it was registered.

    keep time constant   of a unit: rows after which it alone would have kept 1/e of what it holds, -1 / log(keep)
    reach                rows that hold 90 % of what moves the change forecast; of linear road and network apart, too
    settling length      rows of history after which more of it changes nothing (`steadiness.Streaming`)

A time constant is no horizon: a network passes on through its hidden state what its gates forget, and what gates keep
need not matter. All were measured before this was written; the figures are in `docs/memory.md`. How is in `memory`.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

HELD = 0.9
"""Share of the sensitivity that the rows of a reach hold."""

Rows = Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Figure = Annotated[float, Meta(ge=0)]


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """Values of a gate over rows, units and members: mean, shares below 0.1 and above 0.9, shares by tenth."""

    mean: Share
    low: Share
    high: Share
    tenths: tuple[Share, ...]


class Constants(msgspec.Struct, frozen=True, kw_only=True):
    """Keep time constants of the units of a layer, in rows; those of half, of a tenth, of nine tenths lie below."""

    tenth: Figure
    median: Figure
    ninetieth: Figure
    longest: Figure


class LayerGates(msgspec.Struct, frozen=True, kw_only=True):
    """The gates of a layer, the first being the one that sees the rows; None where the cell has no such gate."""

    keep: Gate | None = None
    write: Gate | None = None
    read: Gate | None = None
    constants: Constants | None = None


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """How far back a forecast moves with a value: lengths in rows, the newest being the first; 0 where nothing does.

    Of how far the point goes away from the last value: that this one is where it starts from is no memory. `curve`
    holds, newest row first, the root mean square of its derivative (z units) by a cell of the row (z units), over
    windows, steps and targets, summed over columns as squares. `half`, `most` (90 %) and `all_but` (99
    %) are the rows that hold so much of the squares; `above` those up to the last one above 1 % of the largest.
    """

    half: Rows
    most: Rows
    all_but: Rows
    above: Rows
    curve: tuple[Figure, ...]


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What a forecaster was found to remember, over `windows` of validation rows, each of `history` rows.

    `recurrent` is of what the members add to the linear road. How long a history settles is in `steadiness.Streaming`.
    """

    windows: Rows
    history: Rows
    forecast: Reach
    linear: Reach
    recurrent: Reach
    layers: tuple[LayerGates, ...] = ()

    @property
    def cut(self) -> bool:
        """Whether the reach ends where the history did, so that it may be longer."""
        return self.forecast.most >= self.history

"""Why a forecast is what it is: how far back each row moved it, and what of the memory is still there (see `shares`).

One fused pass over the rows, one matrix product for all gates, no loop over rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from jaxtyping import Float

from forecasting.engines import Inputs
from forecasting.memory.shares import Sharer
from forecasting.memory.told import Gated, teller_for
from forecasting.network import Forecaster
from forecasting.remembering import HELD

SHOWN = 5
DECIMALS = 5
NOTE = "a cell {} has no path along which a memory is only kept and added to: what rows left in it has no shares"


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """By how much rows moved the point: `by_row` newest first, root mean square over steps and targets, in z units.

    `reach` is how many of the newest rows hold 90 % of the squares.
    """

    reach: int
    by_row: tuple[float, ...]


class RowMoved(msgspec.Struct, frozen=True, kw_only=True):
    """What one row, `back` rows before the newest, did to the point: by target, the mean over steps, in z units."""

    back: int
    timestamp: str | None = None
    linear: dict[str, float]
    recurrent: dict[str, float]


class GatesByRow(msgspec.Struct, frozen=True, kw_only=True):
    """Gates at each row, newest first, means over units and members; null where the cell has no such gate."""

    keep: tuple[float, ...] | None
    write: tuple[float, ...] | None
    read: tuple[float, ...] | None


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """How far back a forecast looked. Lengths in rows, moves in z units: training standard deviations of each target.

    `recurrent` is null, and `note` says why, where the cell has no path along which a memory is only kept and added to.
    `kept` is the share of the memory of each row that is still there at the newest, a mean over units and members.
    `rest` is what no row moved by itself: biases, calendar, levels, what is known in advance, the state before the
    rows.
    """

    rows: int
    linear: Moved
    columns: dict[str, Moved]
    recurrent: Moved | None
    most: tuple[RowMoved, ...]
    kept: tuple[float, ...] | None
    gates: tuple[GatesByRow, ...]
    rest: dict[str, float]
    note: str | None = None


class Explainer:
    """Explains forecasts of a network; many threads may ask at once. Later changes of the network are not seen."""

    def __init__(self, forecaster: Forecaster, targets: Sequence[str], columns: Sequence[str]) -> None:
        """Take the weights over; `columns` are the targets and past covariates of a row."""
        self._targets, self._columns, self._cell = targets, columns, forecaster.architecture.cell
        self._teller, self._sharer = teller_for(forecaster), Sharer(forecaster)

    def explain(self, inputs: Inputs) -> Explanation:
        """Explain the forecast behind the last of the rows of one window, from a fresh state."""
        told = self._teller.tell(inputs)
        shares = self._sharer.share(told)
        roads = [shares.linear.sum(axis=1), *([] if shares.recurrent is None else [shares.recurrent])]
        moved = _moved(np.stack([*roads, *shares.linear.transpose(1, 0, 2, 3)]))
        return Explanation(
            rows=len(shares.linear),
            linear=moved[0],
            columns=dict(zip(self._columns, moved[len(roads) :], strict=True)),
            recurrent=None if shares.recurrent is None else moved[1],
            most=_most(roads, self._targets),
            kept=None if shares.kept is None else _short(shares.kept[::-1]),
            gates=tuple(_gates(layers) for layers in zip(*told.members, strict=True)),
            rest=dict(zip(self._targets, _short(shares.rest.mean(axis=0)), strict=True)),
            note=NOTE.format(self._cell) if shares.recurrent is None else None,
        )


def _gates(layers: Sequence[Gated]) -> GatesByRow:
    """Average the gates of a layer over units, folds and members, newest row first."""
    named = {}
    for name in ("keep", "write", "read"):
        parts = [gate.mean(axis=(1, 2)) for layer in layers if (gate := getattr(layer, name)) is not None]
        named[name] = _short(np.mean(parts, axis=0)[::-1]) if parts else None
    return GatesByRow(**named)


def _moved(moves: Float[np.ndarray, "kind time horizon target"]) -> list[Moved]:
    """Say by how much rows moved the point, of each kind of move."""
    squares = np.square(moves[:, ::-1], dtype=np.float64).mean(axis=(2, 3))
    held = np.cumsum(squares, axis=1)
    reaches = np.where(held[:, -1] > 0, (held < HELD * held[:, -1:]).sum(axis=1) + 1, 0).tolist()
    sizes = np.sqrt(squares).round(DECIMALS).tolist()
    return [Moved(reach=reach, by_row=tuple(size)) for reach, size in zip(reaches, sizes, strict=True)]


def _most(roads: Sequence[Float[np.ndarray, "time horizon target"]], targets: Sequence[str]) -> tuple[RowMoved, ...]:
    """Name the rows that moved the point most, by both roads together."""
    size = np.square(sum(roads)).mean(axis=(1, 2))
    rows = [row for row in np.argsort(-size, kind="stable")[:SHOWN].tolist() if size[row] > 0]
    means = [road[rows].mean(axis=1, dtype=np.float64).round(DECIMALS).tolist() for road in roads]
    linear, recurrent = means if len(means) > 1 else (means[0], [[0.0] * len(targets)] * len(rows))
    return tuple(
        RowMoved(
            back=len(size) - 1 - row,
            linear=dict(zip(targets, linear[place], strict=True)),
            recurrent=dict(zip(targets, recurrent[place], strict=True)),
        )
        for place, row in enumerate(rows)
    )


def _short(values: np.ndarray) -> tuple[float, ...]:
    return tuple(values.astype(np.float64).round(DECIMALS).tolist())

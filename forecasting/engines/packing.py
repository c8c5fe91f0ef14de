"""The weights of a network as the compiled kernel takes them: one flat array, and a plan of what stands where.

A matrix lies input by input, since an input weighs on all gates at once. What is the same at every row is added up
here: the two biases of a layer, and what the embedding of a channel weighs. The columns of a cell's gates, by hidden
units:

    lstm   write, keep, content, read                 both inputs and hidden units weigh on all of them
    gru    content, reset, keep, content of the past  inputs weigh on the first three, hidden units on the last three
    rnn    one
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import accumulate, chain
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from forecasting.engines.kernel import GRU, LSTM, OUTPUTS, REST, RNN, VIEWS, At
from forecasting.filling import LONGEST_ABSENCE
from forecasting.members import WIDEST, Architecture
from forecasting.network import Forecaster

CODES = {"lstm": LSTM, "gru": GRU, "rnn": RNN}
GATES, WIDTHS = {"lstm": 4, "gru": 4, "rnn": 1}, {"lstm": 4, "gru": 3, "rnn": 1}
SIZES = ("seen", "targets", "lags", "calendar", "known", "statics", "horizon", "hidden", "layers", "folds", "members")
LANES = 16
"""A small matrix gets columns of zeros up to a multiple of this, so that vectors hold it without a rest."""

Weights = dict[str, np.ndarray]
Plan = dict[At, int]


class Packed(NamedTuple):
    """A network for `kernel.advance`."""

    weights: Float[np.ndarray, " numbers"]
    plan: Int[np.ndarray, " entries"]


class Layout(NamedTuple):
    """Where things stand in a stream's state: changes by column and lag, oldest first; level, seen, absence; cells.

    A member carries its hidden units and, of an lstm, its memory, each by layer and fold.
    """

    levels: int
    cells: int
    carried: int
    width: int


def layout_of(a: Architecture) -> Layout:
    """Return the layout of the state of a stream."""
    levels = a.seen * (a.lags - 1)
    cells = levels + 3 * a.seen
    carried = (2 if a.cell == "lstm" else 1) * a.layers * a.folds * a.hidden
    return Layout(levels, cells, carried, cells + a.members * carried)


class Shelf:
    """Arrays put one behind another."""

    def __init__(self) -> None:
        """Start empty."""
        self._parts: list[np.ndarray] = []
        self.size = 0

    def put(self, *parts: np.ndarray) -> int:
        """Put arrays at the end and return where the first of them begins."""
        place = self.size
        for part in parts:
            self._parts.append(np.ravel(part).astype(np.float32))
            self.size += part.size
        return place

    def flat(self) -> Float[np.ndarray, " numbers"]:
        """Return everything as one array."""
        return np.concatenate(self._parts)


def pack(forecaster: Forecaster) -> Packed:
    """Lay out the weights of a network; later changes of it are not seen."""
    a = forecaster.architecture
    weights = {name: tensor.detach().cpu().numpy() for name, tensor in forecaster.state_dict().items()}
    shelf = Shelf()
    plan = _sizes(a) | _put_outside(shelf, a, weights)
    road = _road(weights)
    place = shelf.put(road)
    plan[At.MEMBER] = shelf.size
    inside, *_ = [_put_member(shelf, a, _under(f"members.{number}.", weights)) for number in range(a.members)]
    tables = [entry for i, codes in enumerate(a.categories) for entry in (codes, min(codes, WIDEST), inside.tables[i])]
    plan |= inside.places | {At.SPANS: REST + len(tables)}
    spans = _spans(a, road, place, plan[At.SPANS])
    return Packed(shelf.flat(), np.array([*(plan[at] for at in At), *tables, *spans], dtype=np.int64))


def _sizes(a: Architecture) -> Plan:
    layout, joint = layout_of(a), a.channels == "joint"
    own = VIEWS * (a.seen if joint else 1)
    embedded = sum(min(codes, WIDEST) for codes in a.categories)
    common = (0 if joint else VIEWS * (a.seen - a.targets)) + a.calendar + 2 * a.known + a.statics + embedded
    said = OUTPUTS * a.targets // a.folds
    return {
        **{At[name.upper()]: getattr(a, name) for name in SIZES},
        At.CATEGORIES: len(a.categories),
        At.CELL: CODES[a.cell],
        At.OWN: own,
        At.COMMON: common,
        At.WIDTH: WIDTHS[a.cell] * a.hidden,
        At.GATES: GATES[a.cell] * a.hidden,
        At.PAST: a.hidden if a.cell == "gru" else 0,
        At.SAID: _full(said * a.horizon),
        At.STEP: _full(said),
        At.LEVELS: layout.levels,
        At.CELLS: layout.cells,
        At.CARRIED: layout.carried,
        At.LONGEST: int(LONGEST_ABSENCE),
    }


def _put_outside(shelf: Shelf, a: Architecture, weights: Weights) -> Plan:
    """Put what members do not have; the mean over them is taken by the spread."""
    waits = np.log1p(np.arange(LONGEST_ABSENCE + 1)) / math.log1p(LONGEST_ABSENCE)
    return {
        At.WAITS: shelf.put(waits),
        At.BIAS: shelf.put(weights["linear.bias"]),
        At.AHEAD: shelf.put(weights["linear.ahead"]),
        At.SHARE: shelf.put(weights["share"]),
        At.SPREAD: shelf.put(weights["spread"] / np.float32(a.members)),
        At.NOISE: shelf.put(weights["noise"]),
    }


def _road(weights: Weights) -> Float[np.ndarray, "output regressor"]:
    """Return the weights of changes by column and lag, level, calendar, covariates known now."""
    changes = weights["linear.changes"]
    now = (weights[f"linear.{name}"] for name in ("level", "calendar", "now"))
    return np.concatenate([changes.reshape(len(changes), -1), *now], axis=1)


def _spans(a: Architecture, road: Float[np.ndarray, "output regressor"], place: int, at: int) -> list[int]:
    """List where the triples of each output begin, then the triples: first regressor, how many, place of the weights.

    A road told by each channel's own past is mostly zeros: columns of zeros are left out.
    """
    triples: list[list[int]] = []
    for output, row in enumerate(road):
        found: list[tuple[int, int]] = []
        for start, stop in _columns(a, len(row)):
            if row[start:stop].any():
                first = found.pop()[0] if found and found[-1][1] == start else start
                found.append((first, stop))
        here = place + output * road.shape[1]
        triples.append([entry for start, stop in found for entry in (start, stop - start, here + start)])
    starts = accumulate((len(one) for one in triples), initial=at + len(triples) + 1)
    return [*starts, *chain(*triples)]


def _columns(a: Architecture, regressors: int) -> Iterator[tuple[int, int]]:
    """Yield the regressors of the changes of each column, then all others."""
    changes = a.seen * a.lags
    yield from ((start, start + a.lags) for start in range(0, changes, a.lags))
    yield changes, regressors


class Inside(NamedTuple):
    """Where things stand in a member; `tables` of the embeddings of each category."""

    places: Plan
    tables: list[int]


def _put_member(shelf: Shelf, a: Architecture, weights: Weights) -> Inside:
    start, layers = shelf.size, list(_layers(a, weights))
    shelf.put(*layers[0])
    shared = shelf.put(_first(a, weights).common)
    above = shelf.put(*chain(*layers[1:]))
    head = shelf.put(_filled(weights["head.weight"]), _filled(weights["head.bias"][:, None]))
    context = shelf.put(*_ahead(weights)) if a.known else shelf.size
    tables = [shelf.put(weights[f"embeddings.{place}.weight"]) - start for place in range(len(a.categories))]
    places = {At.SHARED: shared, At.ABOVE: above, At.HEAD: head, At.CONTEXT: context}
    return Inside({at: place - start for at, place in places.items()} | {At.STRIDE: shelf.size - start}, tables)


class First(NamedTuple):
    """Rows of the first layer's matrix of inputs: what each fold has for itself, what all share, the channel."""

    own: np.ndarray
    common: np.ndarray
    channel: np.ndarray


def _first(a: Architecture, weights: Weights) -> First:
    given, alone = _given(a, weights, 0), a.channels == "independent"
    own = VIEWS * (1 if alone else a.seen)
    past = own + (VIEWS * (a.seen - a.targets) if alone else 0)
    channel = past + (min(a.targets, WIDEST) if alone else 0)
    return First(given[:own], np.concatenate([given[own:past], given[channel:]]), given[past:channel])


def _layers(a: Architecture, weights: Weights) -> Iterator[list[np.ndarray]]:
    """Yield of each layer the matrices of what is a fold's own and of hidden units, then the biases by fold."""
    first = _first(a, weights)
    for depth in range(a.layers):
        bias = np.tile(_bias(a, weights, depth), (a.folds, 1))
        if depth == 0 and len(first.channel):
            bias[:, : first.channel.shape[1]] += weights["channel.weight"] @ first.channel
        yield [_given(a, weights, depth) if depth else first.own, weights[f"cell.rnn.weight_hh_l{depth}"].T, bias]


def _given(a: Architecture, weights: Weights, depth: int) -> Float[np.ndarray, "input column"]:
    matrix: np.ndarray = weights[f"cell.rnn.weight_ih_l{depth}"].T
    return np.roll(matrix, a.hidden, axis=1) if a.cell == "gru" else matrix


def _bias(a: Architecture, weights: Weights, depth: int) -> Float[np.ndarray, " gate"]:
    given, past = (weights[f"cell.rnn.bias_{name}_l{depth}"] for name in ("ih", "hh"))
    if a.cell != "gru":
        return np.asarray(given + past)
    none = np.zeros(a.hidden, np.float32)
    return np.asarray(np.concatenate([np.roll(given, a.hidden), none]) + np.concatenate([none, past]))


def _ahead(weights: Weights) -> Iterator[np.ndarray]:
    yield weights["ahead.context.weight"].T
    yield weights["ahead.context.bias"]
    yield weights["ahead.known.weight"].T
    yield _filled(weights["ahead.out.weight"])


def _filled(matrix: Float[np.ndarray, "output input"]) -> Float[np.ndarray, "input columns"]:
    return np.pad(matrix.T, ((0, 0), (0, _full(len(matrix)) - len(matrix))))


def _full(columns: int) -> int:
    return -(-columns // LANES) * LANES


def _under(prefix: str, weights: Weights) -> Weights:
    return {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}

"""The model card: what a person should know before trusting a model (Mitchell et al. 2019), as a value."""

from __future__ import annotations

import msgspec

from forecasting.transforms import Bounds


class CardColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A value of a row: its role (target, past, known), unit, what it can be and what it was in training.

    `possible` are the bounds of the project, `plausible` the widest limits of any series: a value outside either is
    taken as missing. `mean` and `std` are in the units of the data; `missing` is the share of cells without a value in
    training.
    """

    name: str
    role: str
    unit: str | None
    log1p: bool
    integer: bool
    possible: Bounds
    plausible: Bounds
    mean: float
    std: float
    missing: float


class CardData(msgspec.Struct, frozen=True, kw_only=True):
    """What a model was made from; times in RFC 3339, UTC. Training ends before `valid`, validation before `test`."""

    source: str
    series: int
    rows: int
    freq: str
    timezone: str
    start: str
    valid: str
    test: str
    end: str
    scaling: str
    static: tuple[str, ...]


class CardScore(msgspec.Struct, frozen=True, kw_only=True):
    """A score of the model on test rows beside those of the baselines, None where one does not apply."""

    score: str
    model: float | None
    baselines: dict[str, float | None]


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """Data, architecture, scores and limits of a model.

    `trusted` is the mean share of the network's corrections that validation rows speak for, 0 to 1. `limits` are
    sentences for people, `streaming` is one: whether the model may be carried from row to row; `memory` another: how
    far back it looks. None is unknown.
    """

    data: CardData
    columns: tuple[CardColumn, ...]
    forecaster: str
    linear: str
    trusted: float
    levels: tuple[int, ...]
    scores: tuple[CardScore, ...]
    limits: tuple[str, ...]
    streaming: str | None = None
    memory: str | None = None

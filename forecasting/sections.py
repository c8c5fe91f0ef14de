"""The tables of the project file, each a typed, frozen object with a default for nearly every key."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from forecasting.columns import Columns
from forecasting.transforms import PLAIN, Transform

Count = Annotated[int, Meta(ge=1)]
Level = Annotated[int, Meta(ge=1, le=99)]
Nature = Literal["none", "log1p"] | Transform
CellName = Literal[
    "lstm",
    "gru",
    "rnn",
    "question",
    "lstm1997",
    "alternative1",
    "alternative1_deep",
    "alternative1_skip",
    "alternative2",
]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the project file: immutable, and closed to keys it does not know."""


LOG = "log"
"""A source that is no file: the observation log."""


class DataSection(Section, frozen=True):
    """Where the rows are and what their columns mean.

    `source` is a file (csv, csv.gz, parquet), a glob of files, or a SQLAlchemy URL with a `query`; a password need not
    stand in it where the driver finds one by itself (`~/.pgpass`, `PGPASSWORD`). The source `log` is what `principal`
    pushed to the model's streams (to one `stream`, where there is no `series`), joined to a `history`, which is a file
    or URL as above; of a time that both have the pushed row counts.

    Static columns whose values are all numbers are numbers, unless `categorical` names them. `scaling` is by each
    series' own training rows or, for all series alike, by those of the whole panel.
    """

    source: Annotated[str, Meta(min_length=1)]
    time: Annotated[str, Meta(min_length=1)]
    targets: Annotated[list[str], Meta(min_length=1)]
    query: str | None = None
    history: Annotated[str, Meta(min_length=1)] | None = None
    stream: str | None = None
    principal: str | None = None
    timezone: str = "UTC"
    series: str | None = None
    past: list[str] = []
    known: list[str] = []
    static: list[str] = []
    categorical: list[str] = []
    freq: str = "h"
    units: dict[str, str] = {}
    transform: dict[str, Nature] = {}
    scaling: Literal["series", "panel"] = "series"

    @property
    def columns(self) -> Columns:
        """The columns by role."""
        return Columns(tuple(self.targets), tuple(self.past), tuple(self.known), tuple(self.static))

    def transforms(self) -> tuple[Transform, ...]:
        """Return what each column of a row is, in the order of `columns.row`."""
        shorthand = {"none": PLAIN, "log1p": Transform(log1p=True)}
        wanted = [self.transform.get(name, PLAIN) for name in self.columns.row]
        return tuple(shorthand[one] if isinstance(one, str) else _bounded(one) for one in wanted)


def _bounded(transform: Transform) -> Transform:
    """Return the transform with None where a bound is infinite, which JSON could not keep."""
    low, high = (None if bound is None or math.isinf(bound) else bound for bound in transform.bounds)
    return msgspec.structs.replace(transform, bounds=(low, high))


class ModelSection(Section, frozen=True):
    """The architecture. `horizon` is in steps of `freq`, `levels` are those of the intervals in percent.

    `cell` is one of `cells.systems`; those behind the first three are there to be compared with, and slower.

    `channels`: one network that sees all targets together, or one shared by the targets that sees each alone. `linear`:
    the linear road of a target sees its own past (channel), that of all, or is left out. Both are chosen on validation
    rows when `auto`.
    """

    cell: CellName = "lstm"
    channels: Literal["joint", "independent", "auto"] = "auto"
    linear: Literal["channel", "all", "none", "auto"] = "auto"
    horizon: Annotated[int, Meta(ge=1, le=1000)] = 1
    levels: Annotated[list[Level], Meta(min_length=1)] = msgspec.field(default_factory=lambda: [80, 90, 95])
    hidden: Annotated[int, Meta(ge=1, le=2048)] = 32
    layers: Annotated[int, Meta(ge=1, le=8)] = 1
    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.3


class TrainSection(Section, frozen=True):
    """How the network is fitted. Lengths are in rows.

    At most `threads` members learn side by side, each on one thread: the weights are the same whatever their number.
    `keep_bias` is what the keep gates begin as: `default`, `one` or `chrono(T)`, a memory of up to T rows (`chrono`: of
    `length`). With `warm` members begin as those of the version in production, where these fit.
    """

    seed: Annotated[int, Meta(ge=0, lt=2**32)] = 0
    members: Annotated[int, Meta(ge=1, le=64)] = 3
    length: Annotated[int, Meta(ge=2)] = 192
    burn_in: Annotated[int, Meta(ge=0)] = 48
    batch: Count = 32
    epochs: Count = 60
    steps_per_epoch: Count = 20
    patience: Count = 6
    learning_rate: Annotated[float, Meta(gt=0, le=1)] = 6e-3
    weight_decay: Annotated[float, Meta(ge=0)] = 1e-2
    clip: Annotated[float, Meta(gt=0)] = 1.0
    keep_bias: str = "default"
    threads: Annotated[int, Meta(ge=1, le=64)] = 8
    device: Annotated[str, Meta(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = "auto"
    warm: bool = False


class BacktestSection(Section, frozen=True):
    """`split` gives train, validation and test: fractions of the time axis, or row counts from its start.

    Of fractions the test part is at most the `newest` rows; where a model is retrained that is 1,000 unless said here.
    """

    split: tuple[float, float, float] = (0.7, 0.1, 0.2)
    newest: Count | None = None


class PromoteSection(Section, frozen=True):
    """When a new version takes the alias `production` from the champion, which holds it.

    `better`: it beats the naive forecasts, and the champion beyond chance (two-sided p below `level`) and by `min_gain`
    of its loss. `not-worse`: it is not worse beyond chance, nor by `min_gain`. `manual`: what the gate would do is
    recorded, and nothing is moved. With `allow_schema_change` a champion that cannot be compared, because its columns,
    steps or horizon are others, makes way.
    """

    mode: Literal["better", "not-worse", "manual"] = "better"
    min_gain: Annotated[float, Meta(ge=0, lt=1)] = 0.01
    level: Annotated[float, Meta(gt=0, lt=1)] = 0.05
    allow_schema_change: bool = False


class ScheduleSection(Section, frozen=True):
    """When to retrain: a cron expression of five fields, by the clock of `timezone`.

    A run starts up to `jitter_seconds` later, may take `minutes` and `memory_mb`, and is tried again `retries` times
    where it failed for a reason that may pass. Once `drift` streams of the model drift (0: it never is), it is run too,
    `drift_hours` at least after the last run began.
    """

    cron: str = "0 3 * * *"
    timezone: str = "UTC"
    jitter_seconds: Annotated[float, Meta(ge=0, le=3600)] = 0.0
    retries: Annotated[int, Meta(ge=0, le=100)] = 3
    minutes: Annotated[float, Meta(gt=0)] = 240.0
    memory_mb: Count = 16_384
    drift: Annotated[int, Meta(ge=0)] = 1
    drift_hours: Annotated[float, Meta(ge=0.01)] = 6.0

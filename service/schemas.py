"""What goes in and out over HTTP, as typed structures; the published schema is made from them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from forecasting.bundle import Provenance
from forecasting.card import Card
from forecasting.columns import Columns
from forecasting.memory.explaining import Explanation
from forecasting.remembering import Memory
from forecasting.scores import Scorecard
from forecasting.steadiness import Streaming

Cell = float | None
Status = Literal["ready", "cold"]
Time = Annotated[datetime, Meta(tz=True, description="RFC 3339 with an offset or Z")]
Matrix = Annotated[
    list[list[Cell]],
    Meta(min_length=1, description="Rows, oldest first, in the units of the data; null is a missing value."),
]
ColumnName = Annotated[str, Meta(max_length=256)]
Known = Annotated[
    list[list[Cell]],
    Meta(
        min_length=1,
        max_length=1000,
        description="A row a step to come, of the covariates known in advance, in the model's order; for as many steps "
        "as are asked for, at most for all the model has. null is a missing value.",
    ),
]
SeriesId = Annotated[str, Meta(max_length=256, description="Id of the series, where the model has several.")]
Positive = Annotated[int, Meta(ge=1, description="Steps to return; at most, and by default, the model's.")]
Level = Annotated[int, Meta(ge=1, le=99)]
Levels = Annotated[
    list[Level],
    Meta(max_length=99, description="Levels of the intervals in percent, of those the model has; by default 90."),
]
Static = Annotated[
    dict[ColumnName, float | Annotated[str, Meta(max_length=256)] | None],
    Meta(description="Static values by column; needed for a series that training never saw. null is unknown."),
]


Explain = Annotated[
    Literal["memory"], Meta(description="`memory`: tell how far back each row moved the forecast, and what is kept.")
]


class RowsRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows of one series: `observations`, or `columns` with `data`.

    A row holds targets, past and known covariates in the model's order, or in that of `columns`.
    """

    observations: Annotated[Matrix | None, Meta(examples=[[[39.0, 26.1], [39.9, 27.0]]])] = None
    columns: Annotated[list[ColumnName] | None, Meta(description="All columns of a row, in any order.")] = None
    data: Matrix | None = None
    timestamps: Annotated[list[Time] | None, Meta(description="One a row; gaps become missing rows.")] = None
    last_timestamp: Annotated[Time | None, Meta(description="Time of the last row, if there are no gaps.")] = None
    series: SeriesId | None = None
    horizon: Positive | None = None
    levels: Levels | None = None
    known_future: Known | None = None
    static: Static | None = None


class WindowRequest(RowsRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows to forecast from, see `RowsRequest`; `explain` what is to be told of the forecast beside it."""

    explain: Explain | None = None


class ForecastRequest(WindowRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One window; or several, in `windows` alone."""

    windows: Annotated[list[WindowRequest], Meta(min_length=1)] | None = None


class ModelIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Which model answered."""

    name: str
    version: str
    alias: str | None
    run_id: str
    data_hash: str | None


class ForecastStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step ahead: `point` is the mean, `median` the 50 % quantile; no `timestamp` where the window had no times.

    `intervals` are by level in percent and by column, low and high; they hold the median.
    """

    timestamp: str | None
    step: int
    point: dict[str, float]
    median: dict[str, float]
    intervals: dict[str, dict[str, tuple[float, float]]]


class Warned(msgspec.Struct, frozen=True, kw_only=True):
    """Something about the window that its reader should know; the forecast was made all the same."""

    code: str
    detail: str


class WindowAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The forecast of one of several windows; see `ForecastAnswer`."""

    forecast: list[ForecastStep]
    status: Status
    warnings: list[Warned]
    memory: Explanation | UnsetType = UNSET


class ForecastAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The forecast of one window.

    `status` is `cold` where training never saw the series and the window is shorter than what the model looks back on.
    `memory` is there if `explain` asked for it.
    """

    model: ModelIdentity
    forecast: list[ForecastStep]
    units: dict[str, str]
    status: Status
    warnings: list[Warned]
    memory: Explanation | UnsetType = UNSET


class ForecastsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The forecasts of several windows, in their order."""

    model: ModelIdentity
    forecasts: list[WindowAnswer]
    units: dict[str, str]


class ModelPage(msgspec.Struct, frozen=True, kw_only=True):
    """Models by name; `next` is the cursor of the next page, null on the last."""

    models: list[ModelIdentity]
    next: str | None


class KnownSeries(msgspec.Struct, frozen=True, kw_only=True):
    """The series a model was trained on: how many, and the first of them."""

    count: int
    ids: list[str]


class StaticColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A static column; where it is a category, how many values training saw, and the first of them."""

    name: str
    kind: Literal["number", "category"]
    count: int | None = None
    values: list[str] | None = None


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a request may hold, and what it may wait for.

    A body is refused that nests deeper than `max_depth`, as the schema says, or does not arrive within
    `receive_seconds`. `max_queue` windows of all requests may wait, none longer than `deadline_seconds`.
    """

    max_body_bytes: int
    max_rows: int
    max_windows: int
    max_queue: int
    deadline_seconds: float
    receive_seconds: float
    max_depth: int = 5


class StreamLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What streams may take: rows of a request for many, its bytes, steps without a row between two, streams of a key.

    A version that meets a stream begins `replay_rows` back. Rows older than `retention_days` (0: none) are deleted.
    """

    max_pushes: int
    max_bulk_bytes: int
    max_gap_rows: int
    max_streams: int
    replay_rows: int
    retention_days: int


class StreamsState(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a model may be streamed here, and how many streams of it drift: by `none`, `inputs`, `errors` or `both`.

    `drift` is null where streams are off or the log does not answer.
    """

    enabled: bool
    limits: StreamLimits
    drift: dict[str, int] | None


class ModelDescription(msgspec.Struct, frozen=True, kw_only=True):
    """The contract of a served model, where it comes from, and how good it was in its backtest.

    A row of a request holds `columns.targets`, `columns.past` and `columns.known`, in this order. `streaming` is null
    where it was not measured.
    """

    model: ModelIdentity
    columns: Columns
    static: list[StaticColumn]
    units: dict[str, str]
    levels: list[int]
    freq: str
    timezone: str
    horizon: int
    lookback: int
    missing: bool
    needs_time: bool
    series: KnownSeries | None
    limits: Limits
    device: str
    card: Card | None
    scorecard: Scorecard | None
    streaming: Streaming | None
    streams: StreamsState
    provenance: Provenance


class ModelMemory(msgspec.Struct, frozen=True, kw_only=True):
    """What a served model was found to remember when it was registered; null is not known.

    `sentence` says it for people. Its lengths are three that are not the same: time constants of the keep gates, how
    far back the forecast moves with the rows, and (`streaming.settling`) after how long a history more of it changes
    nothing.
    """

    model: ModelIdentity
    freq: str
    sentence: str | None
    memory: Memory | None
    streaming: Streaming | None


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """Models that are served, and the reasons why others are not, by name, or by NAME@ALIAS-OR-VERSION.

    `degraded` says what keeps nothing from being served and is not as it should be: `registry`, `cache`, or a model
    that the registry has no longer.
    """

    models: list[ModelIdentity]
    refused: dict[str, str]
    degraded: dict[str, str]


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What MLflow's registry sends to its webhooks; nothing of it is read, only whether it is signed."""

    entity: str
    action: str
    timestamp: str
    data: dict[str, Any]


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a delivery, before the registry is asked."""

    status: Literal["accepted"] = "accepted"


class ServerMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """This service, to clients of the Open Inference Protocol."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """An input or output; -1 in its shape is any size."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """A model, to clients of the Open Inference Protocol; `versions` are those that are loaded."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]

"""What goes in and out over the HTTP of streams, as typed structures; the published schema is made from them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from forecasting.memory.explaining import Explanation
from service.problems import Problem
from service.schemas import Cell, ColumnName, Explain, ForecastStep, ModelIdentity, RowsRequest, Status, Warned

ID_PATTERN = "[A-Za-z0-9._~-]{1,128}"

StreamId = Annotated[str, Meta(pattern=f"^{ID_PATTERN}$", description="Name of a stream, the client's own.")]
Drift = Literal["none", "inputs", "errors", "both"]


class PushRequest(RowsRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """New rows of a stream: `observations`, or `columns` with `data`; with `timestamps` or `last_timestamp`.

    `series` and `static` say what a new stream is. `explain` asks, of a push to one stream, why the forecast at its
    newest row is what it is. With `history` the rows are from before the first push: they are kept, and nothing is
    forecast from them.
    """

    history: bool | None = None
    explain: Explain | None = None


class StreamPush(PushRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """New rows of one of several streams; see `PushRequest`. Their forecasts are not explained."""

    stream: StreamId


class ObserveRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """New rows of many streams; all of them history, or none."""

    streams: Annotated[list[StreamPush], Meta(min_length=1)]


class CorrectionRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row as it should have been, in the model's order or in that of `columns`; null is a missing value."""

    observation: Annotated[list[Cell], Meta(min_length=1, examples=[[39.0, 26.1]])]
    columns: Annotated[list[ColumnName] | None, Meta(description="All columns of the row, in any order.")] = None


class ColumnScore(msgspec.Struct, frozen=True, kw_only=True):
    """A forecast of one column beside what came; `covered` tells by level whether it lies in the interval."""

    actual: float
    point: float
    median: float
    error: float
    covered: dict[str, bool]


class StepScore(msgspec.Struct, frozen=True, kw_only=True):
    """How the forecast that was issued one row before fared, by column; what is missing has none."""

    step: int
    columns: dict[str, ColumnScore | None]


class PushAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the rows of a stream.

    `sequence` and `timestamp` are of the newest row, whose forecast this is; with `history`, there is none. `replayed`:
    all rows were accepted before, and this is what was answered then. `score` is of the forecast before; `skill` is
    1 - MAE / MAE of the naive forecast (the value before) on `scored` rows, `coverage` by level that of about the last
    500. `drift` says whether inputs or errors are no longer what they were. `status` is as in a forecast. `memory` is
    there if `explain` asked for it, but where an older version answers still, right after a swap, or the log does not.
    """

    model: ModelIdentity
    stream: str
    sequence: int
    timestamp: str
    accepted: int
    replayed: bool
    forecast: list[ForecastStep]
    units: dict[str, str]
    score: StepScore | None
    skill: float | None
    coverage: dict[str, float] | None
    scored: int
    drift: Drift
    status: Status
    warnings: list[Warned]
    memory: Explanation | UnsetType = UNSET


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the rows of one of several streams.

    `status` is 200, and the rest as in the answer to a single push, `cold` for its `status`; or it is the status of
    the `problem` that kept all of the rows from being accepted. `model` is there where another version answered than
    the one of the whole answer, as happens for a while after a swap.
    """

    stream: str
    status: int
    problem: Problem | UnsetType = UNSET
    model: ModelIdentity | UnsetType = UNSET
    sequence: int | UnsetType = UNSET
    timestamp: str | UnsetType = UNSET
    accepted: int | UnsetType = UNSET
    replayed: bool | UnsetType = UNSET
    forecast: list[ForecastStep] | UnsetType = UNSET
    score: StepScore | UnsetType | None = UNSET
    skill: float | UnsetType | None = UNSET
    coverage: dict[str, float] | UnsetType | None = UNSET
    scored: int | UnsetType = UNSET
    drift: Drift | UnsetType = UNSET
    cold: bool | UnsetType = UNSET
    warnings: list[Warned] | UnsetType = UNSET


class ObserveAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of each stream, in the order of the request."""

    model: ModelIdentity
    units: dict[str, str]
    outcomes: list[Outcome]


class StreamSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A stream; `sequence` and `timestamp` are of its newest row, `series` is the one of the model it is taken for."""

    stream: str
    series: str | None
    sequence: int
    timestamp: str | None
    created: str
    drift: Drift


class StreamPage(msgspec.Struct, frozen=True, kw_only=True):
    """Streams by name; `next` is the cursor of the next page, null on the last."""

    streams: list[StreamSummary]
    next: str | None


class StreamDescription(msgspec.Struct, frozen=True, kw_only=True):
    """A stream as it stands; `memory`, if `explain` asked for it, is of the forecast at its newest row.

    `model` is the version that is served, and `origin` the row that the stream's state under it is unrolled from, null
    where it has not met the stream yet. `skills` are by column, `coverage_ever` is over all that was scored, `coverage`
    over about the last 500 rows.
    """

    model: ModelIdentity
    stream: str
    series: str | None
    static: dict[str, float | str | None]
    sequence: int
    timestamp: str | None
    created: str
    origin: int | None
    corrections: int
    scored: int
    skill: float | None
    skills: dict[str, float | None]
    coverage: dict[str, float | None] | None
    coverage_ever: dict[str, float | None] | None
    drift: Drift
    memory: Explanation | UnsetType = UNSET


class LedgerLine(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a forecast that was issued at row `sequence`, at the time `issued`, about the time `timestamp`.

    `actual` is null where nothing has come. `error` is actual less point. `revised`: made again after a correction.
    """

    sequence: int
    issued: str
    timestamp: str
    step: int
    version: str
    revised: bool
    actual: dict[str, float | None] | None
    point: dict[str, float]
    median: dict[str, float]
    error: dict[str, float | None] | None
    intervals: dict[str, dict[str, tuple[float, float]]]
    covered: dict[str, dict[str, bool | None]]


class LedgerPage(msgspec.Struct, frozen=True, kw_only=True):
    """Forecasts in the order in which they were issued; `next` is the cursor of the next page, null on the last."""

    stream: str
    units: dict[str, str]
    forecasts: list[LedgerLine]
    next: str | None

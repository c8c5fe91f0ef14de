"""What goes in and out over HTTP, as typed structures; the published schema is made from them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from forecasting.bundle import Provenance
from forecasting.scores import Scorecard

Cell = float | None
Time = Annotated[datetime, Meta(tz=True, description="RFC 3339 with an offset or Z")]
Matrix = Annotated[
    list[list[Cell]],
    Meta(min_length=1, description="Rows, oldest first, in the units of the data; null is a missing value."),
]
ColumnName = Annotated[str, Meta(max_length=256)]


class WindowRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows of one series: `observations`, or `columns` with `data`."""

    observations: Annotated[Matrix | None, Meta(examples=[[[39.0, 26.1], [39.9, 27.0]]])] = None
    columns: Annotated[list[ColumnName] | None, Meta(description="The model's targets, in any order.")] = None
    data: Matrix | None = None
    timestamps: Annotated[list[Time] | None, Meta(description="One a row; gaps become missing rows.")] = None
    last_timestamp: Annotated[Time | None, Meta(description="Time of the last row, if there are no gaps.")] = None
    series: (
        Annotated[str, Meta(max_length=256, description="Id of the series, where the model has several.")] | None
    ) = None
    horizon: Annotated[int, Meta(ge=1, description="Steps to return; at most, and by default, the model's.")] | None = (
        None
    )
    levels: Annotated[list[float], Meta(description="Interval levels: no model has calibrated ones yet.")] | None = None


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
    """One step ahead: `point` is the mean, `median` the 50 % quantile; no `timestamp` where the window had no times."""

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
    """The forecast of one of several windows."""

    forecast: list[ForecastStep]
    warnings: list[Warned]


class ForecastAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The forecast of one window."""

    model: ModelIdentity
    forecast: list[ForecastStep]
    units: dict[str, str]
    warnings: list[Warned]


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


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a request may hold."""

    max_body_bytes: int
    max_rows: int
    max_windows: int


class ModelDescription(msgspec.Struct, frozen=True, kw_only=True):
    """The contract of a served model, where it comes from, and how good it was in its backtest."""

    model: ModelIdentity
    targets: list[str]
    units: dict[str, str]
    freq: str
    timezone: str
    horizon: int
    lookback: int
    missing: bool
    needs_time: bool
    series: KnownSeries | None
    limits: Limits
    device: str
    scorecard: Scorecard | None
    provenance: Provenance


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """Models that are served, and the reasons why others are not."""

    models: list[ModelIdentity]
    refused: dict[str, str]

"""Whether a model can use a window of rows, and what the reader of a forecast from it should know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from forecasting.bundle import Bundle, Spec
from forecasting.errors import WindowRejected
from forecasting.statics import Coded, Number, Statics, StaticValue

FARTHEST = 1e9
"""Largest |z| taken where a column has no plausible limits; 32-bit sums of larger ones could overflow."""


class Caution(NamedTuple):
    """Something about a window that its reader should know; the forecast was made all the same."""

    code: str
    detail: str


@dataclass(frozen=True)
class Window:
    """Rows of one series, oldest first, in the units of the data; NaN is missing, `times` UTC nanoseconds or None.

    `ahead` are the known covariates of the steps to come, `static` static values by column; those that are not given
    are the ones the series had in training.
    """

    values: Float[np.ndarray, "rows columns"]
    times: Int[np.ndarray, " rows"] | None
    series: str | None = None
    ahead: Float[np.ndarray, "steps known"] | None = None
    static: Mapping[str, StaticValue] = field(default_factory=dict)
    cautions: tuple[Caution, ...] = ()


class Scaled(NamedTuple):
    """A window as it came and in z units, with a row of known covariates alone for each step to come, if any are."""

    raw: Float[np.ndarray, "reach columns"]
    z: Float[np.ndarray, "reach columns"]
    static: Coded | None


def refuse_steps(spec: Spec, steps: int) -> None:
    """Raise `WindowRejected` where the model does not forecast so many steps."""
    if not 1 <= steps <= spec.horizon:
        message = f"this model forecasts {spec.horizon} steps; ask for at least 1 and at most that many"
        raise WindowRejected(message, "/horizon")


def refuse_unusable(spec: Spec, window: Window, steps: int) -> None:
    """Raise `WindowRejected` where the window cannot be used for a forecast of so many steps."""
    refuse_steps(spec, steps)
    values, columns = window.values, spec.columns
    if values.ndim != 2 or values.shape[1] != len(columns.row):  # noqa: PLR2004 - rows and columns
        names = ", ".join(columns.row)
        message = f"a row has the {len(columns.row)} values {names}; came an array of shape {values.shape}"
        raise WindowRejected(message)
    if np.isinf(values).any():
        row, column = np.argwhere(np.isinf(values))[0]
        message = f"row {row}, column {columns.row[column]} is infinite; send a finite number, or null where missing"
        raise WindowRejected(message, f"/{row}/{column}")
    if np.isnan(values[:, : len(columns.targets)]).all():
        message = "the window has no observed value of a target; send at least one row with a number in it"
        raise WindowRejected(message)
    if window.times is None and spec.calendar.width:
        message = "this model uses the calendar: give timestamps, or last_timestamp"
        raise WindowRejected(message)
    refuse_ahead(spec, None if window.ahead is None else len(window.ahead), steps)


def refuse_ahead(spec: Spec, rows: int | None, steps: int) -> None:
    """Raise `WindowRejected` where so many rows of known covariates (None: none given) do not fit the steps asked."""
    known, horizon = spec.columns.known, spec.horizon
    if not known and rows is not None:
        message = "this model has no covariates that are known in advance: leave known_future out"
        raise WindowRejected(message, "/known_future")
    if known and (rows is None or not steps <= rows <= horizon):
        wanted = f"{steps} rows" if steps == horizon else f"{steps} to {horizon} rows"
        came = "nothing" if rows is None else f"{rows} rows"
        message = f"{came} came as known_future; this model needs {wanted} of [{', '.join(known)}], one a step to come"
        raise WindowRejected(message, "/known_future")


def scaled_window(bundle: Bundle, window: Window) -> Scaled:
    """Bring a window into z units; what is implausible becomes missing.

    Raises:
        WindowRejected: a cell is absurdly far from what the model was trained on.
    """
    raw = _with_ahead(bundle.spec, window)
    with np.errstate(over="ignore"):
        z = bundle.scaler.units(window.series).to_z(raw)
    far = np.abs(z) > FARTHEST
    if far.any():
        message = (
            f"{_place(bundle.spec, window, far)} is more than {FARTHEST:.0e} standard deviations "
            "from what the model was trained on; check its unit"
        )
        raise WindowRejected(message)
    statics = bundle.statics
    return Scaled(raw, z, statics.encode(window.series, window.static) if statics.columns else None)


def _with_ahead(spec: Spec, window: Window) -> Float[np.ndarray, "reach columns"]:
    """Return the rows and, where covariates are known in advance, a row for each step to come, NaN but for those."""
    if not spec.columns.known:
        return window.values
    rows = len(window.values)
    raw = np.full((rows + spec.horizon, len(spec.columns.row)), np.nan, dtype=np.float32)
    raw[:rows] = window.values
    if window.ahead is not None:
        raw[rows : rows + len(window.ahead), spec.columns.seen :] = window.ahead
    return raw


def _place(spec: Spec, window: Window, cells: np.ndarray) -> str:
    """Name the first of these cells."""
    row, column = np.argwhere(cells)[0]
    behind = row - len(window.values)
    return f"{f'row {row}' if behind < 0 else f'known_future row {behind}'}, column {spec.columns.row[column]}"


def is_new(bundle: Bundle, window: Window) -> bool:
    """Tell whether training never saw the series of the window."""
    return bundle.spec.panel and not bundle.scaler.knows(window.series)


def cautions_about(bundle: Bundle, window: Window, scaled: Scaled) -> list[Caution]:
    """Return what is odd about a window that can be used."""
    spec, new, found = bundle.spec, is_new(bundle, window), []
    if len(window.values) < spec.lookback:
        detail = f"{len(window.values)} rows came; this model is trained to look back on {spec.lookback}"
        found.append(Caution("short-window", detail))
    if new:
        detail = "no such series in training; scaled by the statistics of all series together"
        found.append(Caution("unknown-series", detail))
    if scaled.static and (new or window.static) and (names := _unknown(bundle.statics, scaled.static)):
        detail = f"no value of {', '.join(names)} that training saw; taken as unknown"
        found.append(Caution("unknown-static", detail))
    return found + _cell_cautions(spec, window, scaled)


def _unknown(statics: Statics, coded: Coded) -> list[str]:
    """Return the static columns whose value is not known: no number, or no category of training."""
    masks, codes = iter(coded.numbers[1::2]), iter(coded.codes)
    return [one.name for one in statics.columns if not next(masks if isinstance(one, Number) else codes)]


def _cell_cautions(spec: Spec, window: Window, scaled: Scaled) -> list[Caution]:
    missing, found = np.isnan(scaled.z), []
    screened = missing & ~np.isnan(scaled.raw)
    if screened.any():
        first, count = _place(spec, window, screened), int(screened.sum())
        detail = f"{count} values far outside the training range were taken as missing, first: {first}"
        found.append(Caution("implausible", detail))
    unseen = [name for name, absent in zip(spec.columns.row, missing.all(axis=0), strict=True) if absent]
    if unseen:
        detail = f"no value of {', '.join(unseen)} in the window; the training mean stands in"
        found.append(Caution("never-observed", detail))
    return found

"""Whether a model can use a window of rows, and what the reader of a forecast from it should know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from forecasting.bundle import Bundle, Spec
from forecasting.errors import WindowRejected
from forecasting.scaling import together
from forecasting.statics import FARTHEST as FARTHEST_STATIC
from forecasting.statics import Coded, Number, Statics, StaticValue

FARTHEST = 1e9
"""Largest |z| taken where a column has no plausible limits; 32-bit sums of larger ones could overflow."""


IMPLAUSIBLE = "implausible"
"""Code of the caution about values far outside the training range."""


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
    """Windows of equal length as they came and in z units, with static covariates, if there are any.

    Where covariates are known in advance there is a row, of them alone, for each step to come.
    """

    raw: Float[np.ndarray, "window reach columns"]
    z: Float[np.ndarray, "window reach columns"]
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
    if not (len(values) and np.isfinite(values).all()):
        _refuse_not_finite(spec, values)
    if window.times is None and spec.calendar.width:
        message = "this model uses the calendar: give timestamps, or last_timestamp"
        raise WindowRejected(message)
    refuse_ahead(spec, None if window.ahead is None else len(window.ahead), steps)


def _refuse_not_finite(spec: Spec, values: Float[np.ndarray, "rows columns"]) -> None:
    """Look at cells that are not all finite: a missing one is welcome where a target is seen at all."""
    if np.isinf(values).any():
        row, column = np.argwhere(np.isinf(values))[0]
        message = f"row {row}, column {spec.columns.row[column]} is infinite; send a finite number, or null for missing"
        raise WindowRejected(message, f"/{row}/{column}")
    if np.isnan(values[:, : len(spec.columns.targets)]).all():
        message = "the window has no observed value of a target; send at least one row with a number in it"
        raise WindowRejected(message)


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


def scale_windows(bundle: Bundle, windows: Sequence[Window]) -> Scaled:
    """Bring windows of equal length into z units; what is implausible becomes missing."""
    raw = _with_ahead(bundle.spec, windows)
    with np.errstate(over="ignore"):
        z = together([bundle.scaler.units(window.series) for window in windows], axes=1).to_z(raw)
    statics = bundle.statics
    if not statics.columns:
        return Scaled(raw, z, None)
    coded = (statics.encode(window.series, window.static) for window in windows)
    return Scaled(raw, z, Coded(*map(np.stack, zip(*coded, strict=True))))


def refuse_far(spec: Spec, windows: Sequence[Window], scaled: Scaled) -> Iterator[tuple[int, WindowRejected]]:
    """Yield the place of each window that has a cell absurdly far from what the model was trained on, and the error."""
    size = np.abs(scaled.z)
    if not np.fmax.reduce(size, axis=None) > FARTHEST:
        return
    far = size > FARTHEST
    for place in np.flatnonzero(far.any(axis=(1, 2))).tolist():
        message = (
            f"{_place(spec, windows[place], far[place])} is more than {FARTHEST:.0e} standard deviations "
            "from what the model was trained on; check its unit"
        )
        yield place, WindowRejected(message)


def _with_ahead(spec: Spec, windows: Sequence[Window]) -> Float[np.ndarray, "window reach columns"]:
    """Return the rows and, where covariates are known in advance, a row for each step to come, NaN but for those."""
    if not spec.columns.known:
        return windows[0].values[None] if len(windows) == 1 else np.stack([window.values for window in windows])
    rows = len(windows[0].values)
    raw = np.full((len(windows), rows + spec.horizon, len(spec.columns.row)), np.nan, dtype=np.float32)
    for own, window in zip(raw, windows, strict=True):
        own[:rows] = window.values
        if window.ahead is not None:
            own[rows : rows + len(window.ahead), spec.columns.seen :] = window.ahead
    return raw


def _place(spec: Spec, window: Window, cells: np.ndarray) -> str:
    """Name the first of these cells."""
    row, column = np.argwhere(cells)[0]
    behind = row - len(window.values)
    return f"{f'row {row}' if behind < 0 else f'known_future row {behind}'}, column {spec.columns.row[column]}"


def is_new(bundle: Bundle, window: Window) -> bool:
    """Tell whether training never saw the series of the window."""
    return bundle.spec.panel and not bundle.scaler.knows(window.series)


def cautions_about(bundle: Bundle, windows: Sequence[Window], scaled: Scaled) -> list[tuple[Caution, ...]]:
    """Return what is odd about each of some windows that can be used."""
    whole = not np.isnan(scaled.z.sum())
    missing = scaled.z if whole else np.isnan(scaled.z)
    return [
        (
            *_window_cautions(bundle, window, place, scaled.static),
            *(() if whole else _cell_cautions(bundle.spec, window, scaled.raw[place], missing[place])),
        )
        for place, window in enumerate(windows)
    ]


def _window_cautions(bundle: Bundle, window: Window, place: int, static: Coded | None) -> Iterator[Caution]:
    lookback, new = bundle.spec.lookback, is_new(bundle, window)
    if len(window.values) < lookback:
        detail = f"{len(window.values)} rows came; this model is trained to look back on {lookback}"
        yield Caution("short-window", detail)
    if new:
        detail = "no such series in training; scaled by the statistics of all series together"
        yield Caution("unknown-series", detail)
    if static and (new or window.static):
        yield from _static_cautions(bundle.statics, Coded(*(one[place] for one in static)))


def _static_cautions(statics: Statics, coded: Coded) -> Iterator[Caution]:
    if names := _unknown(statics, coded):
        detail = f"no value of {', '.join(names)} that training saw; taken as unknown"
        yield Caution("unknown-static", detail)
    numbers = [one.name for one in statics.columns if isinstance(one, Number)]
    far = [name for name, value in zip(numbers, coded.numbers[::2], strict=True) if abs(value) >= FARTHEST_STATIC]
    if far:
        detail = f"{', '.join(far)} is far outside the training range; taken as {FARTHEST_STATIC:g} standard deviations"
        yield Caution(IMPLAUSIBLE, detail)


def _unknown(statics: Statics, coded: Coded) -> list[str]:
    """Return the static columns whose value is not known: no number, or no category of training."""
    masks, codes = iter(coded.numbers[1::2]), iter(coded.codes)
    return [one.name for one in statics.columns if not next(masks if isinstance(one, Number) else codes)]


def _cell_cautions(spec: Spec, window: Window, raw: np.ndarray, missing: np.ndarray) -> Iterator[Caution]:
    screened = missing & ~np.isnan(raw)
    if screened.any():
        first, count = _place(spec, window, screened), int(screened.sum())
        detail = f"{count} values far outside the training range were taken as missing, first: {first}"
        yield Caution(IMPLAUSIBLE, detail)
    unseen = [spec.columns.row[place] for place in np.flatnonzero(missing.all(axis=0)).tolist()]
    if unseen:
        detail = f"no value of {', '.join(unseen)} in the window; the training mean stands in"
        yield Caution("never-observed", detail)

"""From a window of rows to a forecast: a pure function of bundle and window, safe to call from many threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int

from forecasting.bundle import Bundle
from forecasting.errors import NotFinite, WindowRejected
from forecasting.network import Rows
from forecasting.scaling import Units
from forecasting.stepping import times_after

FARTHEST = 1e9
"""Largest |z| taken where a column has no plausible limits; 32-bit sums of larger ones could overflow."""


class Caution(NamedTuple):
    """Something about a window that its reader should know; the forecast was made all the same."""

    code: str
    detail: str


@dataclass(frozen=True)
class Window:
    """Rows of one series, oldest first, in the units of the data; NaN is missing, `times` UTC nanoseconds or None."""

    values: Float[np.ndarray, "rows columns"]
    times: Int[np.ndarray, " rows"] | None
    series: str | None = None
    cautions: tuple[Caution, ...] = ()


@dataclass(frozen=True)
class WindowForecast:
    """The next `horizon` rows, in the units of the data; `instants` (UTC nanoseconds) is None without times before."""

    instants: Int[np.ndarray, " horizon"] | None
    point: Float[np.ndarray, "horizon columns"]
    median: Float[np.ndarray, "horizon columns"]
    cautions: tuple[Caution, ...]

    @property
    def times(self) -> pd.DatetimeIndex | None:
        """The times as an index; made on demand, for it costs a tenth of a forecast."""
        return None if self.instants is None else pd.DatetimeIndex(self.instants, tz="UTC")


def forecast(bundle: Bundle, window: Window) -> WindowForecast:
    """Unroll the window once and forecast what follows its last row.

    Raises:
        WindowRejected: the window has no rows, another width, an infinite or absurd cell, or nothing observed.
        NotFinite: the network answered with something that is not a number; nothing of it is returned.
    """
    refuse_unusable(bundle, window)
    units = bundle.scaler.units(window.series)
    z = _scaled(bundle, units, window)
    point, median = predict_z(bundle, z, window.times)
    with np.errstate(over="ignore", invalid="ignore"):  # found below
        answer = units.from_z(np.stack([point, median]))
    if not np.isfinite(answer).all():
        message = "the model's forecast is not finite; look at the window's values, then at the model"
        raise NotFinite(message)
    return WindowForecast(
        _following(bundle, window), answer[0], answer[1], (*window.cautions, *_cautions(bundle, window, z))
    )


def forecast_frame(answer: WindowForecast, targets: tuple[str, ...], series: str | None = None) -> pd.DataFrame:
    """Return a forecast as a table: `series` (if given), `timestamp`, `step`, targets, and `<target>-median`."""
    columns: dict[str, Any] = {} if series is None else {"series": series}
    columns |= {} if answer.times is None else {"timestamp": answer.times}
    columns |= {"step": range(1, len(answer.point) + 1)}
    columns |= {name: answer.point[:, c] for c, name in enumerate(targets)}
    columns |= {f"{name}-median": answer.median[:, c] for c, name in enumerate(targets)}
    return pd.DataFrame(columns)


def predict_z(
    bundle: Bundle, z: Float[np.ndarray, "rows columns"], times: Int[np.ndarray, " rows"] | None
) -> tuple[Float[np.ndarray, "horizon columns"], Float[np.ndarray, "horizon columns"]]:
    """Forecast one window in z units, on the device of the bundle's weights."""
    device = bundle.forecaster.spread.device
    width = bundle.spec.calendar.width
    calendar = np.zeros((len(z), width), np.float32) if times is None else bundle.spec.calendar.features(times)
    with torch.inference_mode():
        rows = Rows(torch.from_numpy(z)[None].to(device), torch.from_numpy(calendar)[None].to(device))
        answer, _ = bundle.forecaster.forecast_last(rows, bundle.forecaster.initial_state(1))
    return answer.point[0].cpu().numpy(), answer.median[0].cpu().numpy()


def refuse_unusable(bundle: Bundle, window: Window) -> None:
    """Raise `WindowRejected` where the window cannot be used by this bundle."""
    targets = bundle.spec.targets
    if window.values.ndim != 2 or window.values.shape[1] != len(targets):  # noqa: PLR2004 - rows and columns
        message = (
            f"a row has the {len(targets)} values {', '.join(targets)}; came an array of shape {window.values.shape}"
        )
        raise WindowRejected(message)
    if np.isinf(window.values).any():
        row, column = np.argwhere(np.isinf(window.values))[0]
        message = f"row {row}, column {targets[column]} is infinite; send a finite number, or null where missing"
        raise WindowRejected(message, f"/{row}/{column}")
    if np.isnan(window.values).all():
        message = "the window has no observed value; send at least one row with a number in it"
        raise WindowRejected(message)
    if window.times is None and bundle.spec.calendar.width:
        message = "this model uses the calendar: give timestamps, or last_timestamp"
        raise WindowRejected(message)


def _following(bundle: Bundle, window: Window) -> Int[np.ndarray, " horizon"] | None:
    if window.times is None:
        return None
    return times_after(bundle.spec.calendar, int(window.times[-1]), bundle.spec.horizon)


def _scaled(bundle: Bundle, units: Units, window: Window) -> Float[np.ndarray, "rows columns"]:
    with np.errstate(over="ignore"):
        z = units.to_z(window.values)
    far = np.abs(z) > FARTHEST
    if far.any():
        row, column = np.argwhere(far)[0]
        message = (
            f"row {row}, column {bundle.spec.targets[column]} is more than {FARTHEST:.0e} standard deviations "
            "from what the model was trained on; check its unit"
        )
        raise WindowRejected(message)
    return z


def _cautions(bundle: Bundle, window: Window, z: Float[np.ndarray, "rows columns"]) -> list[Caution]:
    spec, found = bundle.spec, []
    if len(window.values) < spec.lookback:
        detail = f"{len(window.values)} rows came; this model is trained to look back on {spec.lookback}"
        found.append(Caution("short-window", detail))
    if spec.panel and not bundle.scaler.knows(window.series):
        detail = "no such series in training; scaled by the statistics of all series together"
        found.append(Caution("unknown-series", detail))
    missing = np.isnan(z)
    screened = missing & ~np.isnan(window.values)
    if screened.any():
        row, column = np.argwhere(screened)[0]
        first = f"row {row}, {spec.targets[column]}"
        detail = f"{int(screened.sum())} values far outside the training range were taken as missing, first: {first}"
        found.append(Caution("implausible", detail))
    unseen = [name for name, absent in zip(spec.targets, missing.all(axis=0), strict=True) if absent]
    if unseen:
        found.append(
            Caution("never-observed", f"no value of {', '.join(unseen)} in the window; the training mean stands in")
        )
    return found

"""From a window of rows to a forecast: a pure function of bundle and window, safe to call from many threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int

from forecasting.admission import Caution, Scaled, Window, cautions_about, is_new, refuse_unusable, scaled_window
from forecasting.bundle import Bundle, Spec
from forecasting.conformal import JUDGED, Calibration
from forecasting.errors import NotFinite, WindowRejected
from forecasting.members import Static
from forecasting.network import Rows
from forecasting.statics import Coded
from forecasting.stepping import times_after

__all__ = [
    "Caution",
    "Interval",
    "Window",
    "WindowForecast",
    "ZForecast",
    "default_levels",
    "forecast",
    "forecast_frame",
    "predict_z",
]


class ZForecast(NamedTuple):
    """What a network says after the last row of a window, in z units; see `network.Forecast`."""

    point: Float[np.ndarray, "horizon targets"]
    median: Float[np.ndarray, "horizon targets"]
    scale: Float[np.ndarray, "horizon targets"]


class Interval(NamedTuple):
    """Between `low` and `high`, both included, what comes is expected to lie as often as its level says."""

    low: Float[np.ndarray, "steps targets"]
    high: Float[np.ndarray, "steps targets"]


@dataclass(frozen=True)
class WindowForecast:
    """The next rows, in the units of the data; `instants` (UTC nanoseconds) is None without times before.

    `intervals` are by level in percent; low <= median <= high. `cold`: training never saw the series, and the window is
    shorter than what the model looks back on.
    """

    instants: Int[np.ndarray, " steps"] | None
    point: Float[np.ndarray, "steps targets"]
    median: Float[np.ndarray, "steps targets"]
    intervals: Mapping[int, Interval] = field(default_factory=dict)
    cold: bool = False
    cautions: tuple[Caution, ...] = ()

    @property
    def status(self) -> Literal["ready", "cold"]:
        """`cold` or `ready`."""
        return "cold" if self.cold else "ready"

    @property
    def times(self) -> pd.DatetimeIndex | None:
        """The times as an index; made on demand, for it costs a tenth of a forecast."""
        return None if self.instants is None else pd.DatetimeIndex(self.instants, tz="UTC")


def forecast(
    bundle: Bundle, window: Window, levels: Sequence[int] | None = None, steps: int | None = None
) -> WindowForecast:
    """Unroll the window once and forecast what follows its last row, `steps` steps far (default: all).

    `levels` are those of the intervals, in percent (default: 90, if it is calibrated).

    Raises:
        WindowRejected: the window has no rows, another width, an infinite or absurd cell, or nothing observed; more
            steps are asked for than the model forecasts, or a level that is not calibrated.
        NotFinite: the network answered with something that is not a number; nothing of it is returned.
    """
    refuse_unusable(bundle.spec, window, bundle.spec.horizon if steps is None else steps)
    levels = _levels(bundle.calibration, levels)
    scaled = scaled_window(bundle, window)
    said = ZForecast(*(part[:steps] for part in _said(bundle, window, scaled)))
    answer = _in_data_units(bundle, window, said, levels)
    return WindowForecast(
        instants=_following(bundle.spec, window, len(said.point)),
        point=answer[0],
        median=answer[1],
        intervals=dict(zip(levels, map(Interval, answer[2::2], answer[3::2]), strict=True)),
        cold=is_new(bundle, window) and len(window.values) < bundle.spec.lookback,
        cautions=(*window.cautions, *cautions_about(bundle, window, scaled)),
    )


def forecast_frame(answer: WindowForecast, targets: tuple[str, ...], series: str | None = None) -> pd.DataFrame:
    """Return a forecast as a table with a row a step.

    Its columns are `series` (if given), `timestamp` (if known), `step`, the targets, `<target>-median` and, by level,
    `<target>-lo-<level>` and `<target>-hi-<level>`.
    """
    columns: dict[str, Any] = {} if series is None else {"series": series}
    columns |= {} if answer.times is None else {"timestamp": answer.times}
    columns |= {"step": range(1, len(answer.point) + 1)}
    columns |= dict(zip(targets, answer.point.T, strict=True))
    columns |= {f"{name}-median": one for name, one in zip(targets, answer.median.T, strict=True)}
    for level, (low, high) in answer.intervals.items():
        for c, name in enumerate(targets):
            columns |= {f"{name}-lo-{level}": low[:, c], f"{name}-hi-{level}": high[:, c]}
    return pd.DataFrame(columns)


def predict_z(bundle: Bundle, window: Window) -> ZForecast:
    """Forecast one window in z units, on the device of the bundle's weights; `ahead` may be too short, or None.

    Raises:
        WindowRejected: a cell is absurdly far from what the model was trained on.
    """
    return _said(bundle, window, scaled_window(bundle, window))


def default_levels(calibration: Calibration | None) -> tuple[int, ...]:
    """Return the levels of the intervals that are given where none are asked for."""
    if calibration is None:
        return ()
    return (JUDGED,) if JUDGED in calibration.levels else calibration.levels[:1]


def _levels(calibration: Calibration | None, asked: Sequence[int] | None) -> tuple[int, ...]:
    if asked is None:
        return default_levels(calibration)
    if asked and calibration is None:
        message = "this model has no calibrated intervals; leave levels out, or train it again"
        raise WindowRejected(message, "/levels")
    for place, level in enumerate(asked):
        if calibration and level not in calibration.levels:
            message = f"level {level} is not calibrated; this model has {', '.join(map(str, calibration.levels))}"
            raise WindowRejected(message, f"/levels/{place}")
    return tuple(dict.fromkeys(asked))


def _said(bundle: Bundle, window: Window, scaled: Scaled) -> ZForecast:
    spec, forecaster, rows = bundle.spec, bundle.forecaster, len(window.values)
    device = forecaster.spread.device
    width, seen = spec.calendar.width, spec.columns.seen
    calendar = np.zeros((rows, width), np.float32) if window.times is None else spec.calendar.features(window.times)
    known = scaled.z[:, seen:] if spec.columns.known else np.zeros((rows + spec.horizon, 0), np.float32)
    parts = (scaled.z[:rows, :seen], calendar, known)
    with torch.inference_mode():
        state = forecaster.initial_state(1, _static(scaled.static, device))
        answer, _ = forecaster.forecast_last(Rows(*(torch.from_numpy(one)[None].to(device) for one in parts)), state)
    return ZForecast(*(part[0].cpu().numpy() for part in answer))


def _static(coded: Coded | None, device: torch.device) -> Static | None:
    return None if coded is None else Static(*(torch.from_numpy(part)[None].to(device) for part in coded))


def _in_data_units(
    bundle: Bundle, window: Window, said: ZForecast, levels: Sequence[int]
) -> Float[np.ndarray, "parts steps targets"]:
    """Return point, median and, by level, low and high; the ends may not pass the median by rounding."""
    calibration, steps = bundle.calibration, len(said.point)
    ends = [place for level in levels for place in calibration.central[level]] if calibration else []
    z = np.empty((2 + len(ends), *said.point.shape), dtype=np.float32)
    smear = np.zeros_like(z)
    z[0], z[1] = said.point, said.median
    with np.errstate(over="ignore", invalid="ignore"):  # found by _finite
        if calibration:
            z[2:] = said.median + calibration.factors[ends, :steps] * said.scale
            smear[0] = calibration.shift[:steps]
        units = bundle.scaler.units(window.series).first(len(bundle.spec.targets))
        answer = _finite(units.from_z(_finite(z), smear))  # both: bounds would make infinity look like an answer
    np.minimum(answer[2::2], answer[1], out=answer[2::2])
    np.maximum(answer[3::2], answer[1], out=answer[3::2])
    return answer


def _finite(values: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    if np.isfinite(values).all():
        return values
    message = "the model's forecast is not finite; look at the window's values, then at the model"
    raise NotFinite(message)


def _following(spec: Spec, window: Window, steps: int) -> Int[np.ndarray, " steps"] | None:
    return None if window.times is None else times_after(spec.calendar, int(window.times[-1]), steps)

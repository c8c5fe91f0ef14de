"""Tiny real bundles, with weights drawn from a seed, and windows for them: two targets alone, or every covariate."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import numpy as np

from forecasting.bundle import FORMAT, Bundle, Golden, Provenance, Spec
from forecasting.calendar import Calendar
from forecasting.columns import Columns
from forecasting.conformal import Calibration, Outcome, calibrate
from forecasting.prediction import Window, WindowForecast, predict_z
from forecasting.scaling import Scale, Scaler
from forecasting.statics import Category, Number, Statics
from forecasting.transforms import PLAIN, Transform
from tests.forecasting.panels import START, forecaster

HOUR = 3_600_000_000_000
LEVELS = (80, 90, 95)
PLAIN_COLUMNS = Columns(("a", "b"))
ALL_COLUMNS = Columns(("a", "b"), ("rain",), ("price", "holiday"), ("size", "region"))
LOG, WHOLE = Transform(log1p=True), Transform(integer=True, bounds=(0.0, 9.0))


def make_bundle(**changes: Any) -> Bundle:
    """Build a bundle of two hourly targets and two series; `horizon` and fields of `Spec` and `Bundle` can be changed.

    `b` has no plausible limits.
    """
    scale = Scale(mean=(10.0, 1000.0), std=(2.0, 50.0), spread=(2.0, 50.0), lower=(-90.0, None), upper=(110.0, None))
    other = msgspec.structs.replace(scale, mean=(20.0, 900.0))
    scaler = Scaler(
        series={"north": scale, "south": other}, overall=scale, transforms=(PLAIN,) * 2, ids=("north", "south")
    )
    return _bundle(PLAIN_COLUMNS, scaler, Statics(), changes)


def make_rich_bundle(**changes: Any) -> Bundle:
    """Build a bundle with past, known and static covariates; `a` is learnt as its logarithm, `b` counts from 0 to 9."""
    scale = Scale(
        mean=(2.0, 4.0, 1.0, 30.0, 0.1),
        std=(0.7, 2.0, 2.0, 10.0, 0.3),
        spread=(5.0, 2.0, 2.0, 10.0, 0.3),
        lower=(0.0, 0.0, -20.0, None, None),
        upper=(100.0, 9.0, 20.0, None, None),
    )
    scaler = Scaler(
        series={"north": scale, "south": scale},
        overall=scale,
        transforms=(LOG, WHOLE, PLAIN, PLAIN, PLAIN),
        ids=("north", "south"),
    )
    statics = Statics(
        columns=(Number(name="size", mean=5.0, std=2.0), Category(name="region", known=("coast", "hill"))),
        series={"north": {"size": 4.0, "region": "coast"}, "south": {"size": 6.0, "region": None}},
    )
    return _bundle(ALL_COLUMNS, scaler, statics, changes)


def _bundle(columns: Columns, scaler: Scaler, statics: Statics, changes: dict[str, Any]) -> Bundle:
    horizon, calendar = changes.pop("horizon", 2), changes.pop("calendar", Calendar(freq="h"))
    seed = changes.pop("seed", 0)
    network = forecaster(
        seed, columns=len(columns.targets), past=len(columns.past), known=len(columns.known), statics=statics.numbers,
        categories=statics.categories, calendar=calendar.width, horizon=horizon, lags=4, hidden=8,
    )  # fmt: skip
    own = {
        key: changes.pop(key) for key in ("calibration", "scorecard", "golden", "card", "streaming") if key in changes
    }
    spec = Spec(
        format=FORMAT,
        name="tiny",
        architecture=network.architecture,
        columns=columns,
        calendar=calendar,
        lookback=6,
        missing=True,
        panel=True,
        units={"a": "degF"},
        provenance=Provenance(data_hash="sha256:00"),
    )
    own = {"calibration": _calibration(scaler, horizon), **own}
    return Bundle(msgspec.structs.replace(spec, **changes), network, scaler, statics, **own)


def _calibration(scaler: Scaler, horizon: int) -> Calibration:
    """Calibrate on errors that are drawn."""
    draw, shape = np.random.default_rng(0), (99, horizon, 2)
    point, actual = (draw.normal(size=shape).astype(np.float32) for _ in range(2))
    scale = np.full(shape, 0.5, dtype=np.float32)
    return calibrate([Outcome(point, point, scale, actual, scaler.units(None).first(2))], LEVELS)


def window(rows: int = 8, seed: int = 0, series: str | None = "north", missing: float = 0.0) -> Window:
    """Draw rows of a and b."""
    draw = np.random.default_rng(seed)
    values = draw.normal(size=(rows, 2)) * [2.0, 50.0] + [10.0, 1000.0]
    values[draw.random(values.shape) < missing] = np.nan
    return Window(values.astype(np.float32), START.value + HOUR * np.arange(rows), series)


def rich_window(rows: int = 8, seed: int = 0, series: str | None = "north", **static: Any) -> Window:
    """Draw rows of a, b, rain, price and holiday, and price and holiday of the two steps after them."""
    draw = np.random.default_rng(seed)
    drawn = draw.uniform([0, 0, 0, 20, 0], [20, 9, 3, 40, 1], size=(rows + 2, 5)).astype(np.float32)
    drawn[:, [1, 4]] = drawn[:, [1, 4]].round()
    return Window(drawn[:rows], START.value + HOUR * np.arange(rows), series, drawn[rows:, 3:], static)


def recorded(bundle: Bundle, *windows: Window) -> Bundle:
    """Return the bundle with what it says of these windows, which need no static covariates of their own, recorded."""
    return dataclasses.replace(bundle, golden=tuple(_golden(bundle, one) for one in windows))


def _golden(bundle: Bundle, one: Window) -> Golden:
    ahead = np.empty((bundle.spec.horizon, 0)) if one.ahead is None else one.ahead
    said = predict_z(bundle, one)
    rows = {"values": one.values, "ahead": ahead, "point": said.point, "median": said.median, "scale": said.scale}
    return Golden(
        series=str(one.series),
        times=tuple(int(time) for time in one.times),
        **{part: tuple(tuple(None if np.isnan(c) else float(c) for c in row) for row in rows[part]) for part in rows},
    )


def codes(answer: WindowForecast) -> list[str]:
    """Return the codes of what the reader of a forecast should know."""
    return [caution.code for caution in answer.cautions]

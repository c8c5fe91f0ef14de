"""From a panel to what training needs, and from what training gave to a bundle."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from forecasting.bundle import FORMAT, Bundle, Golden, Provenance, Spec
from forecasting.calendar import calendar_for
from forecasting.describing import Judged, write_card
from forecasting.errors import DataError
from forecasting.members import Architecture
from forecasting.network import Forecaster
from forecasting.prediction import Window, predict_z
from forecasting.project import Project
from forecasting.scaled import ScaledSeries, Scales, scale_panel
from forecasting.scaling import fit_scaler
from forecasting.series import Panel, Split, cut
from forecasting.statics import fit_statics

GOLDENS = 3


@dataclass(frozen=True)
class Prepared:
    """A panel with its cut points, and its scales, learned on training rows only."""

    panel: Panel
    split: Split
    scales: Scales
    series: tuple[ScaledSeries, ...]


def prepare(panel: Panel, project: Project) -> Prepared:
    """Cut a panel, and scale it by its training part.

    Raises:
        DataError: the panel is too short for the split, or nothing is observed in the training part.
    """
    split = cut(panel, project.backtest.split, project.backtest.newest)
    train = split.train(panel)
    targets = len(panel.columns.targets)
    if not any(np.isfinite(one.values[:, :targets]).any() for one in train):
        message = f"no value is observed before {split.valid}, the end of the training part; choose another split"
        raise DataError(message)
    scaler = fit_scaler(train, project.data.transforms(), by_series=project.data.scaling == "series")
    calendar = calendar_for(train.grid(), panel.freq, panel.timezone)
    scales = Scales(scaler, fit_statics(train), calendar)
    return Prepared(panel, split, scales, scale_panel(panel, scales, split))


def assemble(
    project: Project, prepared: Prepared, forecaster: Forecaster, judged: Judged, provenance: Provenance
) -> Bundle:
    """Return the bundle of a fitted forecaster; golden windows are the ends of training parts."""
    architecture = forecaster.architecture
    spec = Spec(
        format=FORMAT,
        name=project.name,
        architecture=architecture,
        columns=project.data.columns,
        calendar=prepared.scales.calendar,
        lookback=lookback_of(project, architecture),
        missing=_has_missing(prepared),
        panel=project.data.series is not None,
        units=dict(project.data.units),
        provenance=provenance,
    )
    bare = Bundle(
        spec=spec,
        forecaster=forecaster.requires_grad_(False),
        scaler=prepared.scales.scaler,
        statics=prepared.scales.statics,
        calibration=judged.calibration,
        scorecard=judged.scorecard,
        streaming=judged.streaming,
        memory=judged.memory,
        card=write_card(project, prepared.panel, prepared.split, prepared.scales, judged),
    )
    trained = [one for one in prepared.series if one.train.stop > 1]
    return replace(bare, golden=tuple(_golden(bare, one) for one in trained[:GOLDENS]))


def lookback_of(project: Project, architecture: Architecture) -> int:
    """Return the rows of a window that holds all that short memory is trained on: so many changes need a row more."""
    return max(project.train.burn_in, architecture.lags + 1)


def _has_missing(prepared: Prepared) -> bool:
    return any(bool(np.isnan(one.series.values[: one.train.stop]).any()) for one in prepared.series)


def _golden(bundle: Bundle, one: ScaledSeries) -> Golden:
    stop, horizon, seen = one.train.stop, bundle.spec.horizon, one.columns.seen
    rows = slice(max(stop - bundle.spec.lookback, 0), stop)
    ahead = np.full((horizon, len(one.columns.known)), np.nan, dtype=np.float32)
    following = one.series.values[stop : stop + horizon, seen:]
    ahead[: len(following)] = following
    window = Window(one.series.values[rows], one.times[rows], one.series.id, ahead)
    said = predict_z(bundle, window)
    return Golden(
        series=one.series.id,
        values=_nested(window.values),
        ahead=_nested(ahead),
        times=tuple(int(time) for time in one.times[rows]),
        point=_nested(said.point),
        median=_nested(said.median),
        scale=_nested(said.scale),
    )


def _nested(rows: Float[np.ndarray, "rows column"]) -> tuple[tuple[Any, ...], ...]:
    return tuple(tuple(None if np.isnan(cell) else float(cell) for cell in row) for row in rows)

"""From a panel to what training needs, and from what training gave to a bundle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from forecasting.bundle import FORMAT, Bundle, Golden, Provenance, Spec
from forecasting.calendar import Calendar, calendar_for
from forecasting.errors import DataError
from forecasting.network import Forecaster
from forecasting.prediction import predict_z
from forecasting.project import Project
from forecasting.scaled import ScaledSeries, scale_panel
from forecasting.scaling import Scaler, fit_scaler
from forecasting.scores import Scorecard
from forecasting.series import Panel, Split, cut

GOLDENS = 3


@dataclass(frozen=True)
class Prepared:
    """A panel with its cut points, scales and calendar; the latter two learned on training rows only."""

    panel: Panel
    split: Split
    scaler: Scaler
    calendar: Calendar
    series: tuple[ScaledSeries, ...]


def prepare(panel: Panel, project: Project) -> Prepared:
    """Cut a panel, and scale it by its training part.

    Raises:
        DataError: the panel is too short for the split, or nothing is observed in the training part.
    """
    split = cut(panel, project.backtest.split)
    train = split.train(panel)
    if not any(np.isfinite(one.values).any() for one in train):
        message = f"no value is observed before {split.valid}, the end of the training part; choose another split"
        raise DataError(message)
    scaler = fit_scaler(train)
    calendar = calendar_for(train.grid(), panel.freq, panel.timezone)
    return Prepared(panel, split, scaler, calendar, scale_panel(panel, scaler, calendar, split))


def assemble(
    project: Project, prepared: Prepared, forecaster: Forecaster, scorecard: Scorecard | None, provenance: Provenance
) -> Bundle:
    """Return the bundle of a fitted forecaster; golden windows are the ends of training parts."""
    spec = Spec(
        format=FORMAT,
        name=project.name,
        architecture=forecaster.architecture,
        targets=tuple(project.data.targets),
        calendar=prepared.calendar,
        lookback=max(project.train.burn_in, forecaster.architecture.lags),
        missing=_has_missing(prepared),
        panel=project.data.series is not None,
        units=dict(project.data.units),
        provenance=provenance,
    )
    bare = Bundle(spec, forecaster.requires_grad_(False), prepared.scaler, scorecard)
    trained = [one for one in prepared.series if one.train.stop > 1]
    return Bundle(spec, bare.forecaster, bare.scaler, scorecard, tuple(_golden(bare, one) for one in trained[:GOLDENS]))


def _has_missing(prepared: Prepared) -> bool:
    return any(bool(np.isnan(one.series.values[: one.train.stop]).any()) for one in prepared.series)


def _golden(bundle: Bundle, one: ScaledSeries) -> Golden:
    rows = slice(max(one.train.stop - bundle.spec.lookback, 0), one.train.stop)
    values, times = one.series.values[rows], one.times[rows]
    with torch.inference_mode():
        point, median = predict_z(bundle, one.units.to_z(values), times)
    return Golden(
        series=one.series.id,
        values=tuple(tuple(None if np.isnan(cell) else float(cell) for cell in row) for row in values),
        times=tuple(int(time) for time in times),
        point=tuple(tuple(map(float, row)) for row in point),
        median=tuple(tuple(map(float, row)) for row in median),
    )

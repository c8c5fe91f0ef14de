"""The losses of two models at the same origins and cells: a champion on the rows that a challenger was tested on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from forecasting.bundle import Bundle
from forecasting.columns import Columns
from forecasting.comparing import Paired
from forecasting.evaluation import Backtest
from forecasting.scaled import scale_panel
from forecasting.series import Panel, Split
from forecasting.streaming import Job, stream


def losses_beside(champion: Bundle, tested: Backtest, panel: Panel, split: Split) -> Paired | None:
    """Return the squared errors of the model that was tested, and of another, at the same origins and cells, by time.

    Both are in the z units of the backtest. None where the other's targets, step or horizon are others, or it needs a
    column that is not there.
    """
    horizon = tested.actual[0].shape[1]
    view = seen_by(champion.spec.columns, panel)
    same = (champion.spec.calendar.freq, champion.spec.horizon) == (panel.freq, horizon)
    if view is None or not same:
        return None
    shift = champion.calibration.shift if champion.calibration else 0.0
    scaled = scale_panel(view, champion.scales, split)
    told = stream(champion.forecaster, [Job(one, at) for one, at in zip(scaled, tested.at, strict=True)])
    said = [one.target_units.from_z(at.point.astype(np.float64), shift) for one, at in zip(scaled, told, strict=True)]
    return _paired(tested, [answered.point for answered in tested.answered], said)


def _paired(tested: Backtest, ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> Paired:
    """Average squared errors over the observed cells of the origins of each time, of all series."""
    times = np.concatenate([one.times[at.start : at.stop] for one, at in zip(tested.panel, tested.at, strict=True)])
    moments, place = np.unique(times, return_inverse=True)
    spread = [one.target_units.spread for one in tested.panel]
    cells = np.concatenate([np.count_nonzero(~np.isnan(came), axis=(1, 2)) for came in tested.actual])
    counted = np.bincount(place, cells, minlength=len(moments))
    means = [
        np.bincount(place, _squared(said, tested.actual, spread), minlength=len(moments))[counted > 0]
        / counted[counted > 0]
        for said in (ours, theirs)
    ]
    return Paired(moments[counted > 0], *means)


def _squared(
    said: Sequence[np.ndarray], came: Sequence[np.ndarray], spread: Sequence[np.ndarray]
) -> Float[np.ndarray, " origins"]:
    """Sum up the squared errors of each origin of all series; one that says what is no number errs without end."""
    sums = []
    for point, actual, unit in zip(said, came, spread, strict=True):
        errors = np.square((point - actual) / unit)
        errors = np.where(np.isnan(actual), 0.0, np.where(np.isfinite(point), errors, np.inf))
        sums.append(errors.sum(axis=(1, 2)))
    return np.concatenate(sums)


def seen_by(columns: Columns, panel: Panel) -> Panel | None:
    """Return the panel with the columns of a model, by name; None where one is missing, or its targets are others."""
    ours = panel.columns
    if columns == ours:
        return panel
    there = {*columns.row} <= {*ours.row} and {*columns.static} <= {*ours.static}
    if columns.targets != ours.targets or not there:
        return None
    places = [ours.row.index(name) for name in columns.row]
    series = tuple(replace(one, values=one.values[:, places]) for one in panel)
    return replace(panel, columns=columns, series=series)

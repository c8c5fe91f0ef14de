"""Judge a whole panel: is there enough in it, and does every column and series say something."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from forecasting.report import Finding, SeriesSummary, counted
from forecasting.series import rfc3339

if TYPE_CHECKING:
    from forecasting.series import Panel, Split

_FEWEST_STEPS = 30
_MOSTLY = 0.5


class _Extent(NamedTuple):
    """Observed cells, smallest and largest value of each (series, column); NaN where nothing was observed."""

    observed: np.ndarray
    low: np.ndarray
    high: np.ndarray


def check_panel(panel: Panel) -> tuple[Finding, ...]:
    """Return what is short, silent or constant in a panel."""
    extent = _measure(panel)
    steps = len(panel.grid())
    findings = [*_short_series(panel), *_silent_series(panel, extent)]
    if steps < _FEWEST_STEPS:
        message = f"{counted(steps, 'time step')} from first to last; give at least {_FEWEST_STEPS}"
        findings.append(Finding(code="too-short", action="refused", message=message, count=steps))
    for place, column in enumerate(panel.columns):
        findings += _check_column(column, panel, _Extent(*(part[:, place] for part in extent)))
    return tuple(findings)


def _measure(panel: Panel) -> _Extent:
    """Measure with fmin and fmax, which pass over NaN."""
    return _Extent(
        np.array([(~np.isnan(one.values)).sum(axis=0) for one in panel]),
        np.array([np.fmin.reduce(one.values, axis=0) for one in panel]),
        np.array([np.fmax.reduce(one.values, axis=0) for one in panel]),
    )


def _check_column(column: str, panel: Panel, extent: _Extent) -> list[Finding]:
    """Return the gravest thing to say about a column, and its share of missing cells where that is large."""
    seen = int(extent.observed.sum())
    if not seen:
        message = f"no cell of {column!r} holds a number; take it out of data.targets, or fill it"
        return [Finding(code="all-missing", action="refused", message=message, column=column)]
    if np.fmin.reduce(extent.low) == np.fmax.reduce(extent.high):
        value = np.fmin.reduce(extent.low)
        message = f"{column!r} is {value:.6g} wherever it is observed: nothing to forecast; take it out of data.targets"
        return [Finding(code="constant", action="refused", message=message, column=column)]
    return [*_still_series(column, panel, extent), *_mostly_missing(column, panel.rows, seen)]


def _still_series(column: str, panel: Panel, extent: _Extent) -> list[Finding]:
    still = np.flatnonzero(extent.low == extent.high)
    if not len(still):
        return []
    count, first = len(still), panel.series[still[0]].id
    message = f"{column!r} never changes in {counted(count, 'series')}; its forecast there will be that value"
    finding = Finding(
        code="constant-series", action="noted", message=message, count=count, column=column, series=first, where=first
    )
    return [finding]


def _mostly_missing(column: str, rows: int, seen: int) -> list[Finding]:
    if seen >= _MOSTLY * rows:
        return []
    count = rows - seen
    message = (
        f"{count / rows:.1%} of {column!r} is missing, rows inserted in gaps counted; forecasts of it will be weak"
    )
    return [Finding(code="mostly-missing", action="noted", message=message, count=count, column=column)]


def _short_series(panel: Panel) -> list[Finding]:
    short = [one.id for one in panel if len(one) == 1]
    if not short:
        return []
    message = f"{counted(len(short), 'series')} with a single row; it teaches nothing and is kept"
    return [
        Finding(code="short-series", action="noted", message=message, count=len(short), series=short[0], where=short[0])
    ]


def _silent_series(panel: Panel, extent: _Extent) -> list[Finding]:
    silent = [one.id for one, seen in zip(panel, extent.observed.sum(axis=1), strict=True) if not seen]
    if not silent or not extent.observed.any():
        return []
    message = f"{counted(len(silent), 'series')} without a single number in any target; take them out, or fill them"
    return [
        Finding(
            code="silent-series",
            action="refused",
            message=message,
            count=len(silent),
            series=silent[0],
            where=silent[0],
        )
    ]


def check_split(split: Split) -> tuple[Finding, ...]:
    """Say how many time steps behind the last part of the split are not used."""
    if not split.unused:
        return ()
    message = f"{counted(split.unused, 'time step')} behind the last row that backtest.split asks for; not used"
    return (Finding(code="unused-rows", action="noted", message=message, count=split.unused),)


def summarise(panel: Panel) -> tuple[SeriesSummary, ...]:
    """Return what each series holds."""
    return tuple(
        SeriesSummary(
            id=one.id,
            rows=len(one),
            start=rfc3339(one.index[0]),
            end=rfc3339(one.index[-1]),
            missing=dict(zip(panel.columns, np.isnan(one.values).mean(axis=0).tolist(), strict=True)),
        )
        for one in panel
    )

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


def without_future(panel: Panel) -> tuple[Panel, tuple[Finding, ...]]:
    """Leave out the time steps behind the last target or past covariate: known values alone teach nothing."""
    seen = panel.columns.seen
    ends = [
        one.index[rows[-1]] for one in panel if len(rows := np.flatnonzero(np.isfinite(one.values[:, :seen]).any(1)))
    ]
    if not panel.columns.known or not ends:
        return panel, ()
    grid = panel.grid()
    behind = len(grid) - int(grid.searchsorted(max(ends), side="right"))
    if not behind:
        return panel, ()
    message = f"{counted(behind, 'time step')} behind the last one with more than known covariates; not learnt from"
    finding = Finding(code="future-rows", action="noted", message=message, count=behind)
    return panel.between(None, grid[-behind]), (finding,)


def check_panel(panel: Panel) -> tuple[Finding, ...]:
    """Return what is short, silent or constant in a panel."""
    extent = _measure(panel)
    steps = len(panel.grid())
    findings = [*_short_series(panel), *_silent_series(panel, extent)]
    if steps < _FEWEST_STEPS:
        message = f"{counted(steps, 'time step')} from first to last; give at least {_FEWEST_STEPS}"
        findings.append(Finding(code="too-short", action="refused", message=message, count=steps))
    for place, column in enumerate(panel.columns.row):
        findings += _check_column(column, panel, _Extent(*(part[:, place] for part in extent)))
    return (*findings, *(finding for name in panel.columns.static for finding in _check_static(name, panel)))


def _measure(panel: Panel) -> _Extent:
    """Measure with fmin and fmax, which pass over NaN."""
    return _Extent(
        np.array([(~np.isnan(one.values)).sum(axis=0) for one in panel]),
        np.array([np.fmin.reduce(one.values, axis=0, initial=np.nan) for one in panel]),
        np.array([np.fmax.reduce(one.values, axis=0, initial=np.nan) for one in panel]),
    )


def _role(column: str, panel: Panel) -> str:
    """Return the key of [data] that names a column."""
    return next(key for key in ("targets", "past", "known", "static") if column in getattr(panel.columns, key))


def _check_column(column: str, panel: Panel, extent: _Extent) -> list[Finding]:
    """Return the gravest thing to say about a column, and its share of missing cells where that is large."""
    seen = int(extent.observed.sum())
    if not seen:
        return [_all_missing(column, panel)]
    target = column in panel.columns.targets
    if np.fmin.reduce(extent.low) == np.fmax.reduce(extent.high):
        return [_constant(column, f"{np.fmin.reduce(extent.low):.6g}", panel, target=target)]
    still = _still_series(column, panel, extent) if target else []
    return [*still, *_mostly_missing(column, panel, seen)]


def _check_static(column: str, panel: Panel) -> list[Finding]:
    values = {one.static[column] for one in panel}
    if values == {None}:
        return [_all_missing(column, panel)]
    return [_constant(column, repr(values.pop()), panel, target=False)] if len(values) == 1 else []


def _all_missing(column: str, panel: Panel) -> Finding:
    role = _role(column, panel)
    what = "a value" if role == "static" else "a number"
    message = f"no cell of {column!r} holds {what}; take it out of data.{role}, or fill it"
    return Finding(code="all-missing", action="refused", message=message, column=column)


def _constant(column: str, value: str, panel: Panel, *, target: bool) -> Finding:
    """A target that never changes is no task; a covariate that never does is only in the way."""
    says = "nothing to forecast; take" if target else "it says nothing; better take"
    message = f"{column!r} is {value} wherever it is observed: {says} it out of data.{_role(column, panel)}"
    return Finding(code="constant", action="refused" if target else "noted", message=message, column=column)


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


def _mostly_missing(column: str, panel: Panel, seen: int) -> list[Finding]:
    if seen >= _MOSTLY * panel.rows:
        return []
    count = panel.rows - seen
    so = "forecasts of it will be weak" if column in panel.columns.targets else "it says little"
    message = f"{count / panel.rows:.1%} of {column!r} is missing, rows inserted in gaps counted; {so}"
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
    observed = extent.observed[:, : len(panel.columns.targets)]
    silent = [one.id for one, seen in zip(panel, observed.sum(axis=1), strict=True) if not seen]
    if not silent or not observed.any():
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


def check_split(panel: Panel, split: Split) -> tuple[Finding, ...]:
    """Demand something of each target to learn from, and say how many time steps behind the last part are not used."""
    late = (_observed(split.train(panel)) == 0) & (_observed(panel) > 0)
    findings = [_unlearnt(name, split) for name, later in zip(panel.columns.targets, late, strict=False) if later]
    if split.unused:
        message = f"{counted(split.unused, 'time step')} behind the last row that backtest.split asks for; not used"
        findings.append(Finding(code="unused-rows", action="noted", message=message, count=split.unused))
    return tuple(findings)


def _observed(panel: Panel) -> np.ndarray:
    return np.asarray(sum((~np.isnan(one.values)).sum(axis=0) for one in panel))


def _unlearnt(target: str, split: Split) -> Finding:
    message = (
        f"no cell of {target!r} before {rfc3339(split.valid)} holds a number: nothing to learn from; "
        "move backtest.split, or take it out of data.targets"
    )
    return Finding(code="unlearnt", action="refused", message=message, column=target)


def summarise(panel: Panel) -> tuple[SeriesSummary, ...]:
    """Return what each series holds."""
    return tuple(
        SeriesSummary(
            id=one.id,
            rows=len(one),
            start=rfc3339(one.index[0]),
            end=rfc3339(one.index[-1]),
            missing=dict(zip(panel.columns.row, np.isnan(one.values).mean(axis=0).tolist(), strict=True)),
        )
        for one in panel
    )

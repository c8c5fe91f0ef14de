"""From a table to a panel, a stage at a time; every refusal of a stage is found before it ends the reading."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from forecasting.addresses import is_address
from forecasting.errors import DataError, DataRejected
from forecasting.plausible import screen_panel
from forecasting.reading.checking import check_header, read_ids, read_values, wanted_columns, without_blank_rows
from forecasting.reading.database import read_query
from forecasting.reading.files import read_files
from forecasting.reading.grid import Rows, in_order, to_panel, without_repeats
from forecasting.reading.limits import within_limits
from forecasting.reading.observed import Observed, joined
from forecasting.reading.quality import check_panel, check_split, summarise, without_future
from forecasting.reading.statics import read_statics
from forecasting.reading.tables import Table
from forecasting.reading.timestamps import Clock, read_times
from forecasting.report import DataReport, Finding
from forecasting.series import cut

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

    from forecasting.project import Project
    from forecasting.sections import BacktestSection, DataSection
    from forecasting.series import Panel

    Lay = Callable[[Rows, Project], tuple[Panel, tuple[Finding, ...]]]


def read_panel(project: Project) -> tuple[Panel, DataReport]:
    """Read the source of a project into series on a regular grid, and report what was found in it.

    Raises:
        NoSuchSource: there is no such file or database.
        UnreadableSource: it is no table.
        DataRejected: a finding refuses the rows; the error carries the report.
    """
    return panel_from_table(_table(project, project.data.source), project)


def _table(project: Project, source: str) -> Table:
    folder, wanted = Path(project.folder), wanted_columns(project.data)
    if is_address(source):
        return read_query(source, project.data.query or "", folder, wanted)
    return read_files(folder / source, wanted)


def read_history(project: Project, path: Path) -> tuple[Panel, DataReport]:
    """Read rows to forecast from: the columns of the project in another file, however few and however quiet.

    `path` may be a glob or a folder of Parquet files. Rows of known covariates alone, for the steps to come, stay.

    Raises:
        NoSuchSource: there is no such file.
        UnreadableSource: it is no table.
        DataRejected: a finding refuses the rows; the error carries the report.
    """
    return _panel(read_files(path, wanted_columns(project.data)), project, _lay)


def read_joined(project: Project, streams: Sequence[Observed]) -> tuple[Panel, DataReport]:
    """Read the history of a project, if it names one, and join the rows of streams to it.

    Raises:
        NoSuchSource, UnreadableSource: the history is not there, or no table.
        DataRejected: a finding refuses the history, or all rows together.
    """
    history, found = None, None
    if project.data.history is not None:
        history, found = _panel(_table(project, project.data.history), project, _lay)
    source = " joined to ".join(["the observation log", *([found.source] if found else [])])
    table = joined(history, found.digest if found else "", streams, project.data, source)
    panel, report = panel_from_table(table, project)
    earlier = tuple(one for one in found.findings if one.code not in _AGAIN) if found else ()
    return panel, msgspec.structs.replace(report, findings=(*earlier, *report.findings))


_AGAIN = ("gap", "missing-cells", "missing-known", "missing-static")
"""Findings about a history that are found again in all rows together."""


def panel_from_frame(frame: pd.DataFrame, project: Project, source: str = "frame") -> tuple[Panel, DataReport]:
    """Do the same with rows that are in memory; the report then has no digest.

    Raises:
        DataRejected: a finding refuses the rows; the error carries the report.
    """
    return panel_from_table(Table(source, "", tuple(map(str, frame.columns)), frame), project)


def panel_from_table(table: Table, project: Project) -> tuple[Panel, DataReport]:
    """Check a table and lay it on its grid.

    Raises:
        DataRejected: a finding refuses the rows; the error carries the report.
    """
    return _panel(table, project, _lay_and_judge)


def _panel(table: Table, project: Project, lay: Lay) -> tuple[Panel, DataReport]:
    findings = _accepted(table, check_header(table.header, project.data))
    frame, found = without_blank_rows(table.frame)
    findings = _accepted(table, findings + found)
    rows, found = _read_rows(frame, project.data)
    findings = _accepted(table, findings + found)
    panel, found = lay(rows, project)
    findings = _accepted(table, findings + found)
    return panel, _report(table, findings, panel)


def _read_rows(frame: pd.DataFrame, data: DataSection) -> tuple[Rows, tuple[Finding, ...]]:
    codes, ids, lost = read_ids(frame, data.series)
    times, clock = read_times(frame[data.time], codes, Clock(data.time, data.timezone, data.freq))
    values, cells = read_values(frame, data.columns)
    values, limits = within_limits(values, frame.index, data)
    statics, fixed = read_statics(frame, codes, ids, data)
    rows = Rows(ids, codes, times, values, frame.index, statics)
    return rows, (*lost, *clock, *cells, *limits, *fixed)


def _lay(rows: Rows, project: Project) -> tuple[Panel, tuple[Finding, ...]]:
    data = project.data
    rows, unsorted = in_order(rows)
    rows, repeated = without_repeats(rows)
    panel, gaps = to_panel(rows, data.columns, data.freq, data.timezone)
    return panel, unsorted + repeated + gaps


def _lay_and_judge(rows: Rows, project: Project) -> tuple[Panel, tuple[Finding, ...]]:
    panel, findings = _lay(rows, project)
    panel, judged = _judge(panel, project.backtest) if panel else (panel, ())
    return panel, findings + judged


def _judge(panel: Panel, parts: BacktestSection) -> tuple[Panel, tuple[Finding, ...]]:
    panel, future = without_future(panel)
    findings = (*future, *check_panel(panel))
    if any(finding.code == "too-short" for finding in findings):
        return panel, findings
    try:
        split = cut(panel, parts.split, parts.newest)
    except DataError as error:
        return panel, (*findings, Finding(code="too-short", action="refused", message=str(error)))
    panel, implausible = screen_panel(panel, split)
    return panel, (*findings, *check_split(panel, split), *implausible)


def _accepted(table: Table, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Return the findings, unless one of them refuses."""
    report = _report(table, findings, None)
    if report.refusals:
        raise DataRejected(report)
    return findings


def _report(table: Table, findings: tuple[Finding, ...], panel: Panel | None) -> DataReport:
    return DataReport(
        source=table.source,
        digest=table.digest,
        rows=len(table.frame),
        findings=findings,
        series=summarise(panel) if panel else (),
    )

"""From a table to a panel, a stage at a time; every refusal of a stage is found before it ends the reading."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forecasting.errors import DataError, DataRejected, UnreadableSource
from forecasting.plausible import screen_panel
from forecasting.reading.checking import check_header, read_ids, read_values, wanted_columns, without_blank_rows
from forecasting.reading.grid import Rows, in_order, to_panel, without_repeats
from forecasting.reading.quality import check_panel, check_split, summarise
from forecasting.reading.tables import Table, read_table
from forecasting.reading.timestamps import Clock, read_times
from forecasting.report import DataReport, Finding
from forecasting.series import cut

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pandas as pd

    from forecasting.project import DataSection, Project
    from forecasting.series import Panel

    Lay = Callable[[Rows, Project], tuple[Panel, tuple[Finding, ...]]]


def read_panel(project: Project) -> tuple[Panel, DataReport]:
    """Read the file of a project into series on a regular grid, and report what was found in it.

    Raises:
        NoSuchSource: there is no such file.
        UnreadableSource: it is no csv table.
        DataRejected: a finding refuses the rows; the error carries the report.
    """
    data, path = project.data, project.source
    if not path.exists() and ("://" in data.source or "*" in data.source):
        message = f"data.source is {data.source!r}; this version reads one csv or csv.gz file"
        raise UnreadableSource(message)
    as_text = [data.time, *([data.series] if data.series else [])]
    return panel_from_table(read_table(path, wanted_columns(data), as_text), project)


def read_history(project: Project, path: Path) -> tuple[Panel, DataReport]:
    """Read rows to forecast from: the columns of the project in another file, however few and however quiet.

    Raises:
        NoSuchSource: there is no such file.
        UnreadableSource: it is no csv table.
        DataRejected: a finding refuses the rows; the error carries the report.
    """
    data = project.data
    as_text = [data.time, *([data.series] if data.series else [])]
    return _panel(read_table(path, wanted_columns(data), as_text), project, _lay)


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
    values, cells = read_values(frame, data.targets)
    return Rows(ids, codes, times, values, frame.index), (*lost, *clock, *cells)


def _lay(rows: Rows, project: Project) -> tuple[Panel, tuple[Finding, ...]]:
    data = project.data
    rows, unsorted = in_order(rows)
    rows, repeated = without_repeats(rows)
    panel, gaps = to_panel(rows, data.targets, data.freq, data.timezone)
    return panel, unsorted + repeated + gaps


def _lay_and_judge(rows: Rows, project: Project) -> tuple[Panel, tuple[Finding, ...]]:
    panel, findings = _lay(rows, project)
    panel, judged = _judge(panel, project.backtest.split) if panel else (panel, ())
    return panel, findings + judged


def _judge(panel: Panel, parts: tuple[float, float, float]) -> tuple[Panel, tuple[Finding, ...]]:
    findings = check_panel(panel)
    if any(finding.code == "too-short" for finding in findings):
        return panel, findings
    try:
        split = cut(panel, parts)
    except DataError as error:
        return panel, (*findings, Finding(code="too-short", action="refused", message=str(error)))
    panel, implausible = screen_panel(panel, split)
    return panel, (*findings, *check_split(split), *implausible)


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

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from forecasting.errors import DataRejected
from forecasting.project import parse_project
from forecasting.reading import read_panel
from tests.forecasting.csv_files import HEADER, cells, clean, findings, panel_lines, project, write


def test_a_few_rows_are_too_short(tmp_path: Path) -> None:
    assert findings(tmp_path, clean(20)) == [
        "refused too-short: 20 time steps from first to last; give at least 30",
    ]


def test_fewer_rows_than_the_split_asks_for_are_too_short(tmp_path: Path) -> None:
    write(tmp_path, clean(40))
    section = {"source": "data.csv", "time": "time", "targets": ["x"]}
    split = {"split": [30, 10, 10]}
    with pytest.raises(
        DataRejected, match=r"too-short: backtest.split .* needs 50 rows .* the data have 40 time steps"
    ):
        read_panel(parse_project({"name": "a", "data": section, "backtest": split}, folder=tmp_path))


def test_rows_behind_the_split_are_noted(tmp_path: Path) -> None:
    write(tmp_path, clean(40))
    section = {"source": "data.csv", "time": "time", "targets": ["x"]}
    split = {"split": [20, 10, 5]}
    _, report = read_panel(parse_project({"name": "a", "data": section, "backtest": split}, folder=tmp_path))
    assert [finding.sentence for finding in report.findings] == [
        "unused-rows: 5 time steps behind the last row that backtest.split asks for; not used"
    ]


def test_a_constant_target_is_refused(tmp_path: Path) -> None:
    lines = [HEADER, *(line.rsplit(",", 1)[0] + ",4.5" for line in clean()[1:])]
    assert findings(tmp_path, lines) == [
        "refused constant: 'y' is 4.5 wherever it is observed: nothing to forecast; take it out of data.targets"
    ]


def test_a_target_without_a_number_is_refused(tmp_path: Path) -> None:
    lines = [HEADER, *(line.rsplit(",", 1)[0] + "," for line in clean()[1:])]
    assert findings(tmp_path, lines) == [
        "noted missing-cells: 40 missing cells in 'y', 100.0% of its rows",
        "refused all-missing: no cell of 'y' holds a number; take it out of data.targets, or fill it",
    ]


def test_a_target_that_is_mostly_missing_is_noted(tmp_path: Path) -> None:
    lines = clean()
    lines[11:] = [line.rsplit(",", 1)[0] + "," for line in lines[11:]]
    assert findings(tmp_path, lines) == [
        "noted missing-cells: 30 missing cells in 'y', 75.0% of its rows",
        "noted mostly-missing: 75.0% of 'y' is missing, rows inserted in gaps counted; forecasts of it will be weak",
    ]


def test_series_that_say_nothing_or_little_are_named(tmp_path: Path) -> None:
    times = [line.split(",")[0] for line in clean()[1:]]
    still = [f"{time},3,{at % 5}" for at, time in enumerate(times)]
    silent = [f"{time},," for time in times]
    lines = panel_lines(("a", clean()[1:]), ("b", still), ("c", silent), ("d", still[:1]))
    assert findings(tmp_path, lines, series="id")[2:] == [
        "noted short-series: 1 series with a single row; it teaches nothing and is kept (first: d)",
        "refused silent-series: 1 series without a single number in any target; take them out, or fill them (first: c)",
        "noted constant-series: 'x' never changes in 2 series; its forecast there will be that value (first: b)",
        "noted constant-series: 'y' never changes in 1 series; its forecast there will be that value (first: d)",
    ]


def test_a_spike_is_read_as_missing_and_named(tmp_path: Path) -> None:
    lines = clean(100)
    lines[31] = "2013-01-02T06:00:00Z,1048.3,1"
    assert findings(tmp_path, lines) == [
        (
            "repaired implausible: 1 cell of 'x' in series 'all' outside [-100, 110], which its training rows allow; "
            "read as missing (first: 2013-01-02T06:00:00Z: 1048.3)"
        )
    ]
    assert np.isnan(cells(read_panel(project(tmp_path))[0])[30, 0])


def test_another_unit_after_training_is_refused(tmp_path: Path) -> None:
    lines = clean(100)
    lines[81:] = [f"{line.split(',')[0]},{300 + at},{at % 13}" for at, line in enumerate(lines[81:])]
    assert findings(tmp_path, lines) == [
        (
            "refused unit-change: 20 cells of 'x' in series 'all' outside [-100, 110], which its training rows allow; "
            "that is 20.0% of its cells and looks like another unit or sensor; mend the source "
            "(first: 2013-01-04T08:00:00Z: 300)"
        )
    ]


DEMO = Path(__file__).parents[2] / "pipelines" / "demo" / "nyc_weather.csv.gz"
MEASURED = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]


@pytest.mark.skipif(not DEMO.exists(), reason="a checkout without the demo data")
def test_of_a_year_of_real_weather_one_record_is_implausible() -> None:
    columns = {"source": str(DEMO), "time": "time_hour", "series": "origin", "targets": MEASURED}
    _, report = read_panel(project(Path(), **columns))
    implausible = [finding for finding in report.findings if finding.code == "implausible"]
    assert [(one.series, one.column, one.where) for one in implausible] == [
        ("EWR", "wind_speed", "2013-02-12T08:00:00Z: 1048.36")
    ]

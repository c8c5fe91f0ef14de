from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from forecasting.reading import read_panel
from tests.forecasting.csv_files import HEADER, clean, findings, panel_lines, project, write

if TYPE_CHECKING:
    from pathlib import Path


def test_a_missing_column_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    assert findings(tmp_path, ["time,wind_speed,y", *clean()[1:]], targets=["windspeed", "y"]) == [
        "refused missing-column: there is no column 'windspeed' among time, wind_speed, y; did you mean 'wind_speed'?"
    ]


def test_a_column_named_twice_is_refused(tmp_path: Path) -> None:
    assert findings(tmp_path, ["time,x,x", *clean()[1:]], targets=["x"]) == [
        "refused duplicate-column: the header names 'x' 2 times; keep the one that is meant"
    ]


def test_a_column_of_no_interest_may_be_named_twice(tmp_path: Path) -> None:
    assert findings(tmp_path, ["time,x,y,z,z", *(f"{line},1,2" for line in clean()[1:])]) == []


@pytest.mark.parametrize(("rows", "what"), [([], "no rows"), (["", ",,"], "blank rows")])
def test_a_header_alone_is_refused(tmp_path: Path, rows: list[str], what: str) -> None:
    assert findings(tmp_path, [HEADER, *rows]) == [f"refused empty-table: a header and {what}; give it data"]


def test_spaces_around_a_name_are_noted(tmp_path: Path) -> None:
    assert findings(tmp_path, ["time, x,y", *clean()[1:]]) == [
        "noted spaced-header: white space around the name of column 'x' was taken off"
    ]


def test_blank_rows_are_left_out_and_lines_keep_their_numbers(tmp_path: Path) -> None:
    lines = clean()
    lines[5:5] = ["", ",,"]
    lines[20] = lines[20].rsplit(",", 1)[0] + ",abc"
    assert findings(tmp_path, lines) == [
        "repaired blank-rows: 2 rows without any value left out (first: line 6)",
        "refused wrong-type: no number in 1 cell of 'y'; write numbers, or leave it empty (first: line 21: 'abc')",
    ]


@pytest.mark.parametrize(
    ("cell", "advice"),
    [
        ("abc", "write numbers, or leave it empty"),
        ("true", "write numbers, or leave it empty"),
        ("0x1F", "write numbers, or leave it empty"),
        ('"1,5"', "write numbers with a point and without separators"),
        ('"1,048.3"', "write numbers with a point and without separators"),
    ],
)
def test_a_target_that_is_no_number_is_refused(tmp_path: Path, cell: str, advice: str) -> None:
    lines = clean()
    lines[16] = f"2013-01-01T15:00:00Z,1,{cell}"
    lines[17] = f"2013-01-01T16:00:00Z,1,{cell}"
    assert findings(tmp_path, lines) == [
        f"refused wrong-type: no number in 2 cells of 'y'; {advice} (first: line 17: {cell.strip(chr(34))!r})"
    ]


def test_a_column_of_truth_values_is_refused(tmp_path: Path) -> None:
    lines = [HEADER, *(line.rsplit(",", 1)[0] + ",True" for line in clean()[1:])]
    assert findings(tmp_path, lines) == [
        "refused wrong-type: no number in 40 cells of 'y'; write numbers, or leave it empty (first: line 2: 'True')"
    ]


@pytest.mark.parametrize("marker", ["", "-", "NA", "na", "N/A", "NaN", "nan", "null", "NULL", "None", "<NA>", " NaN "])
def test_missing_markers_are_missing_cells(tmp_path: Path, marker: str) -> None:
    lines = clean()
    lines[7] = f"2013-01-01T06:00:00Z,{marker},1"
    assert findings(tmp_path, lines) == ["noted missing-cells: 1 missing cell in 'x', 2.5% of its rows"]


def test_numbers_with_spaces_around_them_are_numbers(tmp_path: Path) -> None:
    lines = clean()
    lines[7], lines[8] = "2013-01-01T06:00:00Z, 1.5 ,1", "2013-01-01T07:00:00Z,NA ,1"
    assert findings(tmp_path, lines) == ["noted missing-cells: 1 missing cell in 'x', 2.5% of its rows"]


@pytest.mark.parametrize(
    ("cell", "shown"), [("inf", "inf"), ("-Infinity", "-inf"), ("1e400", "inf"), ("1e39", "1e+39")]
)
def test_infinite_cells_and_what_float32_cannot_hold_are_refused(tmp_path: Path, cell: str, shown: str) -> None:
    lines = clean()
    lines[9] = f"2013-01-01T08:00:00Z,{cell},1"
    assert findings(tmp_path, lines) == [
        (
            "refused infinite: infinity, or more than float32 holds (3.4e38), in 1 cell of 'x'; "
            f"leave a cell empty where nothing was observed (first: line 10: {shown!r})"
        )
    ]


def test_rows_without_an_id_are_refused(tmp_path: Path) -> None:
    lines = panel_lines(("a", clean()[1:]), ("", clean(3)[1:]))
    assert findings(tmp_path, lines, series="id") == [
        "refused missing-id: 3 rows without an id in 'id'; say which series they belong to (first: line 42)"
    ]


def test_ids_are_kept_as_they_are_written(tmp_path: Path) -> None:
    write(tmp_path, panel_lines(*((name, clean()[1:]) for name in ("007", "7", "NA", "1.0"))))
    panel, _ = read_panel(project(tmp_path, series="id"))
    assert [one.id for one in panel] == ["007", "1.0", "7", "NA"]

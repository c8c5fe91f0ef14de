from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from forecasting.reading import read_panel
from tests.forecasting.csv_files import cells, clean, findings, panel_lines, project, write

if TYPE_CHECKING:
    from pathlib import Path


def test_rows_out_of_order_are_sorted(tmp_path: Path) -> None:
    lines = clean()
    write(tmp_path, lines)
    straight = read_panel(project(tmp_path))[0].series[0]
    lines[5], lines[9] = lines[9], lines[5]
    assert findings(tmp_path, lines) == [
        (
            "repaired unsorted: 2 rows earlier than the row before in the same series; sorted by time "
            "(first: line 7, 2013-01-01T05:00:00Z)"
        )
    ]
    assert np.array_equal(cells(read_panel(project(tmp_path))[0]), straight.values)


def test_a_row_that_is_there_twice_is_kept_once(tmp_path: Path) -> None:
    lines = clean()
    lines[8] = "2013-01-01T07:00:00Z,,5"
    lines[9:9] = [lines[8]]
    assert findings(tmp_path, lines)[1:] == [
        (
            "repaired duplicate-rows: 1 row repeated with the same time and values; kept once "
            "(first: line 10, 2013-01-01T07:00:00Z)"
        )
    ]


def test_a_time_with_two_different_rows_is_refused(tmp_path: Path) -> None:
    lines = clean()
    lines[9:9] = ["2013-01-01T07:00:00Z,5,"]
    assert findings(tmp_path, lines)[1:] == [
        (
            "refused duplicate-times: 1 row with other values at a time already seen; keep the right one "
            "(first: line 10, 2013-01-01T07:00:00Z)"
        )
    ]


def test_a_time_between_the_steps_is_refused(tmp_path: Path) -> None:
    lines = clean()
    lines[8] = lines[8].replace(":00:00Z", ":07:00Z")
    assert findings(tmp_path, lines) == [
        (
            "refused off-grid: 1 row off the grid of freq 'h'; the step seen most often is 'h' "
            "(first: line 9, 2013-01-01T07:07:00Z)"
        )
    ]


@pytest.mark.parametrize("freq", ["15min", "30min", "MS"])
def test_an_off_grid_finding_names_the_freq_that_fits(tmp_path: Path, freq: str) -> None:
    (finding,) = findings(tmp_path, clean(freq=freq), freq="2D" if freq == "MS" else "h")
    assert f"freq = {freq!r} fits every row" in finding


def test_an_off_grid_finding_knows_the_step_in_spite_of_gaps(tmp_path: Path) -> None:
    lines = clean(freq="15min", count=60)
    del lines[20:23]
    (finding,) = findings(tmp_path, lines)
    assert finding.startswith(
        "refused off-grid: 42 rows off the grid of freq 'h'; freq = '15min' fits every row (first:"
    )


def test_a_grid_may_start_at_any_minute_if_most_rows_do(tmp_path: Path) -> None:
    assert findings(tmp_path, clean(start="2013-01-01T00:05")) == []


def test_a_series_with_a_phase_of_its_own_is_off_the_grid(tmp_path: Path) -> None:
    lines = panel_lines(("a", clean(40)[1:]), ("b", clean(30, start="2013-01-01T00:05")[1:]))
    (finding,) = findings(tmp_path, lines, series="id")
    assert finding.startswith("refused off-grid: 30 rows off the grid of freq 'h';")
    assert finding.endswith("(first: line 42, 2013-01-01T00:05:00Z)")


def test_gaps_become_missing_rows(tmp_path: Path) -> None:
    lines = clean()
    del lines[20:23]
    del lines[10]
    assert findings(tmp_path, lines) == [
        (
            "repaired gap: 4 time steps without a row, at most 3 in a run; inserted as missing rows "
            "(first: before line 20, 2013-01-01T22:00:00Z)"
        )
    ]
    only = read_panel(project(tmp_path))[0].series[0]
    assert np.flatnonzero(np.isnan(only.values).all(axis=1)).tolist() == [9, 19, 20, 21]


def test_a_mistyped_year_is_refused_before_it_takes_all_memory(tmp_path: Path) -> None:
    lines = clean()
    lines[1] = lines[1].replace("2013", "1900")
    assert findings(tmp_path, lines) == [
        (
            "refused absurd-gap: 40 rows would become 990,592 rows on the grid of freq 'h'; correct the times or "
            "data.freq (the step seen most often is 'h') (first: line 3, 2013-01-01T01:00:00Z)"
        )
    ]

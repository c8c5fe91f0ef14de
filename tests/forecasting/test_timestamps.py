from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pytest

from forecasting.reading import read_panel
from tests.forecasting.csv_files import HEADER, clean, findings, numbers, project, write

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("cell", ["", "yesterday", "now", "01/02/2013 10:00", "2013-13-01", "0013-01-01", "3013-01-01"])
def test_a_time_that_cannot_be_read_is_refused(tmp_path: Path, cell: str) -> None:
    lines = clean()
    lines[11] = f"{cell},1,1"
    assert findings(tmp_path, lines) == [
        (
            "refused unreadable-time: no ISO 8601 time of 1800 to 2199 in 1 cell of 'time'; "
            f"write them as 2013-01-31T06:00:00Z (first: line 12: {cell!r})"
        )
    ]


def test_epoch_numbers_are_refused_with_advice(tmp_path: Path) -> None:
    lines = [HEADER, *(f"{1356998400 + 3600 * at},{numbers(at)}" for at in range(40))]
    assert findings(tmp_path, lines) == [
        (
            "refused unreadable-time: no ISO 8601 time of 1800 to 2199 in 40 cells of 'time'; they look like a count "
            "since some moment, and which one and in what unit is not said: write them as 2013-01-31T06:00:00Z "
            "(first: line 2: '1356998400')"
        )
    ]


def test_times_with_and_without_an_offset_are_refused(tmp_path: Path) -> None:
    lines = clean()
    lines[11] = lines[11].replace("Z", "")
    assert findings(tmp_path, lines) == [
        (
            "refused mixed-times: no UTC offset in 1 cell of 'time', and one in 39; write all of them with an offset, "
            "or none (first: line 12: '2013-01-01T10:00:00')"
        )
    ]


@pytest.mark.parametrize("suffix", ["Z", "+00:00", "+05:30", "-0330", "+05"])
def test_times_with_an_offset_are_moved_to_utc(tmp_path: Path, suffix: str) -> None:
    write(tmp_path, clean(suffix=suffix))
    panel, _ = read_panel(project(tmp_path, timezone="Asia/Tokyo"))
    assert panel.series[0].index[0] == pd.Timestamp(f"2013-01-01T00:00:00{suffix}")


def test_times_without_an_offset_are_read_in_the_zone_of_the_project(tmp_path: Path) -> None:
    write(tmp_path, clean(suffix=""))
    panel, _ = read_panel(project(tmp_path, timezone="Asia/Tokyo"))
    assert panel.series[0].index[0] == pd.Timestamp("2012-12-31T15:00:00Z")


def autumn(freq: str = "h") -> list[str]:
    times = pd.date_range("2013-10-26 12:00", periods=40, freq=freq, tz="Europe/Berlin").tz_localize(None)
    return [HEADER, *(f"{time},{numbers(at)}" for at, time in enumerate(times))]


def test_a_repeated_local_hour_is_told_by_the_order_of_its_rows(tmp_path: Path) -> None:
    assert findings(tmp_path, autumn(), timezone="Europe/Berlin") == [
        (
            "repaired ambiguous-hour: a time that the clocks of Europe/Berlin showed twice in 2 cells of 'time'; "
            "both copies stand in order, so the first was read as the earlier one "
            "(first: line 16: '2013-10-27 02:00:00')"
        )
    ]
    panel, _ = read_panel(project(tmp_path, timezone="Europe/Berlin"))
    assert panel.series[0].index.equals(pd.date_range("2013-10-26T10:00Z", periods=40, freq="h"))


REFUSED_HOUR = (
    "refused ambiguous-hour: a time that the clocks of Europe/Berlin showed twice in {} of 'time'; "
    "its rows do not tell which is meant; write times in UTC with Z (first: line {}: '2013-10-27 02:00:00')"
)


def test_a_repeated_local_hour_with_one_copy_is_refused(tmp_path: Path) -> None:
    lines = autumn()
    del lines[16]
    assert findings(tmp_path, lines, timezone="Europe/Berlin") == [REFUSED_HOUR.format("1 cell", 16)]


def test_a_repeated_local_hour_in_a_file_that_runs_backwards_is_refused(tmp_path: Path) -> None:
    lines = autumn()
    lines[1:] = lines[:0:-1]
    assert findings(tmp_path, lines, timezone="Europe/Berlin") == [REFUSED_HOUR.format("2 cells", 26)]


def test_a_local_hour_that_was_skipped_is_refused(tmp_path: Path) -> None:
    lines = clean(start="2013-03-31", suffix="")
    assert findings(tmp_path, lines, timezone="Europe/Berlin") == [
        (
            "refused missing-hour: a time that the clocks of Europe/Berlin skipped in 1 cell of 'time'; write times "
            "in UTC with Z, or set data.timezone to the zone they are in "
            "(first: line 4: '2013-03-31T02:00:00')"
        )
    ]


def test_daily_rows_follow_local_midnight_through_a_change_of_clocks(tmp_path: Path) -> None:
    write(tmp_path, clean(freq="D", start="2013-03-01", suffix=""))
    panel, report = read_panel(project(tmp_path, timezone="Europe/Berlin", freq="D"))
    local = panel.series[0].index.tz_convert("Europe/Berlin")
    assert report.findings == ()
    assert len(local) == 40
    assert set(local.hour) == {0}


def test_a_midnight_that_the_clocks_skip_is_no_finding_in_daily_rows(tmp_path: Path) -> None:
    lines = clean(freq="D", start="2018-10-10", suffix="")
    assert findings(tmp_path, lines, timezone="America/Sao_Paulo", freq="D") == []

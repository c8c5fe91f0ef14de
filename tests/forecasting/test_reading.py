from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.columns import Columns
from forecasting.errors import DataRejected
from forecasting.reading import panel_from_frame, read_panel
from forecasting.report import DataReport
from tests.forecasting.csv_files import cells, clean, project, write


def test_a_clean_file_becomes_its_values_without_a_finding(tmp_path: Path) -> None:
    path = write(tmp_path, clean())
    panel, report = read_panel(project(tmp_path))
    only = panel.series[0]
    assert (only.id, panel.columns, report.findings, report.rows) == ("all", Columns(("x", "y")), (), 40)
    assert only.index.equals(pd.date_range("2013-01-01", periods=40, freq="h", tz="UTC"))
    assert cells(panel).tolist() == [[at * 7 % 11, at * 5 % 13] for at in range(40)]
    assert cells(panel).dtype == np.float32
    assert cells(panel).flags.c_contiguous
    assert report.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_report_says_what_each_series_holds(tmp_path: Path) -> None:
    lines = clean()
    lines[3] = "2013-01-01T02:00:00Z,,3"
    write(tmp_path, lines)
    summary = read_panel(project(tmp_path))[1].series[0]
    assert (summary.id, summary.rows) == ("all", 40)
    assert (summary.start, summary.end) == ("2013-01-01T00:00:00Z", "2013-01-02T15:00:00Z")
    assert summary.missing == {"x": 1 / 40, "y": 0.0}


def test_all_refusals_of_a_stage_are_told_at_once(tmp_path: Path) -> None:
    lines = clean()
    lines[4], lines[6] = "soon,1,abc", "2013-01-01T05:00:00Z,inf,2"
    write(tmp_path, lines)
    with pytest.raises(DataRejected) as caught:
        read_panel(project(tmp_path))
    assert [finding.code for finding in caught.value.report.refusals] == ["unreadable-time", "infinite", "wrong-type"]
    assert str(caught.value).count("\n") == 2


def test_a_compressed_file_reads_like_the_plain_one(tmp_path: Path) -> None:
    text = write(tmp_path, clean()).read_bytes()
    plain, _ = read_panel(project(tmp_path))
    (tmp_path / "data.csv.gz").write_bytes(gzip.compress(text))
    packed, _ = read_panel(project(tmp_path, source="data.csv.gz"))
    assert np.array_equal(plain.series[0].values, packed.series[0].values)


def frame(count: int = 60) -> pd.DataFrame:
    times = pd.date_range("2013-01-01", periods=count, freq="h", tz="UTC").strftime("%Y-%m-%dT%H:%M:%SZ")
    values = np.random.default_rng(0).normal(size=(count, 2)).astype(np.float32)
    parts = [
        pd.DataFrame({"id": name, "time": times, "x": values[:, 0] + at, "y": values[:, 1]})
        for at, name in enumerate("ab")
    ]
    return pd.concat(parts, ignore_index=True)


@given(st.permutations(range(120)))
@settings(max_examples=20, deadline=None)
def test_shuffled_rows_give_the_same_panel(order: list[int]) -> None:
    straight, _ = panel_from_frame(frame(), project(Path(), series="id"))
    shuffled, _ = panel_from_frame(frame().iloc[order], project(Path(), series="id"))
    for left, right in zip(straight, shuffled, strict=True):
        assert left.id == right.id
        assert left.index.equals(right.index)
        assert np.array_equal(left.values, right.values)


@given(st.sets(st.integers(1, 58), max_size=40))
@settings(max_examples=20, deadline=None)
def test_gaps_are_filled_up_to_the_grid_and_with_nothing_but_nan(gone: set[int]) -> None:
    rows = frame()[:60].reset_index(drop=True)
    panel, _ = panel_from_frame(rows.drop(index=sorted(gone)), project(Path()))
    only = panel.series[0]
    assert only.index.equals(panel.grid())
    assert len(only) == 60
    assert set(np.flatnonzero(np.isnan(only.values).all(axis=1))) == gone
    kept = sorted(set(range(60)) - gone)
    assert np.array_equal(cells(panel)[kept], rows[["x", "y"]].to_numpy()[kept])


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
def test_a_frame_with_real_datetimes_is_read_too(zone: str | None) -> None:
    rows = frame()[:60].reset_index(drop=True)
    rows["time"] = pd.date_range("2013-01-01", periods=60, freq="h", tz=zone)
    panel, _ = panel_from_frame(rows, project(Path(), timezone="Asia/Tokyo"))
    expected = pd.Timestamp("2013-01-01", tz="Asia/Tokyo" if zone is None else zone)
    assert panel.series[0].index[0] == expected


def test_a_frame_with_a_missing_time_is_refused() -> None:
    rows = frame()[:60].reset_index(drop=True)
    rows.loc[3, "time"] = None
    with pytest.raises(
        DataRejected, match=r"unreadable-time: no ISO .* in 1 cell of 'time'; .* \(first: row 3: 'nan'\)"
    ):
        panel_from_frame(rows, project(Path()))


def test_a_report_goes_to_json_and_back(tmp_path: Path) -> None:
    lines = clean()
    del lines[10]
    write(tmp_path, lines)
    report = read_panel(project(tmp_path))[1]
    assert msgspec.json.decode(report.to_json(), type=DataReport) == report

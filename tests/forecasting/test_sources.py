from __future__ import annotations

import datetime as dt
import gzip
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.errors import GatecastError, NoSuchSource, UnreadableSource
from forecasting.reading import read_history, read_panel, tables
from forecasting.reading.files import read_files
from forecasting.reading.tables import Wanted
from tests.forecasting.csv_files import HEADER, cells, clean, project, write

if TYPE_CHECKING:
    from pathlib import Path

    from forecasting.project import Project

COUNT = 40
TIMES = pd.date_range("2013-01-01", periods=COUNT, freq="h", tz="UTC")
STAMPS = pa.array(TIMES.as_unit("ns").asi8, pa.timestamp("ns", "UTC"))
XS, YS = [float(at * 7 % 11) for at in range(COUNT)], [float(at * 5 % 13) for at in range(COUNT)]


def arrow(**columns: Any) -> pa.Table:
    return pa.table({"time": STAMPS, "x": XS, "y": YS} | columns)


def parquet(folder: Path, table: pa.Table, name: str = "data.parquet") -> Path:
    path = folder / name
    pq.write_table(table, path)
    return path


def values(of: Project) -> list[list[float]]:
    return cells(read_panel(of)[0]).tolist()


def refusal(of: Project) -> str:
    with pytest.raises(GatecastError) as caught:
        read_panel(of)
    return str(caught.value)


@pytest.mark.parametrize(
    "time",
    [
        STAMPS,
        STAMPS.cast(pa.timestamp("ns")),
        STAMPS.cast(pa.timestamp("us", "Asia/Tokyo")),
        pa.array([time.isoformat() for time in TIMES]),
        pa.array([time.isoformat() for time in TIMES]).dictionary_encode(),
        STAMPS.cast(pa.timestamp("ms", "+02:00")),
    ],
    ids=["UTC", "naive", "Tokyo", "text", "codes of text", "milliseconds"],
)
@pytest.mark.parametrize("name", ["data.parquet", "data.csv"])
def test_parquet_reads_like_text_whatever_its_name(tmp_path: Path, time: pa.Array, name: str) -> None:
    write(tmp_path, clean(), "other.csv")
    parquet(tmp_path, arrow(time=time), name)
    ours, report = read_panel(project(tmp_path, source=name))
    theirs, _ = read_panel(project(tmp_path, source="other.csv"))
    assert ours.series[0].index.equals(theirs.series[0].index)
    np.testing.assert_array_equal(cells(ours), cells(theirs))
    assert report.findings == ()


@pytest.mark.parametrize(
    "x",
    [
        pa.array(XS, pa.float32()),
        pa.array(XS, pa.float16()),
        pa.array([int(x) for x in XS], pa.uint8()),
        pa.array([Decimal(int(x)) for x in XS], pa.decimal128(9, 2)),
        pa.array([str(x) for x in XS]),
    ],
    ids=["float32", "float16", "uint8", "decimal", "text"],
)
def test_numbers_of_any_kind_are_numbers(tmp_path: Path, x: pa.Array) -> None:
    parquet(tmp_path, arrow(x=x))
    assert [row[0] for row in values(project(tmp_path, source="data.parquet"))] == XS


def test_days_are_times(tmp_path: Path) -> None:
    days = pa.array([dt.date(2013, 1, 1) + dt.timedelta(days=at) for at in range(COUNT)])
    parquet(tmp_path, arrow(time=days))
    panel, _ = read_panel(project(tmp_path, source="data.parquet", freq="D"))
    assert len(panel.series[0]) == COUNT


def test_empty_cells_are_missing_and_ids_are_text(tmp_path: Path) -> None:
    holes = [None, *XS[1:]]
    table = arrow(x=pa.array(holes), id=pa.array([7] * COUNT, pa.int32()))
    parquet(tmp_path, table)
    panel, report = read_panel(project(tmp_path, source="data.parquet", series="id"))
    assert [one.id for one in panel] == ["7"]
    assert np.isnan(cells(panel)[0, 0])
    assert [finding.code for finding in report.findings] == ["missing-cells"]


def test_a_fault_in_parquet_is_told_by_its_row(tmp_path: Path) -> None:
    parquet(tmp_path, arrow(x=pa.array(["abc" if at == 3 else "1" for at in range(COUNT)])))
    assert refusal(project(tmp_path, source="data.parquet")).endswith("(first: row 4: 'abc')")


def test_a_column_of_no_interest_may_be_nested(tmp_path: Path) -> None:
    parquet(tmp_path, arrow(rest=pa.array([[1, 2]] * COUNT), more=pa.array([{"x": 1.0}] * COUNT)))
    assert len(values(project(tmp_path, source="data.parquet"))) == COUNT


@pytest.mark.parametrize("x", [pa.array([[1.0]] * COUNT), pa.array([{"a": 1.0}] * COUNT)], ids=["list", "record"])
def test_a_wanted_column_must_be_flat(tmp_path: Path, x: pa.Array) -> None:
    path = parquet(tmp_path, arrow(x=x))
    said = refusal(project(tmp_path, source="data.parquet"))
    assert said.startswith(f"column 'x' of {path} holds ")
    assert said.endswith("expected one value a cell: give it flat columns")


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    table = arrow()
    parquet(tmp_path, table.append_column("x", table["y"]))
    assert "duplicate-column: the header names 'x' 2 times" in refusal(project(tmp_path, source="data.parquet"))


def test_spaces_around_a_name_are_noted_in_parquet_too(tmp_path: Path) -> None:
    parquet(tmp_path, arrow().rename_columns(["time", " x", "y"]))
    _, report = read_panel(project(tmp_path, source="data.parquet"))
    assert [finding.code for finding in report.findings] == ["spaced-header"]


def test_parquet_without_rows_is_refused(tmp_path: Path) -> None:
    parquet(tmp_path, arrow()[:0])
    assert refusal(project(tmp_path, source="data.parquet")) == "empty-table: a header and no rows; give it data"


@pytest.mark.parametrize("kept", [4, 100, -1, -9, -500])
def test_cut_parquet_is_refused(tmp_path: Path, kept: int) -> None:
    path = parquet(tmp_path, arrow())
    path.write_bytes(path.read_bytes()[:kept])
    said = refusal(project(tmp_path, source="data.parquet"))
    assert said.startswith(f"{path} is damaged Parquet data (")
    assert said.endswith("copy it again from where it came")


def test_a_changed_byte_of_a_page_is_noticed_where_the_file_has_checksums(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    pq.write_table(arrow(), path, write_page_checksum=True, compression="none", use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[content.index(np.array(XS[:4]).tobytes())] ^= 1
    path.write_bytes(content)
    assert "is damaged Parquet data" in refusal(project(tmp_path, source="data.parquet"))


def test_a_file_of_too_many_rows_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = parquet(tmp_path, arrow())
    monkeypatch.setattr(tables, "MOST_ROWS", 39)
    assert refusal(project(tmp_path, source="data.parquet")).startswith(f"{path} has more than 39 rows; narrow it")


def parts(folder: Path) -> None:
    """Two thirds as text, one of them compressed, and one third as Parquet."""
    lines = clean()
    write(folder, [HEADER, *lines[1:14]], "a.csv")
    (folder / "b.csv").write_bytes(gzip.compress("\n".join([HEADER, *lines[14:27]]).encode()))
    parquet(folder, arrow()[26:], "c.csv")


def test_files_of_all_kinds_are_one_table(tmp_path: Path) -> None:
    write(tmp_path, clean(), "whole")
    parts(tmp_path)
    ours, report = read_panel(project(tmp_path, source="*.csv"))
    np.testing.assert_array_equal(cells(ours), cells(read_panel(project(tmp_path, source="whole"))[0]))
    assert (report.findings, report.rows, report.source) == ((), COUNT, str(tmp_path / "*.csv"))


def test_the_digest_is_over_all_files_and_not_over_their_place(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        parts(tmp_path / name)
    digests = {read_panel(project(tmp_path, source=f"{name}/*.csv"))[1].digest for name in ("one", "two")}
    assert len(digests) == 1
    write(tmp_path / "two", [*clean()[:13], "2013-01-01T12:00:00Z,1,2"], "a.csv")
    digests.add(read_panel(project(tmp_path, source="two/*.csv"))[1].digest)
    assert len(digests) == 2


def test_a_glob_goes_into_folders(tmp_path: Path) -> None:
    for name, lines in (("2013/01", clean()[:20]), ("2013/02", [HEADER, *clean()[20:]])):
        (tmp_path / name).mkdir(parents=True)
        write(tmp_path / name, lines)
    for source in ("**/*.csv", "2013/*/data.csv", "2013/0[12]/d*"):
        assert values(project(tmp_path, source=source)) == [list(pair) for pair in zip(XS, YS, strict=True)]


def test_a_glob_of_one_file_is_that_file(tmp_path: Path) -> None:
    write(tmp_path, [*clean(), "abc,1,2"])
    assert "(first: line 42: 'abc')" in refusal(project(tmp_path, source="*.csv"))


@pytest.mark.parametrize("name", ["data[1].csv", "what?.csv"])
def test_a_file_with_the_signs_of_a_glob_in_its_name_is_that_file(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "plant [2]"
    folder.mkdir()
    write(folder, clean(), name)
    assert len(values(project(folder, source=name))) == COUNT
    assert len(values(project(folder, source="*.csv"))) == COUNT


def test_a_fault_is_told_by_file_and_line(tmp_path: Path) -> None:
    parts(tmp_path)
    lines = clean()
    write(tmp_path, [HEADER, *lines[1:6], "2013-01-01T05:00:00Z,abc,1", *lines[7:14]], "a.csv")
    assert refusal(project(tmp_path, source="*.csv")).endswith("(first: a.csv line 7: 'abc')")
    write(tmp_path, lines[:14], "a.csv")
    parquet(tmp_path, pa.concat_tables([arrow()[26:], arrow(x=[99.0] * COUNT)[30:31]]), "c.csv")
    assert "(first: c.csv row 15, 2013-01-02T06:00:00Z)" in refusal(project(tmp_path, source="*.csv"))


def test_the_bad_file_among_many_is_named(tmp_path: Path) -> None:
    parts(tmp_path)
    (tmp_path / "b.csv").write_bytes(b"\x1f\x8b damaged")
    assert refusal(project(tmp_path, source="*.csv")).startswith(f"{tmp_path / 'b.csv'} is damaged gzip data")


@pytest.mark.parametrize(
    ("header", "column", "which"),
    [("time,x", "'y'", "a.csv"), ("time,x,y,z", "'z'", "b.csv"), ("time,x,x", "'y'", "a.csv")],
)
def test_files_with_different_columns_are_refused(tmp_path: Path, header: str, column: str, which: str) -> None:
    write(tmp_path, clean(), "a.csv")
    write(tmp_path, [header, ",".join(["2013-01-05T00:00:00Z", "1", "2", "3"][: header.count(",") + 1])], "b.csv")
    assert refusal(project(tmp_path, source="*.csv")) == (
        f"{tmp_path / 'a.csv'} and {tmp_path / 'b.csv'} have different headers: column {column} is in "
        f"{tmp_path / which} alone; give all files the same columns, or narrow the glob"
    )


def test_columns_may_stand_in_another_order(tmp_path: Path) -> None:
    lines = clean()
    write(tmp_path, lines[:21], "a.csv")
    swapped = [f"{time},{y},{x}" for time, x, y in (line.split(",") for line in lines[21:])]
    write(tmp_path, ["time,y,x", *swapped], "b.csv")
    assert values(project(tmp_path, source="*.csv")) == [list(pair) for pair in zip(XS, YS, strict=True)]


def test_a_column_of_numbers_in_one_file_and_text_in_another_is_one_column(tmp_path: Path) -> None:
    lines = clean()
    write(tmp_path, [HEADER, *(line.replace("T", " ") for line in lines[1:21])], "a.csv")
    marked = [f"{line.rsplit(',', 1)[0]}, NA " for line in lines[21:23]]
    write(tmp_path, [HEADER, *marked, *lines[23:]], "b.csv")
    said = values(project(tmp_path, source="*.csv"))
    assert [row[0] for row in said] == XS
    assert np.isnan([row[1] for row in said]).sum() == 2


def test_a_glob_that_matches_nothing_says_what_is_there(tmp_path: Path) -> None:
    write(tmp_path, clean(), "weather.txt")
    with pytest.raises(NoSuchSource) as caught:
        read_panel(project(tmp_path, source="*.csv"))
    assert str(caught.value) == (
        f"no file matches {tmp_path}/*.csv; {tmp_path} holds weather.txt; "
        "data.source counts from the folder of the project file"
    )
    with pytest.raises(NoSuchSource, match=f"no file matches .*; {tmp_path} holds weather.txt; "):
        read_panel(project(tmp_path, source="data/*.csv"))


def test_a_folder_is_the_parquet_files_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    parquet(folder, arrow()[:20], "a.parquet")
    parquet(folder, arrow()[20:], "b.parquet")
    write(folder, ["no", "table"], "_SUCCESS")
    assert values(project(tmp_path, source="rows")) == [list(pair) for pair in zip(XS, YS, strict=True)]


def test_too_many_rows_in_all_files_together_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts(tmp_path)
    monkeypatch.setattr(tables, "MOST_ROWS", 39)
    assert refusal(project(tmp_path, source="*.csv")).startswith("all files together has more than 39 rows")


@pytest.mark.parametrize("name", ["data.csv", "data.parquet", "*.csv", "."])
def test_rows_to_forecast_from_may_be_of_any_kind(tmp_path: Path, name: str) -> None:
    write(tmp_path, clean(5))
    parquet(tmp_path, arrow()[:5])
    panel, _ = read_history(project(tmp_path), tmp_path / name)
    assert cells(panel).tolist() == [[x, y] for x, y in zip(XS[:5], YS[:5], strict=True)]


@given(st.binary(max_size=60), st.sampled_from([b"", b"PAR1", b"\x1f\x8b", b"time,x,y\n"]))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes, start: bytes) -> None:
    path = tmp_path_factory.mktemp("bytes") / "data"
    path.write_bytes(start + content)
    with suppress(UnreadableSource):
        assert len(read_files(path, Wanted(["time", "x"], ["time"])).frame) <= 60

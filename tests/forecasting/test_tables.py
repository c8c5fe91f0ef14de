from __future__ import annotations

import gzip
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecasting.columns import Columns
from forecasting.errors import NoSuchSource, UnreadableSource
from forecasting.reading import files, texts
from forecasting.reading.checking import read_values
from forecasting.reading.files import read_files
from forecasting.reading.tables import Table, Wanted

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = b"t,x\na,1\nb,2\n"


def read_table(path: Path, columns: list[str], as_text: tuple[str, ...] = ()) -> Table:
    return read_files(path, Wanted(columns, as_text))


def rows(folder: Path, content: bytes, name: str = "data.csv") -> list[list[object]]:
    path = folder / name
    path.write_bytes(content)
    return read_table(path, ["t", "x"], ("t",)).frame.to_numpy(object).tolist()


def refusal(folder: Path, content: bytes, name: str = "data.csv") -> str:
    """What a file is refused with, less its own path."""
    with pytest.raises(UnreadableSource) as caught:
        rows(folder, content, name)
    return str(caught.value).removeprefix(f"{folder / name} ")


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        b"\xef\xbb\xbf" + PLAIN,
        PLAIN.replace(b"\n", b"\r\n"),
        PLAIN.replace(b",", b";"),
        PLAIN.replace(b",", b"\t"),
        PLAIN.replace(b",", b"|"),
        PLAIN.rstrip(),
        b'"t","x"\n"a","1"\n"b",2\n',
        gzip.compress(PLAIN),
        gzip.compress(PLAIN[:7]) + gzip.compress(PLAIN[7:]),
    ],
    ids=[
        "plain",
        "byte order mark",
        "crlf",
        "semicolon",
        "tab",
        "bar",
        "no last line end",
        "quoted",
        "gzip",
        "2 x gzip",
    ],
)
@pytest.mark.parametrize("name", ["data.csv", "data.csv.gz", "data"])
def test_a_table_is_read_by_its_content_whatever_its_name(tmp_path: Path, content: bytes, name: str) -> None:
    assert rows(tmp_path, content, name) == [["a", 1], ["b", 2]]


def test_rows_are_numbered_by_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b"t,x\na,1\n\nb,2\n")
    frame = read_table(path, ["t", "x"], ("t",)).frame
    assert frame.index.name == "line"
    assert frame.index[frame["t"] == "b"].tolist() == [4]


def test_separators_and_line_ends_in_quotes_belong_to_the_cell(tmp_path: Path) -> None:
    assert rows(tmp_path, b't,x,note\na,1,"one, ""two""\nthree"\nb,2,\n') == [["a", 1], ["b", 2]]


def test_only_wanted_columns_are_kept_and_the_header_knows_all(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b"t, x,rest\na,1,2\n")
    table = read_table(path, ["x", "gone"])
    assert table.header == ("t", " x", "rest")
    assert list(table.frame.columns) == ["x"]


def test_a_missing_file_is_named_with_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "weather.csv.gz").touch()
    with pytest.raises(NoSuchSource) as caught:
        read_table(tmp_path / "weather.csv", ["x"])
    assert str(caught.value) == f"there is no file weather.csv in {tmp_path}; did you mean weather.csv.gz?"


def test_a_missing_file_without_neighbours_is_told_where_paths_start(tmp_path: Path) -> None:
    with pytest.raises(NoSuchSource, match=r"data.source counts from the folder of the project file"):
        read_table(tmp_path / "weather.csv", ["x"])


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoSuchSource, match=f"there is no folder {tmp_path}/data; data.source counts from"):
        read_table(tmp_path / "data" / "weather.csv", ["x"])


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSource, match=r"is a folder without a file \*\.parquet; data.source names a file, or"):
        read_table(tmp_path, ["x"])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty; expected a csv file with a header and rows"),
        (gzip.compress(b"", mtime=0), "is empty; expected a csv file with a header and rows"),
        (b"\n" + PLAIN, "has an empty first line; expected a header of column names"),
        (b"PARE....", "is an encrypted Parquet file; expected csv, csv.gz or Parquet: export it as one of them"),
        (
            b"PK\x03\x04..",
            "is a zip archive or a spreadsheet; expected csv, csv.gz or Parquet: export it as one of them",
        ),
        (PLAIN + b"c,\xff\n", "is not UTF-8 text: line 4 holds the byte 0xff; save it as csv in UTF-8"),
        (PLAIN + b"c,\x00\n", "is not UTF-8 text: line 4 holds the byte 0x00; save it as csv in UTF-8"),
        ("t,x\n".encode("utf-16"), "is not UTF-8 text: line 1 holds the byte 0xff; save it as csv in UTF-8"),
        (PLAIN + b"c,3,4\nd,5\n", "has 3 fields in line 4, and 2 in its header; mend that line"),
        (PLAIN + b"c\n", "has 1 fields in line 4, and 2 in its header; mend that line"),
        (PLAIN + b"c", "has 1 fields in line 4, and 2 in its header; mend that line"),
        (b"t,x\na,1,\nb,2,\n", "has 3 fields in line 2, and 2 in its header; mend that line"),
        (
            PLAIN + b'c,"3\nd,4\n',
            "has no end to line 4; look for a double quote that is opened there and never closed",
        ),
        (
            PLAIN.replace(b"\n", b"\r"),
            "has carriage returns that end no line; save it with line feeds (Unix or Windows line ends)",
        ),
    ],
)
def test_what_is_no_table_is_refused_with_a_reason(tmp_path: Path, content: bytes, sentence: str) -> None:
    assert refusal(tmp_path, content) == sentence


def test_a_cut_gzip_file_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress(PLAIN * 1000)
    assert refusal(tmp_path, packed[:-9]) == (
        "is damaged gzip data (Compressed file ended before the end-of-stream marker was reached); "
        "copy it again from where it came"
    )


def test_a_gzip_file_with_a_changed_byte_is_refused(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(PLAIN * 1000))
    packed[-6] ^= 1
    assert refusal(tmp_path, bytes(packed)).startswith("is damaged gzip data (CRC check failed")


def test_a_first_line_without_end_is_refused_before_it_is_read(tmp_path: Path) -> None:
    assert refusal(tmp_path, b"x" * (1 << 21)) == (
        "has a first line of more than 1,048,576 bytes; expected a header of column names"
    )


def test_a_header_that_is_one_huge_name_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, b"x" * 200_000 + b"\n1\n").startswith("is not a table: field larger than field limit")


def test_a_line_that_never_ends_is_refused_before_all_of_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "_BLOCK", 32)
    assert refusal(tmp_path, PLAIN + b'c,"' + PLAIN * 20).startswith("has no end to line 4;")


def test_a_file_without_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(files, "_read_file", forbidden)
    assert refusal(tmp_path, PLAIN) == "may not be read by this user; change its permissions"


@pytest.mark.parametrize("block", [13, 14, 15, 17, 20, 1000])
def test_the_size_of_the_blocks_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    content = b't,x\r\na,1\r\n"b, ""c""",2\r\n\xc3\xa4,3\r\n'
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    monkeypatch.setattr(texts, "_BLOCK", block)
    assert read_table(path, ["t", "x"], ("t",)).frame["t"].tolist() == ["a", 'b, "c"', "ä"]
    path.write_bytes(content + b"d,4,5\r\n")
    with pytest.raises(UnreadableSource, match="has 3 fields in line 5, and 2 in its header"):
        read_table(path, ["t", "x"])


@given(arrays(np.float32, (12, 2), elements=st.floats(width=32, allow_infinity=False)))
@settings(max_examples=50, deadline=None)
def test_what_pandas_wrote_comes_back_bit_for_bit(tmp_path_factory: pytest.TempPathFactory, values: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("tables") / "data.csv"
    pd.DataFrame(values, columns=["x", "y"]).to_csv(path, index=False)
    back, _ = read_values(read_table(path, ["x", "y"]).frame, Columns(("x", "y")))
    seen = ~np.isnan(values)
    assert np.array_equal(np.isnan(back), ~seen)
    assert np.array_equal(back[seen].view(np.int32), values[seen].view(np.int32))


@given(
    st.integers(0, 60), st.integers(0, 5), st.sampled_from([b",", b"\n", b'"', b"\r", b"\0", b"\xff", b"1e999", b"\t"])
)
@settings(max_examples=60, deadline=None)
def test_a_damaged_file_is_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, at: int, gone: int, wound: bytes
) -> None:
    path = tmp_path_factory.mktemp("tables") / "data.csv"
    content = b't,x\n2013-01-01,1.5\n"2013-01-02",2\n2013-01-03,\n2013-01-04,4\n'
    path.write_bytes(content[:at] + wound + content[at + gone :])
    with suppress(UnreadableSource):
        frame = read_table(path, ["t", "x"], ("t",)).frame
        assert len(frame) <= 5

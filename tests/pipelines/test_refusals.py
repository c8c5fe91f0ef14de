"""What the data report refuses ends a training with words and code 65, and leaves nothing in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
import pytest

from forecasting import reading
from tests.forecasting.csv_files import HEADER, clean, numbers, panel_lines, write
from tests.pipelines.command import Said, gatecast, write_project

if TYPE_CHECKING:
    from pathlib import Path

BERLIN = {"timezone": "Europe/Berlin"}


class Bad(NamedTuple):
    """The lines of a file, the data section that goes with them, and what a person is told to do."""

    lines: list[str]
    advice: str
    data: dict[str, Any] = {}  # noqa: RUF012 - never changed


def _with(at: int, line: str, count: int = 40) -> list[str]:
    lines = clean(count)
    lines[at] = line
    return lines


def _last(cell: str) -> list[str]:
    return [HEADER, *(line.rsplit(",", 1)[0] + f",{cell}" for line in clean()[1:])]


def _autumn() -> list[str]:
    times = pd.date_range("2013-10-26 12:00", periods=39, freq="h")
    return [HEADER, *(f"{time},{numbers(at)}" for at, time in enumerate(times))]


def _other_unit() -> list[str]:
    lines = clean(100)
    return lines[:81] + [f"{line.split(',')[0]},{300 + at},{at % 13}" for at, line in enumerate(lines[81:])]


def _silent() -> list[str]:
    lines = clean()[1:]
    return panel_lines(("a", lines), ("b", [f"{line.split(',')[0]},," for line in lines]))


def _late() -> list[str]:
    """Return rows of which y is observed in the last ten only."""
    rows = [line.rsplit(",", 1) for line in clean()[1:]]
    return [HEADER, *(f"{row},{cell if at >= 30 else ''}" for at, (row, cell) in enumerate(rows))]


def _moving() -> list[str]:
    """Return rows of two series, one of which is somewhere else in its last row."""
    rows = [f"{name},{line},{name}" for name in "ab" for line in clean()[1:]]
    return ["id,time,x,y,place", *rows[:-1], rows[-1].removesuffix("b") + "a"]


BAD = {
    "missing-column": Bad(["time,xx,y", *clean()[1:]], "did you mean 'xx'?"),
    "duplicate-column": Bad(["time,x,x", *clean()[1:]], "keep the one that is meant", {"targets": ["x"]}),
    "empty-table": Bad([HEADER], "give it data"),
    "missing-id": Bad(panel_lines(("a", clean()[1:]), ("", clean()[1:])), "say which series", {"series": "id"}),
    "wrong-type": Bad(_last("abc"), "write numbers, or leave it empty"),
    "infinite": Bad(_with(9, "2013-01-01T08:00:00Z,inf,1"), "leave a cell empty"),
    "unreadable-time": Bad(_with(9, "yesterday,1,1"), "write them as 2013-01-31T06:00:00Z"),
    "mixed-times": Bad(_with(9, "2013-01-01T08:00:00,1,1"), "write all of them with an offset, or none"),
    "missing-hour": Bad(clean(start="2013-03-31", suffix=""), "write times in UTC with Z", BERLIN),
    "ambiguous-hour": Bad(_autumn(), "write times in UTC with Z", BERLIN),
    "duplicate-times": Bad([*clean(), "2013-01-01T07:00:00Z,5,"], "keep the right one"),
    "off-grid": Bad(_with(9, "2013-01-01T08:07:00Z,1,1"), "the step seen most often is 'h'"),
    "absurd-gap": Bad(_with(1, "1900-01-01T00:00:00Z,1,1"), "correct the times or data.freq"),
    "too-short": Bad(clean(20), "give at least 30"),
    "all-missing": Bad(_last(""), "take it out of data.targets, or fill it"),
    "silent-series": Bad(_silent(), "take them out, or fill them", {"series": "id"}),
    "constant": Bad(_last("4.5"), "take it out of data.targets"),
    "unlearnt": Bad(_late(), "move backtest.split, or take it out of data.targets"),
    "out-of-bounds": Bad(clean(), "correct data.transform.x", {"transform": {"x": {"bounds": [5, 20]}}}),
    "not-integer": Bad(
        _with(9, "2013-01-01T08:00:00Z,0.5,1"),
        "take integer out of data.transform.x",
        {"transform": {"x": {"integer": True}}},
    ),
    "static-changes": Bad(_moving(), "correct it, or name it in data.past", {"series": "id", "static": ["place"]}),
    "unit-change": Bad(_other_unit(), "mend the source"),
}


@pytest.mark.parametrize("code", BAD)
def test_what_the_report_refuses_ends_training_before_anything_is_recorded(tmp_path: Path, code: str) -> None:
    bad = BAD[code]
    write(tmp_path, bad.lines)
    said = train(tmp_path, **bad.data)
    assert said.code == 65
    assert f"gatecast: {code}: " in said.err
    assert bad.advice in said.err
    nothing_but_words(said, tmp_path)


def test_every_refusal_of_the_report_is_tried_here() -> None:
    assert refusing_rules() == set(BAD)


def refusing_rules() -> set[str]:
    """Read the table of rules, whose second and third columns are code and action; without a code it is the last."""
    refusing, code = set(), ""
    for line in (reading.__doc__ or "").splitlines():
        code = line[13:32].strip() or code
        if line[32:42].strip() == "refused":
            refusing.add(code)
    return refusing


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (b"", "expected a csv file with a header and rows"),
        (b"PAR1....", "is damaged Parquet data"),
        (b"\x1f\x8b\x08\x00 broken", "damaged gzip data"),
        (b"time,x,y\n2013,1,2,3\n", "mend that line"),
        (b"time,x,y\n\xff,1,2\n", "save it as csv in UTF-8"),
    ],
)
def test_what_is_no_table_ends_training_too(tmp_path: Path, content: bytes, advice: str) -> None:
    (tmp_path / "data.csv").write_bytes(content)
    said = train(tmp_path)
    assert said.code == 65
    assert advice in said.err
    nothing_but_words(said, tmp_path)


def test_a_missing_file_has_a_code_of_its_own(tmp_path: Path) -> None:
    write(tmp_path, clean(), "date.csv")
    said = train(tmp_path)
    assert said.code == 66
    assert "did you mean date.csv?" in said.err
    nothing_but_words(said, tmp_path)


def test_several_faults_are_told_at_once(tmp_path: Path) -> None:
    write(tmp_path, [*_with(9, "2013-01-01T08:00:00Z,inf,1"), "soon,1,abc"])
    said = train(tmp_path)
    assert [code for code in BAD if f"{code}: " in said.err] == ["wrong-type", "infinite", "unreadable-time"]


def train(folder: Path, **data: object) -> Said:
    return gatecast(folder / "home", "train", write_project(folder, **data), "--json")


def nothing_but_words(said: Said, folder: Path) -> None:
    assert said.out == ""
    assert "Traceback" not in said.err
    assert not (folder / "home" / "mlflow.db").exists()

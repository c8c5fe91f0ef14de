from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.columns import Columns
from forecasting.reading import panel_from_frame, read_history, read_panel
from tests.forecasting.csv_files import cells, clean, findings, project, write

if TYPE_CHECKING:
    from forecasting.series import Panel

ROLES = {"targets": ["x"], "past": ["y"], "known": ["k"]}
PANEL = {"targets": ["x", "y"], "series": "id", "static": ["s"]}


def with_known(lines: list[str], *values: str) -> list[str]:
    """Append a column k; the values come round."""
    return [f"{lines[0]},k", *(f"{line},{values[at % len(values)]}" for at, line in enumerate(lines[1:]))]


def ahead(first: int, count: int) -> list[str]:
    """Rows of known values alone, behind the observed ones."""
    times = pd.date_range("2013-01-01", periods=first + count, freq="h")[first:]
    return [f"{time.isoformat()}Z,,,{at % 5}" for at, time in enumerate(times)]


def with_static(*cells_by_series: list[str]) -> list[str]:
    """A panel of series a, b, ... with a column s; the cells of each come round."""
    parts = zip("abcdef", cells_by_series, strict=False)
    rows = [f"{name},{line},{given[at % len(given)]}" for name, given in parts for at, line in enumerate(clean()[1:])]
    return ["id,time,x,y,s", *rows]


def statics(folder: Path, lines: list[str], **data: object) -> list[object]:
    write(folder, lines)
    panel, _ = read_panel(project(folder, **PANEL, **data))
    return [one.static["s"] for one in panel]


def test_a_row_holds_targets_past_and_known_in_this_order(tmp_path: Path) -> None:
    assert findings(tmp_path, with_known(clean(), "1", "2"), **ROLES) == []
    panel, _ = read_panel(project(tmp_path, targets=["k"], past=["y"], known=["x"]))
    assert panel.columns == Columns(("k",), ("y",), ("x",))
    assert cells(panel)[:3].tolist() == [[1, 0, 0], [2, 5, 7], [1, 10, 3]]


@pytest.mark.parametrize(
    "flags", [("true", "false"), ("True", "False"), ("TRUE", "false", ""), ("1", "0"), ("true", "0", "NA")]
)
def test_flags_of_covariates_are_1_and_0(tmp_path: Path, flags: tuple[str, ...]) -> None:
    write(tmp_path, with_known(clean(), *flags))
    panel, _ = read_panel(project(tmp_path, **ROLES))
    expected = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0}
    told = [expected.get(flag.lower(), np.nan) for flag in flags]
    np.testing.assert_array_equal(cells(panel)[: len(flags), 2], told)


def test_a_covariate_that_is_no_number_is_refused(tmp_path: Path) -> None:
    assert findings(tmp_path, with_known(clean(), "1", "yes"), **ROLES) == [
        "refused wrong-type: no number in 20 cells of 'k'; write numbers, or leave it empty (first: line 3: 'yes')"
    ]


@pytest.mark.parametrize("gone", ["y", "k"])
def test_a_covariate_that_is_not_there_is_refused(tmp_path: Path, gone: str) -> None:
    lines = with_known(clean(), "1", "2")
    lines[0] = lines[0].replace(gone, "z")
    (finding,) = findings(tmp_path, lines, **ROLES)
    assert finding.startswith(f"refused missing-column: there is no column {gone!r} among")


def test_missing_cells_of_covariates_are_noted_by_role(tmp_path: Path) -> None:
    lines = with_known(clean(), "1", "2", "3", "")
    lines[7] = "2013-01-01T06:00:00Z,1,,3"
    assert findings(tmp_path, lines, **ROLES) == [
        "noted missing-cells: 1 missing cell in 'y', 2.5% of its rows",
        (
            "noted missing-known: 10 missing cells in 'k', 25.0% of its rows; "
            "what is known in advance should be there for every one"
        ),
    ]


def test_a_covariate_that_never_changes_is_noted_and_one_without_a_number_refused(tmp_path: Path) -> None:
    lines = with_known(clean(), "1")
    assert findings(tmp_path, lines, **ROLES) == [
        "noted constant: 'k' is 1 wherever it is observed: it says nothing; better take it out of data.known"
    ]
    lines = [",".join([*line.split(",")[:2], "", "7"]) if at else line for at, line in enumerate(lines)]
    assert findings(tmp_path, lines, targets=["x"], past=["y"])[1:] == [
        "refused all-missing: no cell of 'y' holds a number; take it out of data.past, or fill it"
    ]


def test_a_series_is_silent_without_targets_whatever_its_covariates_say(tmp_path: Path) -> None:
    silent = [f"{line.split(',')[0]},,{at % 7}" for at, line in enumerate(clean()[1:])]
    lines = ["id,time,x,y", *(f"a,{line}" for line in clean()[1:]), *(f"b,{line}" for line in silent)]
    assert findings(tmp_path, lines, targets=["x"], known=["y"], series="id")[1:] == [
        "refused silent-series: 1 series without a single number in any target; take them out, or fill them (first: b)"
    ]


def test_a_target_that_training_rows_never_show_is_refused(tmp_path: Path) -> None:
    lines = [f"{line.split(',')[0]},,{at % 7}" if 0 < at < 31 else line for at, line in enumerate(clean())]
    assert findings(tmp_path, lines)[-1] == (
        "refused unlearnt: no cell of 'x' before 2013-01-02T04:00:00Z holds a number: nothing to learn from; "
        "move backtest.split, or take it out of data.targets"
    )


def test_rows_of_known_values_alone_are_kept_to_forecast_from_and_not_learnt_from(tmp_path: Path) -> None:
    path = write(tmp_path, [*with_known(clean(), "1", "2"), *ahead(40, 400)])
    of = project(tmp_path, **ROLES)
    learnt, report = read_panel(of)
    assert [len(one) for one in learnt] == [40]
    assert report.findings[-1].sentence == (
        "future-rows: 400 time steps behind the last one with more than known covariates; not learnt from"
    )
    (one,) = read_history(of, path)[0]
    assert len(one) == 440
    assert np.isnan(one.values[40:, :2]).all()
    assert not np.isnan(one.values[:, 2]).any()


def test_a_series_that_ends_early_keeps_its_known_rows_up_to_the_end_of_the_others(tmp_path: Path) -> None:
    rows = with_known(clean(), "1", "2")[1:]
    early = rows[:30] + ahead(30, 20)
    lines = ["id,time,x,y,k", *(f"a,{line}" for line in rows), *(f"b,{line}" for line in early)]
    write(tmp_path, lines)
    panel, _ = read_panel(project(tmp_path, **ROLES, series="id"))
    assert [len(one) for one in panel] == [40, 40]


def test_rows_without_a_value_at_the_end_stay_where_nothing_is_known_in_advance(tmp_path: Path) -> None:
    write(tmp_path, [*clean(), "2013-01-02T16:00:00Z,,"])
    panel, report = read_panel(project(tmp_path))
    assert len(panel.series[0]) == 41
    assert "future-rows" not in [finding.code for finding in report.findings]


def test_a_rare_event_known_in_advance_is_no_spike_and_one_of_the_past_is(tmp_path: Path) -> None:
    lines = with_known(clean(100), "0", "1")
    lines[31] = "2013-01-02T06:00:00Z,1,1048.3,1048.3"
    (finding,) = findings(tmp_path, lines, **ROLES)
    assert finding.startswith("repaired implausible: 1 cell of 'y' in series 'all' outside ")
    one = cells(read_panel(project(tmp_path, **ROLES))[0])[30]
    np.testing.assert_array_equal(one, np.float32([1, np.nan, 1048.3]))


@pytest.mark.parametrize(("again", "code"), [("1", "repaired duplicate-rows"), ("2", "refused duplicate-times")])
def test_a_repeated_row_is_compared_with_its_covariates(tmp_path: Path, again: str, code: str) -> None:
    lines = with_known(clean(), "1", "2")
    lines[10:10] = [f"{lines[9].rsplit(',', 1)[0]},{again}"]
    assert [finding.split(":")[0] for finding in findings(tmp_path, lines, **ROLES)][-1:] == [code]


# Static columns


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((["3"], ["4.5"]), [3.0, 4.5]),
        ((["north"], ["south"]), ["north", "south"]),
        (([" north ", "north"], ["south"]), ["north", "south"]),
        ((["7"], ["b"]), ["7", "b"]),
        ((["", "3", "NA"], ["4"]), [3.0, 4.0]),
        ((["true"], ["false"]), ["True", "False"]),
    ],
)
def test_a_static_column_is_one_value_a_series(tmp_path: Path, given: tuple[list[str], ...], expected: object) -> None:
    assert statics(tmp_path, with_static(*given)) == expected


def test_numbers_named_in_categorical_are_categories_as_they_are_written(tmp_path: Path) -> None:
    assert statics(tmp_path, with_static(["007"], ["7"], ["7.0"]), categorical=["s"]) == ["007", "7", "7.0"]


def test_a_series_without_a_static_value_is_noted(tmp_path: Path) -> None:
    lines = with_static(["3"], [""], ["-"])
    assert findings(tmp_path, lines, **PANEL) == [
        "noted missing-static: no value of 's' in 2 series; read as unknown (first: b)"
    ]
    assert statics(tmp_path, lines) == [3.0, None, None]


def test_a_static_column_that_changes_is_refused_at_its_first_place(tmp_path: Path) -> None:
    lines = with_static(["3"], ["4"])
    lines[60] = lines[60].removesuffix("4") + "5"
    assert findings(tmp_path, lines, **PANEL) == [
        (
            "refused static-changes: 1 cell of 's' unlike the first of the same series; "
            "a static column holds one value a series: correct it, or name it in data.past or data.known "
            "(first: line 61: '5')"
        )
    ]


def test_a_static_column_that_says_nothing_is_noted_and_an_empty_one_refused(tmp_path: Path) -> None:
    assert findings(tmp_path, with_static(["3"], ["3"]), **PANEL) == [
        "noted constant: 's' is 3.0 wherever it is observed: it says nothing; better take it out of data.static"
    ]
    assert findings(tmp_path, with_static([""], ["NA"]), **PANEL)[1:] == [
        "refused all-missing: no cell of 's' holds a value; take it out of data.static, or fill it"
    ]


def test_an_infinite_static_number_is_refused(tmp_path: Path) -> None:
    (finding,) = findings(tmp_path, with_static(["3"], ["inf"]), **PANEL)
    assert finding.startswith("refused infinite: infinity, or more than float32 holds (3.4e38), in 40 cells of 's'")


def test_a_history_of_one_series_has_its_static_value_and_no_judgement(tmp_path: Path) -> None:
    path = write(tmp_path, with_static(["north"])[:4], "recent.csv")
    panel, report = read_history(project(tmp_path, **PANEL), path)
    assert [one.static for one in panel] == [{"s": "north"}]
    assert report.findings == ()


def test_a_missing_id_and_a_static_column_are_told_together(tmp_path: Path) -> None:
    lines = with_static(["3"], ["4"])
    lines[5] = lines[5].removeprefix("a")
    assert [finding.split(":")[0] for finding in findings(tmp_path, lines, **PANEL)] == ["refused missing-id"]


# Limits of data.transform


@pytest.mark.parametrize("nature", ["log1p", {"bounds": [0, 99]}, {"log1p": True, "bounds": [-9, 99]}])
def test_a_few_cells_outside_the_limits_are_read_as_missing(tmp_path: Path, nature: object) -> None:
    lines = clean()
    lines[8], lines[9] = "2013-01-01T07:00:00Z,-1,1", "2013-01-01T08:00:00Z,-2.5,1"
    (finding,) = findings(tmp_path, lines, transform={"x": nature})
    assert finding.startswith("repaired out-of-bounds: 2 cells of 'x' outside [0, ")
    assert finding.endswith("the limits that data.transform sets; read as missing (first: line 9: -1)")
    values = cells(read_panel(project(tmp_path, transform={"x": nature}))[0])
    assert np.flatnonzero(np.isnan(values[:, 0])).tolist() == [7, 8]
    assert not np.isnan(values[:, 1]).any()


def test_many_cells_outside_the_limits_are_refused(tmp_path: Path) -> None:
    assert findings(tmp_path, clean(), transform={"x": {"bounds": [1, 9]}}) == [
        (
            "refused out-of-bounds: 8 cells of 'x' outside [1, 9], the limits that data.transform sets; "
            "that is 20.0% of its cells; correct data.transform.x, or mend the source (first: line 2: 0)"
        )
    ]


def test_a_share_of_one_in_a_hundred_is_few(tmp_path: Path) -> None:
    lines = [f"{line.rsplit(',', 1)[0]},{1 if at > 9 else -1}" if at else line for at, line in enumerate(clean(1000))]
    lines[500] = f"{lines[500].rsplit(',', 1)[0]},2"
    few = findings(tmp_path, lines, transform={"y": "log1p"})
    many = findings(tmp_path, lines[:700], transform={"y": "log1p"})
    assert [found[0].split(":")[0] for found in (few, many)] == ["repaired out-of-bounds", "refused out-of-bounds"]


def test_the_bound_itself_is_inside_though_float32_rounds_it(tmp_path: Path) -> None:
    lines = [f"{line.rsplit(',', 1)[0]},{at % 2 / 10}" if at else line for at, line in enumerate(clean())]
    assert findings(tmp_path, lines, transform={"y": {"bounds": [0, 0.1]}}) == []


def test_a_fraction_in_a_column_of_whole_numbers_is_refused(tmp_path: Path) -> None:
    lines = clean()
    lines[8] = "2013-01-01T07:00:00Z,0.5,1"
    assert findings(tmp_path, lines, transform={"x": {"integer": True}}) == [
        (
            "refused not-integer: no whole number in 1 cell of 'x', which data.transform says are; "
            "take integer out of data.transform.x, or mend the source (first: line 9: 0.5)"
        )
    ]


def test_known_covariates_have_limits_too(tmp_path: Path) -> None:
    lines = with_known(clean(), "1", "2")
    lines[8] = "2013-01-01T07:00:00Z,1,1,-3"
    (finding,) = findings(tmp_path, lines, **ROLES, transform={"k": "log1p"})
    assert finding.startswith("repaired out-of-bounds: 1 cell of 'k' outside [0, none]")


def test_limits_hold_for_rows_to_forecast_from(tmp_path: Path) -> None:
    path = write(tmp_path, [*clean(3), "2013-01-01T03:00:00Z,-1,1"])
    panel, report = read_history(project(tmp_path, transform={"x": "log1p"}), path)
    assert np.isnan(cells(panel)[3, 0])
    assert [finding.code for finding in report.findings] == ["out-of-bounds"]


def shuffled(order: list[int]) -> Panel:
    rows = pd.DataFrame(
        {
            "time": [f"2013-01-01T{at % 24:02}:{at // 24 * 30:02}:00Z" for at in range(48)] * 2,
            "id": ["a"] * 48 + ["b"] * 48,
            "x": np.arange(96) * 7 % 11,
            "k": np.arange(96) * 5 % 13 < 6,
            "s": ["north", None] * 24 + [None, "south"] * 24,
        }
    )
    of = project(Path(), targets=["x"], known=["k"], static=["s"], series="id", freq="30min")
    return panel_from_frame(rows.iloc[order], of)[0]


@given(st.permutations(range(96)))
@settings(max_examples=20, deadline=None)
def test_the_order_of_rows_changes_no_covariate(order: list[int]) -> None:
    for ours, theirs in zip(shuffled(order), shuffled(list(range(96))), strict=True):
        assert ours.static == theirs.static
        np.testing.assert_array_equal(ours.values, theirs.values)

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pytest

from tests.pipelines.command import gatecast, write_project, write_rows

if TYPE_CHECKING:
    from pathlib import Path

    from tests.pipelines.conftest import Shop


def test_a_file_goes_in_and_a_file_comes_out(shop: Shop, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    said = gatecast(shop.home, "forecast", shop.data, "-p", shop.project, "-o", out)
    table = pd.read_csv(out)
    assert said.out == f"2 rows written to {out}\n"
    assert list(table.columns) == ["timestamp", "step", "x", "y", "x-median", "y-median"]
    assert table["timestamp"].tolist() == ["2024-01-26T00:00:00Z", "2024-01-26T01:00:00Z"]


def test_without_a_file_to_write_the_table_is_all_that_is_on_standard_output(shop: Shop) -> None:
    said = gatecast(shop.home, "forecast", shop.data, "-p", shop.project)
    rows = gatecast(shop.home, "forecast", shop.data, "-p", shop.project, "--json").json
    assert said.out.splitlines()[0] == ",".join(rows[0])
    assert len(said.out.splitlines()) == 1 + len(rows)


def test_an_old_row_more_or_less_makes_no_difference_beyond_rounding(shop: Shop, tmp_path: Path) -> None:
    rows = pd.read_csv(shop.data)
    rows[100:].to_csv(tmp_path / "newest.csv", index=False)
    whole = gatecast(shop.home, "forecast", shop.data, "-p", shop.project, "--json").json
    newest = gatecast(shop.home, "forecast", tmp_path / "newest.csv", "-p", shop.project, "--json").json
    for left, right in zip(whole, newest, strict=True):
        assert [left[name] for name in "xy"] == pytest.approx([right[name] for name in "xy"], rel=1e-4)


def test_too_few_rows_are_forecast_from_with_a_caution(shop: Shop, tmp_path: Path) -> None:
    pd.read_csv(shop.data)[-3:].to_csv(tmp_path / "few.csv", index=False)
    said = gatecast(shop.home, "forecast", tmp_path / "few.csv", "-p", shop.project)
    assert said.code == 0
    assert "short-window: 3 rows came" in said.err
    assert "short-window" not in said.out


@pytest.mark.parametrize("name", ["nosuch.csv", "."])
def test_what_is_no_file_is_told(shop: Shop, tmp_path: Path, name: str) -> None:
    said = gatecast(shop.home, "forecast", tmp_path / name, "-p", shop.project)
    assert said.code == 66
    assert "give a csv or csv.gz file with the columns of the project" in said.err


def test_a_project_of_other_targets_is_told(shop: Shop, tmp_path: Path) -> None:
    project = write_project(tmp_path, targets=["y"])
    said = gatecast(shop.home, "forecast", shop.data, "-p", project)
    assert said.code == 65
    assert "the project's targets are y; the model forecasts x, y" in said.err


def test_a_backtest_on_a_project_of_other_targets_is_told(shop: Shop, tmp_path: Path) -> None:
    project = write_project(tmp_path, targets=["y"], source=str(shop.data))
    said = gatecast(shop.home, "backtest", project)
    assert said.code == 65
    assert "version 1 forecasts x, y every h; the project has y every h" in said.err


def test_a_folder_that_is_no_bundle_is_told(shop: Shop, tmp_path: Path) -> None:
    said = gatecast(shop.home, "forecast", shop.data, "-p", shop.project, "--bundle", tmp_path)
    assert said.code == 65
    assert "is no whole bundle" in said.err


def test_a_folder_that_cannot_be_written_is_told(shop: Shop, tmp_path: Path) -> None:
    said = gatecast(shop.home, "forecast", shop.data, "-p", shop.project, "-o", tmp_path / "no" / "out.csv")
    assert said.code == 74
    assert "non-existent directory" in said.err


def test_rows_without_the_columns_of_the_project_are_told(shop: Shop, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.csv", [pd.Series([1.0]), pd.Series([2.0])])
    text = (tmp_path / "rows.csv").read_text().replace("time,x,y", "time,x,z")
    (tmp_path / "rows.csv").write_text(text)
    said = gatecast(shop.home, "forecast", tmp_path / "rows.csv", "-p", shop.project)
    assert said.code == 65
    assert "missing-column" in said.err

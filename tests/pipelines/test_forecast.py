from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from forecasting.bundle import save_bundle
from forecasting.calendar import nanoseconds
from forecasting.prediction import Window, forecast
from tests.bundles import make_rich_bundle
from tests.pipelines.command import Said, gatecast, write_project, write_rows

if TYPE_CHECKING:
    from pathlib import Path

    from tests.pipelines.conftest import Shop

ROW = ["a", "b", "rain", "price", "holiday"]


def test_a_file_goes_in_and_a_file_comes_out(shop: Shop, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    said = gatecast(shop.home, "forecast", shop.data, "-p", shop.project, "-o", out)
    table = pd.read_csv(out)
    assert said.out == f"2 rows written to {out}\n"
    ends = ["x-lo-90", "x-hi-90", "y-lo-90", "y-hi-90"]
    assert list(table.columns) == ["timestamp", "step", "x", "y", "x-median", "y-median", *ends]
    assert (table["x-lo-90"] < table["x-median"]).all()
    assert (table["x-median"] < table["x-hi-90"]).all()
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
    assert "give one with the columns of the project, as csv, csv.gz or Parquet" in said.err


def test_a_project_of_other_targets_is_told(shop: Shop, tmp_path: Path) -> None:
    project = write_project(tmp_path, targets=["y"])
    said = gatecast(shop.home, "forecast", shop.data, "-p", project)
    assert said.code == 65
    assert "data.targets of the project is y; the model has x, y: use the project it was trained with" in said.err


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


def test_levels_are_asked_for_by_commas(shop: Shop) -> None:
    rows = gatecast(shop.home, "forecast", shop.data, "-p", shop.project, "--json", "--levels", "95,80").json
    assert [name for name in rows[0] if name.startswith("x-")] == [
        "x-median", "x-lo-95", "x-hi-95", "x-lo-80", "x-hi-80",
    ]  # fmt: skip


@pytest.mark.parametrize("levels", ["", "90;95", "90.5", "ninety", "100", "90,"])
def test_what_is_no_list_of_levels_is_wrong_usage(shop: Shop, levels: str) -> None:
    said = gatecast(shop.home, "forecast", shop.data, "-p", shop.project, "--levels", levels)
    assert said.code == 2
    assert "give whole percents as in 80,90,95" in said.err


def test_a_level_that_is_not_calibrated_is_told(shop: Shop) -> None:
    said = gatecast(shop.home, "forecast", shop.data, "-p", shop.project, "--levels", "85")
    assert said.code == 65
    assert "level 85 is not calibrated; this model has 80, 90, 95" in said.err


class TestCovariates:
    @pytest.fixture
    def project(self, tmp_path: Path) -> Path:
        save_bundle(make_rich_bundle(), tmp_path / "bundle")
        return write_project(
            tmp_path, targets=["a", "b"], past=["rain"], known=["price", "holiday"], static=["size", "region"],
            series="series", categorical=["region"],
        )  # fmt: skip

    def forecast(self, project: Path, table: pd.DataFrame, *options: object) -> Said:
        table.to_csv(project.with_name("rows.csv"), index=False)
        folder = project.with_name("bundle")
        return gatecast(
            project.parent, "forecast", project.with_name("rows.csv"), "-p", project, "--bundle", folder, *options
        )

    def test_behind_the_last_target_are_of_the_steps_to_come(self, project: Path) -> None:
        whole = pd.concat([rows("north", 9, 2), rows("south", 7, 5)])
        said = self.forecast(project, whole, "--json")
        assert said.code == 0, said.err
        assert [(row["series"], row["timestamp"][11:13]) for row in said.json] == [
            ("north", "09"), ("north", "10"), ("south", "07"), ("south", "08"),
        ]  # fmt: skip
        alone = whole.query("series == 'north'")
        window = Window(
            alone[ROW].to_numpy(np.float32)[:9],
            nanoseconds(pd.DatetimeIndex(alone["time"][:9])),
            "north",
            alone[["price", "holiday"]].to_numpy(np.float32)[9:],
        )
        expected = forecast(make_rich_bundle(), window)
        np.testing.assert_allclose([[row["a"], row["b"]] for row in said.json[:2]], expected.point, rtol=1e-5)

    def test_of_the_steps_behind_the_horizon_make_no_difference(self, project: Path) -> None:
        longer = rows("north", 9, 6)
        shorter = self.forecast(project, longer[:11], "--json").json
        assert self.forecast(project, longer, "--json").json == shorter

    def test_of_too_few_steps_are_told_with_series_and_number(self, project: Path) -> None:
        said = self.forecast(project, pd.concat([rows("north", 9, 2), rows("south", 9, 1)]))
        assert said.code == 65
        assert "series south: 1 rows of known covariates follow the last row with a target" in said.err
        assert "this model needs 2, one a step to come, with price, holiday" in said.err

    def test_of_a_new_series_are_used_and_it_is_said_to_be_new(self, project: Path) -> None:
        said = self.forecast(project, rows("west", 9, 2).assign(region="moon"))
        assert said.code == 0
        assert "west: unknown-series" in said.err
        assert "west: unknown-static: no value of region that training saw" in said.err

    def test_of_another_project_are_told(self, project: Path, tmp_path: Path) -> None:
        other = write_project(tmp_path, "other", targets=["a", "b"], known=["price", "holiday"], past=["snow"])
        said = self.forecast(project, rows("north", 9, 2), "-p", other)
        assert said.code == 65
        assert "data.past of the project is snow; the model has rain" in said.err


def rows(series: str, observed: int, behind: int) -> pd.DataFrame:
    """Draw hourly rows of one series, the last of them with known covariates alone."""
    draw, count = np.random.default_rng(1), observed + behind
    table = pd.DataFrame(draw.uniform(0, 9, size=(count, 5)).round(), columns=ROW)
    table.loc[observed:, ["a", "b", "rain"]] = np.nan
    table.insert(0, "time", pd.date_range("2024-01-01", periods=count, freq="h", tz="UTC"))
    return table.assign(series=series, size=4.0, region="coast")

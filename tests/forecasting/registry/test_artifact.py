"""A model with covariates of every kind as mlflow itself loads it, without a store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from mlflow.models import Model

from forecasting.bundle import Bundle, save_bundle
from forecasting.calendar import nanoseconds
from forecasting.errors import WindowRejected
from forecasting.prediction import Window, forecast
from forecasting.registry.artifact import write_artifact
from tests.bundles import make_bundle, make_rich_bundle

ROW = ["a", "b", "rain", "price", "holiday"]


def frame(rows: int = 10, behind: int = 2, **static: Any) -> pd.DataFrame:
    """Draw rows, the last of them with known covariates alone."""
    draw = np.random.default_rng(0)
    drawn = draw.uniform([0, 0, 0, 20, 0], [20, 9, 3, 40, 1], size=(rows + behind, 5)).round(1)
    drawn[rows:, :3] = np.nan
    times = pd.date_range("2024-03-01", periods=rows + behind, freq="h", tz="UTC")
    return pd.DataFrame(drawn, index=times, columns=ROW).assign(series="north", **static)


def written(folder: Path, bundle: Bundle, example: pd.DataFrame) -> Path:
    save_bundle(bundle, folder / "bundle")
    write_artifact(folder / "artifact", folder / "bundle", bundle.spec, example, Model())
    return folder / "artifact"


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("rich"), make_rich_bundle(), frame(size=4.0, region="coast"))


@pytest.fixture(scope="module")
def model(artifact: Path) -> mlflow.pyfunc.PyFuncModel:
    return mlflow.pyfunc.load_model(str(artifact))


def test_what_goes_in_and_out_is_said(artifact: Path) -> None:
    signature = Model.load(str(artifact)).signature
    assert signature.inputs.input_names() == ["timestamp", "series", *ROW, "size", "region"]
    assert signature.inputs.required_input_names() == ROW
    ends = ["a-lo-90", "a-hi-90", "b-lo-90", "b-hi-90"]
    assert signature.outputs.input_names() == ["series", "timestamp", "step", "a", "b", "a-median", "b-median", *ends]
    assert [(one.name, one.default) for one in signature.params.params] == [("levels", [90])]
    example = json.loads((artifact / "input_example.json").read_bytes())
    assert example["columns"] == ["timestamp", *ROW, "series", "size", "region"]


def test_rows_behind_the_last_target_are_the_known_future(model: mlflow.pyfunc.PyFuncModel) -> None:
    rows = frame()
    values = rows[ROW].to_numpy(np.float32)
    expected = forecast(make_rich_bundle(), Window(values[:10], nanoseconds(rows.index[:10]), "north", values[10:, 3:]))
    answer = model.predict(rows)
    assert list(answer["timestamp"]) == list(rows.index[10:])
    np.testing.assert_array_equal(answer[["a", "b"]].to_numpy(), expected.point)
    np.testing.assert_array_equal(answer[["a-lo-90", "b-lo-90"]].to_numpy(), expected.intervals[90].low)


def test_levels_can_be_asked_for(model: mlflow.pyfunc.PyFuncModel) -> None:
    answer = model.predict(frame(), params={"levels": [80, 95]})
    assert [name for name in answer if name.startswith("a-lo")] == ["a-lo-80", "a-lo-95"]
    assert (answer["a-lo-95"] <= answer["a-lo-80"]).all()
    with pytest.raises(WindowRejected, match="level 85 is not calibrated"):
        model.predict(frame(), params={"levels": [85]})


def test_static_columns_may_be_left_out_and_given(model: mlflow.pyfunc.PyFuncModel) -> None:
    pd.testing.assert_frame_equal(model.predict(frame(size=4.0, region="coast")), model.predict(frame()))
    other = model.predict(frame(size=9, region="hill"))
    assert (other["a"] != model.predict(frame())["a"]).all()
    with pytest.warns(UserWarning, match="no value of region that training saw"):
        model.predict(frame(region="moon"))


def test_too_few_known_rows_are_told(model: mlflow.pyfunc.PyFuncModel) -> None:
    with pytest.raises(WindowRejected, match="1 rows of known covariates follow the last row with a target"):
        model.predict(frame(behind=1))


@pytest.mark.filterwarnings("ignore:.*look back on 6:UserWarning")
def test_a_model_without_calibration_has_no_levels(tmp_path: Path) -> None:
    rows = pd.DataFrame({"a": [10.0], "b": [1000.0], "series": ["north"]}, index=pd.DatetimeIndex(["2024-03-01T00Z"]))
    model = mlflow.pyfunc.load_model(str(written(tmp_path, make_bundle(calibration=None), rows)))
    assert list(model.predict(rows).columns) == ["series", "timestamp", "step", "a", "b", "a-median", "b-median"]

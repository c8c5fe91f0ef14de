"""A registered version as mlflow itself loads it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest

from forecasting.bundle import Bundle
from forecasting.errors import WindowRejected
from forecasting.prediction import WindowForecast, forecast
from forecasting.registry import ModelVersion, Registry
from tests.forecasting.registry.examples import artifact_of, frame, window

ROOT = Path(__file__).parents[3]
COLUMNS = ["a", "b", "a-median", "b-median", "a-lo-90", "a-hi-90", "b-lo-90", "b-hi-90"]


def numbers(expected: WindowForecast) -> np.ndarray:
    """Return a forecast in the order of the columns."""
    (a, b), (c, d) = expected.intervals[90].low.T, expected.intervals[90].high.T
    return np.column_stack([expected.point, expected.median, a, c, b, d])


class TestPyfunc:
    def test_loads_and_predicts_in_a_fresh_process_without_a_word(
        self, registry: Registry, register: Callable[[], ModelVersion], tiny_bundle: Bundle, tmp_path: Path
    ) -> None:
        registry.promote(register(), {})
        rows = frame()
        rows.to_json(tmp_path / "rows.json", orient="split", date_format="iso", date_unit="ns", double_precision=15)
        code = (
            "import mlflow, pandas, sys\n"
            "rows = pandas.read_json(sys.argv[1], orient='split', convert_axes=False)\n"
            "rows.index = pandas.to_datetime(rows.index, utc=True)\n"
            "answer = mlflow.pyfunc.load_model('models:/tiny@production').predict(rows)\n"
            "print(answer.to_json(orient='split', date_format='iso', double_precision=15))"
        )
        settings = {"MLFLOW_TRACKING_URI": registry.uri, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "rows.json")],
            env={**os.environ, **settings, "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        told = json.loads(done.stdout)
        said = told["data"]
        assert told["columns"] == ["series", "timestamp", "step", *COLUMNS]
        assert [row[1] for row in said] == ["2024-03-01T12:00:00.000Z", "2024-03-01T13:00:00.000Z"]
        assert [(row[0], row[2]) for row in said] == [("north", 1), ("north", 2)]
        expected = numbers(forecast(tiny_bundle, window(rows)))
        np.testing.assert_allclose(np.array([row[3:] for row in said]), expected, rtol=1e-6)

    def test_takes_times_in_every_usual_form(self, home: Path, register: Callable[[], ModelVersion]) -> None:
        register()
        model = mlflow.pyfunc.load_model(str(artifact_of(home)))
        rows = frame()
        column = rows.reset_index(names="timestamp")
        naive = column.assign(timestamp=column["timestamp"].dt.tz_localize(None))
        local = column.assign(timestamp=column["timestamp"].dt.tz_convert("Asia/Tokyo"))
        text = column.assign(timestamp=[one.isoformat() for one in rows.index])
        answer = model.predict(rows)
        assert list(answer["timestamp"]) == list(pd.date_range("2024-03-01T12:00Z", periods=2, freq="h"))
        for same in (column, naive, local, text):
            pd.testing.assert_frame_equal(model.predict(same), answer)

    def test_forecasts_each_series_by_itself(
        self, home: Path, register: Callable[[], ModelVersion], tiny_bundle: Bundle
    ) -> None:
        register()
        model = mlflow.pyfunc.load_model(str(artifact_of(home)))
        south = frame(rows=9, seed=2, series="south")
        answer = model.predict(pd.concat([frame(), south]))
        assert list(answer["series"]) == ["north", "north", "south", "south"]
        assert list(answer["step"]) == [1, 2, 1, 2]
        for place, rows in enumerate((frame(), south)):
            block = answer[COLUMNS].to_numpy()[2 * place : 2 * place + 2]
            np.testing.assert_array_equal(block, numbers(forecast(tiny_bundle, window(rows))))

    def test_reads_a_hole_as_a_missing_value(self, home: Path, register: Callable[[], ModelVersion]) -> None:
        register()
        model = mlflow.pyfunc.load_model(str(artifact_of(home)))
        rows = frame()
        rows.iloc[3, 0] = np.nan
        answer = model.predict(rows)
        assert np.isfinite(answer[COLUMNS].to_numpy()).all()
        for name in ("a", "b"):
            assert answer[f"{name}-median"].between(answer[f"{name}-lo-90"], answer[f"{name}-hi-90"]).all()
            assert (answer[f"{name}-lo-90"] < answer[f"{name}-hi-90"]).all()

    def test_refuses_or_warns_as_the_service_does(self, home: Path, register: Callable[[], ModelVersion]) -> None:
        register()
        model = mlflow.pyfunc.load_model(str(artifact_of(home)))
        with pytest.raises(WindowRejected, match="send rows oldest first"):
            model.predict(frame()[::-1])
        with pytest.raises(WindowRejected, match="give timestamps"):
            model.predict(frame().reset_index(drop=True))
        with pytest.warns(UserWarning, match="east: no such series in training"):
            model.predict(frame(series="east"))
        with pytest.warns(UserWarning, match="north: .* look back"):
            model.predict(frame(rows=2))

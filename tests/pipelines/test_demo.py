from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from forecasting.project import load_project
from forecasting.reading import read_panel
from forecasting.series import Series
from pipelines.demo.run import ASKED, ROWS, Place, _copy_files, _request
from tests.pipelines.command import gatecast

ROOT = Path(__file__).parents[2]


def test_the_data_of_the_demo_are_shipped_with_their_findings(tmp_path: Path) -> None:
    _copy_files(tmp_path)
    panel, report = read_panel(load_project(tmp_path / "gatecast.toml"))
    assert {one.id for one in panel} == {"EWR", "JFK", "LGA"}
    assert {finding.code for finding in report.findings} >= {"gap", "missing-cells", "implausible"}
    assert any("1048.36" in finding.sentence for finding in report.findings)
    assert ASKED in {one.id for one in panel}


def test_a_request_holds_the_newest_rows_and_null_where_nothing_was_observed() -> None:
    index = pd.date_range("2024-01-01", periods=200, freq="h", tz="UTC")
    values = np.arange(400, dtype=np.float32).reshape(200, 2)
    values[-1, 0] = np.nan
    body = _request(Series("JFK", index, values))
    assert len(body["observations"]) == ROWS
    assert body["observations"][-1] == [None, 399.0]
    assert (body["last_timestamp"], body["series"]) == ("2024-01-09T07:00:00Z", "JFK")
    assert json.loads(json.dumps(body)) == body


def test_the_demo_has_a_store_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATECAST_TRACKING_URI", "http://production.example.com")
    place = Place(tmp_path)
    assert place.settings.registry().address == f"sqlite:///{tmp_path}/.gatecast/mlflow.db"
    assert "GATECAST_TRACKING_URI" not in place.settings.environment()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_demo_goes_from_the_file_to_an_answer_and_cleans_up(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    command = [sys.executable, "-m", "pipelines", "demo", "--folder", folder]
    said = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert "version 1 promoted to production: it beats persistence" in said.stdout
    assert "JFK at 2013-12-31T00:00:00Z, by nyc-weather version 1" in said.stdout
    for column in ("temp", "dewp", "humid", "wind_speed", "pressure", "visib"):
        assert re.search(rf"{column} +│ +[\d.]+ │ +[\d.]+ │ +[\d.]+ │ +-?[\d.]+ to [\d.]+ │", said.stdout)
    pictures = {path.name for path in (folder / "pictures").glob("*.png")}
    assert pictures >= {"forecast-JFK.png", "residuals.png", "errors.png", "training.png", "stream.png"}
    for station in ("EWR", "JFK", "LGA"):
        assert re.search(rf"demo-1-{station} +8,\d+ +0 +0 +\d+\.\d% +(8[5-9]|9[0-5])\.\d%", said.stdout)
    assert re.search(r"1,008 rows pushed in [\d.]+ s: [\d,]+ observations/s", said.stdout)
    nothing_is_left_running(said.stdout)
    listed = gatecast(folder / ".gatecast", "models", "nyc-weather", "--json").json
    assert [one["aliases"] for one in listed] == [["production"]]
    scores = json.loads(next(folder.rglob("scorecard.json")).read_text(encoding="utf-8"))
    for loss in ("mse_z", "mae_z"):
        assert scores["model"][loss] < min(one[loss] for one in scores["baselines"].values() if one)


def nothing_is_left_running(said: str) -> None:
    found = re.search(r"http://127.0.0.1:(\d+)/docs", said)
    assert found
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(found[1]))) != 0
    assert not [one for one in psutil.process_iter(["cmdline"]) if found[1] in (one.info["cmdline"] or [])]

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipelines.settings import Settings

ROOT = Path(__file__).parents[2]


def test_the_environment_is_read_in_two_files_only() -> None:
    """And every other one gets what it needs as arguments."""
    packages = ("forecasting", "service", "pipelines")
    found = {
        path.relative_to(ROOT).as_posix()
        for package in packages
        for path in (ROOT / package).rglob("*.py")
        if re.search(r"\bos\.(environ|getenv)|from os import", path.read_text(encoding="utf-8"))
    }
    assert found == {"service/settings.py", "pipelines/settings.py"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, Settings(Path(".gatecast"), None)),
        ({"GATECAST_HOME": "/data", "GATECAST_TRACKING_URI": ""}, Settings(Path("/data"), None)),
        ({"MLFLOW_TRACKING_URI": "http://a"}, Settings(Path(".gatecast"), "http://a")),
        ({"MLFLOW_TRACKING_URI": "http://a", "GATECAST_TRACKING_URI": "http://b"}, Settings(tracking_uri="http://b")),
    ],
)
def test_settings_come_from_the_environment(environ: dict[str, str], expected: Settings) -> None:
    assert Settings.from_env(environ) == expected


def test_a_service_is_handed_the_same_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    handed = Settings(home=Path("here"), tracking_uri="http://b").environment()
    assert Settings.from_env(handed) == Settings(home=tmp_path / "here", tracking_uri="http://b")

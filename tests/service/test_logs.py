"""Lines of logs: for people, or for machines with what is known of a request."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.logs import JsonLines, TextLines

ROOT = Path(__file__).parents[2]


def record(**extra: object) -> logging.LogRecord:
    made = logging.LogRecord("service.door", logging.WARNING, "", 0, "took %d s\nand more", (3,), None)
    made.created = 1_772_330_400.123
    vars(made).update(extra)
    return made


def test_a_json_line_is_one_line_with_what_is_known_of_the_request() -> None:
    about = {"request_id": "a1", "route": "/x", "status": 200, "seconds": 0.5, "principal": "shop", "other": 1}
    line = JsonLines().format(record(**about))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2026-03-01T02:00:00.123Z",
        "level": "warning",
        "logger": "service.door",
        "message": "took 3 s\nand more",
        "request_id": "a1",
        "route": "/x",
        "status": 200,
        "seconds": 0.5,
        "principal": "shop",
    }


def test_a_json_line_holds_a_traceback_and_what_json_cannot() -> None:
    made = record(principal=Path("x"))
    try:
        1 / 0  # noqa: B018 - it is the point
    except ZeroDivisionError:
        made.exc_info = sys.exc_info()
    line = json.loads(JsonLines().format(made))
    assert line["principal"] == "x"
    assert "ZeroDivisionError" in line["exception"]


def test_a_line_for_people_says_when_how_bad_where_and_what() -> None:
    assert TextLines().format(record()).startswith("2026-03-01T02:00:00.123Z WARNING service.door: took 3 s")


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_service_of_its_own_logs_everything_once_in_the_form_that_is_set(form: str, tmp_path: Path) -> None:
    code = """
import logging, uvicorn.config
uvicorn.config.Config("x").configure_logging()
from service.app import create_app
create_app()
logging.getLogger("uvicorn.error").info("started")
logging.getLogger("service.door").info("asked", extra={"status": 200})
logging.getLogger("mlflow").info("not shown")
logging.getLogger("uvicorn.access").info("not shown")
"""
    environ = {**os.environ, "GATECAST_HOME": str(tmp_path), "GATECAST_AUTH": "off", "GATECAST_LOG_FORMAT": form}
    said = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT, env=environ
    )
    lines = said.stderr.splitlines()
    wanted = ["GATECAST_AUTH is off", "started", "asked"]
    assert [text for line, text in zip(lines, wanted, strict=True) if text in line] == wanted
    if form == "json":
        assert json.loads(lines[2])["status"] == 200

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from pipelines.processes import free_port
from tests.forecasting.csv_files import clean, write
from tests.pipelines.command import Said, gatecast, write_project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.pipelines.conftest import Shop


def verdicts(said: Said) -> dict[str, bool | None]:
    return {check["name"]: check["ok"] for check in said.json}


def test_a_healthy_place_has_no_fault(shop: Shop) -> None:
    said = gatecast(shop.home, "doctor", shop.project, "--port", free_port(), "--json")
    assert said.code == 0
    assert False not in verdicts(said).values()
    assert "tiny version 1" in said.out
    assert "600 rows, 1 series" in said.out


def test_a_broken_project_a_taken_port_and_a_dead_store_are_all_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    project = tmp_path / "gatecast.toml"
    project.write_text('nam = "a"', encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = gatecast(tmp_path / "file", "doctor", project, "--port", taken.getsockname()[1], "--json")
    faults = {name for name, ok in verdicts(said).items() if ok is False}
    assert faults == {"registry", "project", "data", "schedule", "port"}
    assert "did you mean name?" in said.out


def test_keys_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("[")
    said = gatecast(tmp_path, "doctor", tmp_path / "gatecast.toml", "--port", free_port(), "--json")
    assert verdicts(said)["keys"] is False


def test_bad_data_are_told_beside_a_good_project(tmp_path: Path) -> None:
    write(tmp_path, clean(20))
    said = gatecast(tmp_path / "home", "doctor", write_project(tmp_path), "--port", free_port(), "--json")
    assert (verdicts(said)["project"], verdicts(said)["data"]) == (True, False)
    assert "too-short: 20 time steps" in said.out


def test_a_person_gets_a_table(shop: Shop) -> None:
    said = gatecast(shop.home, "doctor", shop.project, "--port", free_port())
    assert "check" in said.out
    assert max(map(len, said.out.splitlines())) <= 80


def test_a_schedule_that_never_comes_is_told(tmp_path: Path) -> None:
    write(tmp_path, clean(200))
    project = write_project(tmp_path)
    project.write_text(f'{project.read_text()}\n[schedule]\ncron = "0 0 31 2 *"\n', encoding="utf-8")
    said = gatecast(tmp_path / "home", "doctor", project, "--port", free_port(), "--json")
    assert (verdicts(said)["data"], verdicts(said)["schedule"]) == (True, False)
    assert "which never comes" in said.out

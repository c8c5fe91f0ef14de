"""The compose files are valid, closed, and run what exists."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from pipelines.cli import gatecast
from service.app import create_app
from service.settings import Settings
from tests.composing import COMPOSE, GPU, ROOT, VARIABLE, examples, filled, read

SERVICES: dict[str, Any] = read()["services"]
OURS = sorted(name for name, one in SERVICES.items() if "gatecast" in one["image"])
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def check(*paths: Path) -> subprocess.CompletedProcess[str]:
    """Check files against the schema of the compose specification, as check-jsonschema brings it."""
    command = [Path(sys.executable).with_name("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", *paths]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_files_are_valid_by_the_specification() -> None:
    said = check(COMPOSE, GPU)
    assert said.returncode == 0, said.stdout


def test_a_file_with_an_unknown_key_would_not_be(tmp_path: Path) -> None:
    wrong = tmp_path / "compose.yml"
    wrong.write_text(COMPOSE.read_text().replace("stop_grace_period", "stop_grace_time"))
    assert check(wrong).returncode == 1


def test_every_variable_stands_in_the_example_and_nothing_else_does() -> None:
    used = {found["name"] for found in VARIABLE.finditer(COMPOSE.read_text() + GPU.read_text())}
    assert used == set(examples())


def test_it_refuses_to_start_without_passwords() -> None:
    passwords = [name for name in examples() if name.endswith("_PASSWORD")]
    assert len(passwords) == 3
    for lacking in passwords:
        rest = examples() | {name: "x" for name in passwords if name != lacking}
        with pytest.raises(LookupError, match=lacking):
            filled(read(), rest)


def test_defaults_are_those_of_the_example() -> None:
    defaults = {found["name"]: found["more"] for found in VARIABLE.finditer(COMPOSE.read_text()) if found["how"] == "-"}
    assert defaults == {name: value for name, value in examples().items() if value}


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_has_few_rights_and_limits(name: str) -> None:
    one = SERVICES[name]
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert int(one["user"].split(":")[0]) > 0
    assert one["restart"] == "unless-stopped"
    assert set(one["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}


def test_what_is_kept_is_kept_in_named_volumes() -> None:
    named = {
        mount.split(":")[0] for one in SERVICES.values() for mount in one["volumes"] if not mount.startswith(("$", "."))
    }
    assert named == set(read()["volumes"])


def test_only_the_pages_and_the_service_can_be_reached_and_by_default_from_this_machine_alone() -> None:
    published = {
        name: one["ports"] for name, one in filled(SERVICES, examples() | passwords()).items() if "ports" in one
    }
    assert published == {"mlflow": ["127.0.0.1:5000:5000"], "service": ["127.0.0.1:8000:8000"]}


def passwords() -> dict[str, str]:
    return {name: "x" for name in examples() if name.endswith("_PASSWORD")}


def words(name: str) -> list[str]:
    """Return the command of a service, that of a shell as the shell would call it."""
    command: list[str] = SERVICES[name]["command"]
    return shlex.split(command[2].removeprefix("exec ")) if command[0] == "sh" else command


@pytest.mark.parametrize("name", OURS)
def test_its_command_exists_and_takes_these_options(name: str) -> None:
    from mlflow.cli import cli  # noqa: PLC0415 - seconds

    program, verb, *arguments = words(name)
    found = {"gatecast": gatecast, "mlflow": cli}[program].get_command(click.Context(gatecast), verb)
    assert found is not None
    found.make_context(verb, arguments)


def test_health_is_asked_of_routes_that_exist() -> None:
    asked = {
        name: re.findall(r"http://127.0.0.1:(\d+)(/\w+)", str(one.get("healthcheck"))) for name, one in SERVICES.items()
    }
    assert asked == {"postgres": [], "mlflow": [("5000", "/health")], "service": [("8000", "/livez")], "scheduler": []}
    door = create_app(Settings(auth="off", streams=False))
    assert "/livez" in {getattr(route, "path", "") for route in door.app.routes}


def test_the_image_is_given_all_that_it_copies_and_nothing_else() -> None:
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE) for name in line.split()
    }
    let_in = re.findall(r"^!(\S+?)/?$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert copied == set(let_in)
    assert all((ROOT / name).exists() for name in copied)


def test_the_image_runs_as_the_user_that_compose_says() -> None:
    (user,) = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)
    assert {SERVICES[name]["user"] for name in OURS} == {user}


def test_a_gpu_is_reserved_where_there_is_work_for_it() -> None:
    for name, one in read(GPU)["services"].items():
        assert name in {"service", "scheduler"}
        (device,) = one["deploy"]["resources"]["reservations"]["devices"]
        assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
        assert one["image"] != SERVICES[name]["image"]

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from forecasting.errors import Diverged, GatecastError
from pipelines.cli import gatecast as group
from pipelines.exits import CODES
from tests.forecasting.csv_files import clean, write
from tests.pipelines.command import gatecast, write_project

ROOT = Path(__file__).parents[2]


@pytest.fixture
def break_with() -> Iterator[Callable[[BaseException], None]]:
    """Return what adds the command `break`, which raises an error."""

    def add(error: BaseException) -> None:
        def fail() -> None:
            raise error

        group.add_command(click.Command("break", callback=fail))

    yield add
    group.commands.pop("break")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (Diverged("lower train.learning_rate"), 70, "gatecast: lower train.learning_rate\n"),
        (PermissionError(13, "Permission denied", "x.csv"), 74, "gatecast: [Errno 13] Permission denied: 'x.csv'\n"),
        (KeyboardInterrupt(), 130, "\ngatecast: interrupted\n"),
        (BrokenPipeError(32, "Broken pipe"), 74, ""),
    ],
)
def test_an_error_has_a_code_and_words(
    tmp_path: Path, break_with: Callable[[BaseException], None], error: BaseException, code: int, said: str
) -> None:
    break_with(error)
    found = gatecast(tmp_path, "break")
    assert (found.code, found.out, found.err) == (code, "", said)


def test_what_nobody_foresaw_is_our_fault_and_comes_with_its_traceback(
    tmp_path: Path, break_with: Callable[[BaseException], None]
) -> None:
    break_with(ZeroDivisionError("why"))
    found = gatecast(tmp_path, "break")
    assert found.code == 70
    assert "Traceback" in found.err
    assert "this is a fault of gatecast, please report it" in found.err


def test_every_error_of_ours_has_a_code() -> None:
    assert GatecastError in CODES


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["trian"], "Did you mean one of: 'retrain', 'train'?"),
        (["train", "--jsn"], "Did you mean '--json'?"),
        (["train", "a", "b"], "unexpected extra argument"),
        (["train", "."], "is a directory"),
        (["train", "nosuch.toml"], "there is no project file nosuch.toml; `gatecast demo` writes one"),
        (["serve", "--port", "99999"], "not in the range"),
        (["promote", "tiny"], "Missing argument 'VERSION'"),
    ],
)
def test_wrong_usage_is_told_in_words(tmp_path: Path, arguments: list[str], advice: str) -> None:
    said = gatecast(tmp_path / "home", *arguments)
    assert said.code == 2
    assert advice in said.err
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("text", "advice"),
    [("name = ", "is not TOML"), ('nam = "a"', "unknown key nam; did you mean name?"), ('name = "a"', "data")],
)
def test_a_bad_project_is_a_fault_of_usage(tmp_path: Path, text: str, advice: str) -> None:
    project = tmp_path / "gatecast.toml"
    project.write_text(text, encoding="utf-8")
    said = gatecast(tmp_path, "train", project)
    assert said.code == 2
    assert advice in said.err


def test_help_and_wrong_usage_wait_for_no_large_library() -> None:
    code = (
        "import sys; from pipelines.cli import run; run(['train', '--help']); run(['trian']);"
        "print(sorted({'torch', 'mlflow', 'pandas', 'numpy', 'pytorch_lightning'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert said.stdout.splitlines()[-1] == "[]"


def test_a_dead_registry_has_a_code_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATECAST_TRACKING_URI", "http://someone:secret@127.0.0.1:9")
    write(tmp_path, clean())
    said = gatecast(tmp_path, "train", write_project(tmp_path))
    assert said.code == 69
    assert "check the address and that its server runs" in said.err
    assert "secret" not in said.err


def test_a_store_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = gatecast(tmp_path / "file", "models")
    assert said.code == 69
    assert "check that its file or database can be opened and written" in said.err


def test_nothing_registered_is_told_with_the_place_that_was_looked_at(tmp_path: Path) -> None:
    said = gatecast(tmp_path, "models")
    assert said.code == 0
    assert said.out == f"nothing is registered yet in sqlite:///{tmp_path}/mlflow.db; train a model\n"


def test_a_reader_who_has_read_enough_gets_no_traceback() -> None:
    command = [sys.executable, "-m", "pipelines", "--help"]
    read, write = os.pipe()
    os.close(read)
    said = subprocess.run(command, cwd=ROOT, check=False, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert said.returncode == 74
    assert "Traceback" not in said.stderr
    assert "BrokenPipe" not in said.stderr

"""What all commands have in common: the group they belong to, options, and --json."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console

from pipelines.settings import Settings

PROJECT_FILE = click.Path(dir_okay=False, path_type=Path)
PROJECT = click.argument("project", type=PROJECT_FILE, default="gatecast.toml")
PORT = click.IntRange(0, 65535)
REF = click.option("--ref", default="production", show_default=True, help="Alias or number of the version to use.")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object; everything else to stderr.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="gatecast")
@click.option(
    "--home",
    type=click.Path(path_type=Path),
    help="Folder of the embedded store [default: GATECAST_HOME, else .gatecast]",
)
@click.pass_context
def gatecast(context: click.Context, home: Path | None) -> None:
    """Train, judge, register and serve recurrent forecasters of multivariate time series."""
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its retries; what fails for good is said once, by us
    settings = Settings.from_env()
    context.obj = replace(settings, home=home) if home else settings


@dataclass(frozen=True)
class Call:
    """What a command is given beside its arguments; `console` is standard error where JSON goes to standard output."""

    settings: Settings
    console: Console
    as_json: bool

    def say(self, line: str) -> None:
        """Print a line for people, as it is."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def put(self, answer: object) -> None:
        """Print an answer as JSON, if that was asked for."""
        if self.as_json:
            click.echo(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())


def command(function: Callable[..., object], group: click.Group | None = None) -> click.Command:
    """Make a command that has --json and a `Call`; what it returns is printed as JSON if asked for."""

    @functools.wraps(function)
    def call(settings: Settings, /, *, as_json: bool, **arguments: Any) -> None:
        handed = Call(settings, Console(stderr=as_json), as_json)
        handed.put(function(handed, **arguments))

    name = function.__name__.rpartition("_")[2]  # of a group's command, without that of the group
    return (group or gatecast).command(name)(AS_JSON(click.pass_obj(call)))

"""The command line `gatecast`: one of its commands is run, and whatever becomes of it is an exit code.

With --json one JSON object goes to standard output and everything for people to standard error.
"""

from __future__ import annotations

import sys
import traceback

import click

from forecasting.errors import GatecastError
from pipelines.commands import (  # noqa: F401 - they add their commands
    remembering,
    scheduling,
    serving,
    streaming,
    training,
    trying,
    versions,
)
from pipelines.commands.calling import gatecast
from pipelines.exits import DONE, INPUT_OUTPUT, INTERRUPTED, USAGE, exit_code


def main() -> None:
    """Run the command line and exit with its code (see `exits`)."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; a fault is said in words, and only ours has a traceback."""
    try:
        return int(gatecast.main(arguments, prog_name="gatecast", standalone_mode=False) or DONE)
    except click.ClickException as error:
        error.show()
        return USAGE
    except click.Abort as abort:
        _say(abort.__cause__ or "interrupted")
        return INTERRUPTED
    except SystemExit:  # click, rich and uvicorn end so where nobody reads on or nothing can start; they said why
        return INPUT_OUTPUT
    except (GatecastError, OSError) as error:
        _say(error)
        return exit_code(error)
    except Exception as error:  # noqa: BLE001 - the last door before the user
        traceback.print_exc()
        _say(f"this is a fault of gatecast, please report it with the lines above: {error!r}")
        return exit_code(error)


def _say(what: object) -> None:
    click.echo(f"gatecast: {str(what) or 'interrupted'}", err=True)

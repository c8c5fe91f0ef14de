"""Commands for whoever is new here, or in trouble: demo, doctor."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from pipelines.commands.calling import PORT, PROJECT, Call, command, gatecast


@gatecast.command()
@click.option("--folder", type=click.Path(path_type=Path), default="gatecast-demo", show_default=True)
@click.option("--keep", is_flag=True, help="Leave the service and the MLflow UI running until Ctrl-C.")
def demo(folder: Path, *, keep: bool) -> None:
    """Show the whole way on a year of real weather. It trains, judges, registers, serves, asks, and streams."""
    from pipelines.demo.run import run_demo

    run_demo(folder, keep, Console())


@command
@PROJECT
@click.option("--port", type=PORT, default=8000, show_default=True, help="Port the service would listen on.")
def doctor(call: Call, project: Path, port: int) -> object:
    """Look for what would keep the other commands from working. It reads PROJECT and its data, too."""
    from pipelines.display import show_checks
    from pipelines.doctor import examine

    checks = examine(project, call.settings, port)
    show_checks(checks, call.console)
    return [check._asdict() for check in checks]

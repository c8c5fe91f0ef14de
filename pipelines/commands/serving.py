"""Commands of the service: serve, up, and keys for those who use it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console

from forecasting.keys import SCOPES, Scope
from pipelines.commands.calling import AS_JSON, PORT, PROJECT_FILE, Call, command, gatecast
from pipelines.settings import Settings

LISTENING = click.IntRange(1, 65535)


@gatecast.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=PORT, default=8000, show_default=True)
@click.pass_obj
def serve(settings: Settings, host: str, port: int) -> None:
    """Serve every model in production over HTTP."""
    from pipelines.serve import serve as run_service

    run_service(settings, host, port)


@gatecast.command()
@click.argument("projects", nargs=-1, type=PROJECT_FILE, metavar="[PROJECT]...")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Of the service; MLflow is for this machine alone."
)
@click.option("--port", type=LISTENING, default=8000, show_default=True, help="Of the service.")
@click.option("--mlflow-port", type=LISTENING, default=5000, show_default=True, help="Of MLflow's pages.")
@AS_JSON
@click.pass_obj
def up(
    settings: Settings, /, *, projects: tuple[Path, ...], host: str, port: int, mlflow_port: int, as_json: bool
) -> None:
    """Run the whole system: MLflow's pages, the service, and the scheduler of each PROJECT.

    Without PROJECT it is ./gatecast.toml, if that is there. What one of them says is printed behind its name; one that
    ends is started again, after a second at first and a minute at most. Ctrl-C or SIGTERM ends the scheduler, the
    service and MLflow, in this order; pressed again, at once. --json prints a line with the addresses once all answer.
    """
    from pipelines.up import Places
    from pipelines.up import up as run_system

    found = projects or tuple(path for path in [Path("gatecast.toml")] if path.exists())
    call = Call(settings, Console(stderr=as_json), as_json)
    run_system(settings, found, Places(host, port, mlflow_port), call.console, call.put)


@gatecast.group()
def keys() -> None:
    """Say who may use the service. A service that runs reads the file of keys again within a second."""


def _key_command(function: Callable[..., object]) -> click.Command:
    return command(function, keys)


@_key_command
@click.argument("principal")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(SCOPES), default=["forecast"], show_default=True)
def keys_add(call: Call, principal: str, scopes: tuple[Scope, ...]) -> object:
    """Make an API key for PRINCIPAL. It is printed once and stored nowhere; --scope may be given several times."""
    from pipelines.keys import add, shown

    key, secret = add(call.settings, principal, scopes)
    click.echo(f"key {key.id} of {key.principal} may {', '.join(key.scopes)}; it is not shown again:", err=True)
    if not call.as_json:
        click.echo(secret)
    return {**shown(key), "key": secret}


@_key_command
def keys_list(call: Call) -> object:
    """List the API keys, without the keys themselves."""
    from pipelines.keys import held, show, shown

    keys = held(call.settings)
    show(keys, call.settings.keys_path, call.console)
    return [shown(key) for key in keys]


@_key_command
@click.argument("name", metavar="ID")
def keys_remove(call: Call, name: str) -> object:
    """Take an API key away. What it was used for is answered with 401 from then on."""
    from pipelines.keys import remove, shown

    gone = remove(call.settings, name)
    call.say(f"key {name} of {gone.principal} is gone")
    return shown(gone)

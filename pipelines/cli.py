"""The command line `gatecast`. Each command reads its arguments, calls one function, prints what came of it.

With --json one JSON object goes to standard output and everything for people to standard error.
"""

from __future__ import annotations

import functools
import logging
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console

from forecasting.errors import GatecastError
from forecasting.keys import SCOPES, Scope
from pipelines.exits import DONE, INPUT_OUTPUT, INTERRUPTED, USAGE, exit_code
from pipelines.settings import Settings

PROJECT_FILE = click.Path(dir_okay=False, path_type=Path)
PROJECT = click.argument("project", type=PROJECT_FILE, default="gatecast.toml")
PORT = click.IntRange(0, 65535)
REF = click.option("--ref", default="production", show_default=True, help="Alias or number of the version to use.")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object; everything else to stderr.")


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


def command(function: Callable[..., object], group: click.Group | None = None) -> click.Command:
    """Make a command that has --json and a `Call`; what it returns is printed as JSON if asked for."""

    @functools.wraps(function)
    def call(settings: Settings, /, *, as_json: bool, **arguments: Any) -> None:
        answer = function(Call(settings, Console(stderr=as_json), as_json), **arguments)
        if as_json:
            click.echo(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())

    name = function.__name__.rpartition("_")[2]  # of a group's command, without that of the group
    return (group or gatecast).command(name)(AS_JSON(click.pass_obj(call)))


@command
@PROJECT
@click.option("--tune", type=click.IntRange(1), metavar="N", help="Search the settings in N trials first.")
@click.option(
    "--tune-minutes", type=click.FloatRange(0), metavar="M", help="With --tune: begin no trial after M minutes."
)
def train(call: Call, project: Path, tune: int | None, tune_minutes: float | None) -> object:
    """Train, judge and register a model; promote it if it is better. PROJECT names data and targets.

    With --tune N the settings of [model] and [train] are searched first, by the error on validation rows, until N
    trials are done in all: a search that was ended goes on, and one that is done is not done again for the same data.
    """
    from forecasting.project import load_project

    if tune_minutes is not None and tune is None:
        message = "--tune-minutes bounds a search, and --tune N asks for one: give both or --tune alone"
        raise click.UsageError(message)
    read = load_project(project)  # before the imports that take seconds
    from pipelines.display import show_scorecard
    from pipelines.train import train as run_training

    registry, home = call.settings.registry(), call.settings.home
    tuning: dict[str, object] = {}
    if tune is None:
        trained = run_training(read, registry, home, call.console)
    else:
        from pipelines.tune import Budget, Place, train_tuned

        budget = Budget.of(tune, tune_minutes)
        trained, tuned = train_tuned(read, budget, Place(registry, home, call.console))
        tuning = {"tuning": tuned.to_json()}
    version, decision = trained.version, trained.decision
    show_scorecard(trained.scorecard, call.console)
    verb = "promoted to production" if decision.promote else "registered, not promoted"
    call.say(f"{version.name} version {version.version} {verb}: {decision.reason}")
    return {
        "model": version.name,
        "version": version.version,
        "run_id": version.run_id,
        "promoted": decision.promote,
        "reason": decision.reason,
        "scores": {"model": trained.scorecard.model, "baselines": trained.scorecard.baselines},
        "reasons": trained.scorecard.reasons,
        **tuning,
    }


@command
@PROJECT
@REF
def backtest(call: Call, project: Path, ref: str) -> object:
    """Judge a registered model again, beside the baselines. The data of PROJECT are read as they are now."""
    from forecasting.project import load_project

    read = load_project(project)
    from pipelines.backtest import backtest_version
    from pipelines.display import show_scorecard

    card = backtest_version(read, call.settings.registry(), ref)
    show_scorecard(card, call.console)
    return card


def _levels(_context: click.Context, _option: click.Parameter, given: str | None) -> list[int] | None:
    """Read whole numbers between commas."""
    if given is None:
        return None
    if not re.fullmatch(r"\d{1,2}(,\d{1,2})*", given):
        message = f"{given!r} is no list of levels; give whole percents as in 80,90,95"
        raise click.BadParameter(message)
    return [int(level) for level in given.split(",")]


@command
@click.argument("data", type=click.Path(path_type=Path))
@click.option("-p", "--project", type=PROJECT_FILE, default="gatecast.toml", show_default=True, help="Project file.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="CSV to write [default: standard output]")
@REF
@click.option("--bundle", type=click.Path(path_type=Path), help="A bundle's folder instead of a registered model.")
@click.option("--levels", callback=_levels, metavar="L,L", help="Intervals, in percent [default: 90, if calibrated]")
def forecast(  # noqa: PLR0913 - an option each
    call: Call,
    data: Path,
    *,
    project: Path,
    output: Path | None,
    ref: str,
    bundle: Path | None,
    levels: list[int] | None,
) -> object:
    """Forecast what follows the last rows of a file. DATA is a file with the columns of the project.

    Covariates that are known in advance are needed for the steps to come, too: in rows behind the last one with a
    target, whose targets are empty.
    """
    from forecasting.project import load_project

    read = load_project(project)
    from forecasting.bundle import load_bundle
    from pipelines.forecast import forecast_file
    from pipelines.versions import open_version

    if bundle:
        opened = load_bundle(bundle)
    else:
        registry = call.settings.registry()
        opened = open_version(registry, registry.version(read.name, ref))
    table, cautions = forecast_file(read, opened, data, levels)
    for series, found in cautions.items():
        for caution in found:
            click.echo(f"{series}: {caution.code}: {caution.detail}", err=True)
    if output:
        table.to_csv(output, index=False)
        call.say(f"{len(table)} rows written to {output}")
    elif not call.as_json:
        click.echo(table.to_csv(index=False), nl=False)
    return msgspec.json.decode(table.to_json(orient="records"))


@command
@click.argument("name", required=False)
def models(call: Call, name: str | None) -> object:
    """List the registered models, or the versions of one. Each is shown with the decision that promoted it."""
    from pipelines.display import show_models, show_versions

    registry = call.settings.registry()
    if name is None:
        listed = {one: registry.versions(one) for one in registry.models()}
        show_models(listed, registry.address, call.console)
        return listed
    versions = registry.versions(name)
    show_versions(versions, call.console)
    return versions


@command
@click.argument("name")
@click.argument("version")
@click.option("--force", is_flag=True, help="Promote whatever its scores say; needs --reason.")
@click.option("--reason", default="", help="Why; recorded with the version.")
def promote(call: Call, name: str, version: str, *, force: bool, reason: str) -> object:
    """Put a version into production, through the gate or by force. The gate is to beat the naive forecasts."""
    if force != bool(reason.strip()):
        message = "--force goes around the gate, and --reason TEXT says why and is recorded: give both or neither"
        raise click.UsageError(message)
    from pipelines.promote import promote_version

    decision = promote_version(call.settings.registry(), name, version, reason if force else None)
    verb = "now in production" if decision.promote else "not promoted"
    call.say(f"{name} version {version} {verb}: {decision.reason}")
    return decision


@command
@click.argument("name")
@click.option("--to", metavar="VERSION", help="Version to go back to [default: the one in production before]")
@click.option("--reason", default="", help="Why; recorded with the version.")
def rollback(call: Call, name: str, to: str | None, reason: str) -> object:
    """Put the version before back into production. A service that is running serves it within seconds."""
    from pipelines.rollback import roll_back

    version, decision = roll_back(call.settings.registry(), name, to, reason)
    call.say(f"{name} version {version.version} is in production again: {decision.reason}")
    return {"model": name, "version": version.version, **msgspec.to_builtins(decision)}


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


@gatecast.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=PORT, default=8000, show_default=True)
@click.pass_obj
def serve(settings: Settings, host: str, port: int) -> None:
    """Serve every model in production over HTTP."""
    from pipelines.serve import serve as run_service

    run_service(settings, host, port)


@gatecast.command()
@click.option("--folder", type=click.Path(path_type=Path), default="gatecast-demo", show_default=True)
@click.option("--keep", is_flag=True, help="Leave the service and the MLflow UI running until Ctrl-C.")
def demo(folder: Path, *, keep: bool) -> None:
    """Show the whole way on a year of real weather. It trains, judges, registers and serves a model, and asks it."""
    from pipelines.demo.run import run_demo

    run_demo(folder, keep, Console())

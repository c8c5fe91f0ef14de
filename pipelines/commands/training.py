"""Commands that make forecasters and use them: train, retrain, backtest, forecast."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from pipelines.commands.calling import PROJECT, PROJECT_FILE, REF, Call, command

if TYPE_CHECKING:
    from pipelines.train import Trained


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
    from pipelines.train import train as run_training

    where = call.settings.registry(), call.settings, call.console
    tuning: dict[str, object] = {}
    if tune is None:
        trained = run_training(read, *where)
    else:
        from pipelines.tune import Budget, train_tuned

        trained, tuned = train_tuned(read, Budget.of(tune, tune_minutes), *where)
        tuning = {"tuning": tuned.to_json()}
    return {
        **_told(call, trained),
        "reason": trained.decision.reason,
        "scores": {"model": trained.scorecard.model, "baselines": trained.scorecard.baselines},
        "reasons": trained.scorecard.reasons,
        **tuning,
    }


def _told(call: Call, trained: Trained) -> dict[str, object]:
    """Show what a run came to, and return what JSON says of it in any case."""
    from pipelines.display import show_scorecard

    version, decision = trained.version, trained.decision
    show_scorecard(trained.scorecard, call.console)
    verb = "promoted to production" if decision.promote else "registered, not promoted"
    call.say(f"{version.name} version {version.version} {verb}: {decision.reason}")
    return {
        "model": version.name,
        "version": version.version,
        "run_id": version.run_id,
        "promoted": decision.promote,
    }


@command
@PROJECT
@click.option("--allow-schema-change", is_flag=True, help="Replace a champion of other columns, steps or horizon.")
@click.option("--warm", is_flag=True, help="Begin with the members of the version in production.")
@click.option("--reason", default="", help="Why; recorded with the run.")
def retrain(call: Call, project: Path, *, allow_schema_change: bool, warm: bool, reason: str) -> object:
    """Train on the data as they are now; promote the model if it beats the one in production beyond chance.

    Both are compared, pair by pair, on the newest rows, which neither has learnt from; the decision is recorded either
    way, and a champion that is kept is a success. Only one run of a project is under way at a time, on whatever
    machine: a second one exits with 75. A training that was ended goes on behind its last epoch, as if it had not
    been. For cron, or `gatecast schedule`.
    """
    from forecasting.project import allowing_schema_change, load_project, warmed

    read = load_project(project)  # before the imports that take seconds
    if allow_schema_change:
        read = allowing_schema_change(read)
    if warm:
        read = warmed(read)
    from pipelines.retrain import retrain as run_retraining

    retrained = run_retraining(read, call.settings.registry(), call.settings, call.console, reason)
    return {**_told(call, retrained), "decision": retrained.decision, "seconds": retrained.seconds}


@command
@PROJECT
@REF
def backtest(call: Call, project: Path, ref: str) -> object:
    """Judge a registered model again, beside the baselines. The data of PROJECT are read as they are now."""
    from forecasting.project import load_project

    read = load_project(project)
    from pipelines.backtest import backtest_version
    from pipelines.display import show_scorecard

    card = backtest_version(read, call.settings.registry(), call.settings, ref)
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

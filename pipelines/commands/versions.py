"""Commands about what is registered: models, promote, rollback."""

from __future__ import annotations

import click
import msgspec

from pipelines.commands.calling import Call, command


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

"""Commands about what models remember: memory."""

from __future__ import annotations

import click

from pipelines.commands.calling import Call, command


@command
@click.argument("model", metavar="NAME[@ALIAS|@VERSION]")
def memory(call: Call, model: str) -> object:
    """Show how far back a registered model looks, what its gates do, and whether it may be carried from row to row."""
    from pipelines.display import show_memory
    from pipelines.remembered import remembered

    found = remembered(call.settings.registry(), model)
    show_memory(found, call.console)
    return found

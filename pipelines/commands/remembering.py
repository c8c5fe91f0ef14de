"""Commands about what models remember: memory, of one's own and, with --lab, of every recurrent system."""

from __future__ import annotations

from pathlib import Path

import click

from pipelines.commands.calling import Call, command


@command
@click.argument("model", metavar="[NAME[@ALIAS|@VERSION]]", required=False)
@click.option("--lab", is_flag=True, help="Compare every recurrent system instead; about ten minutes on two cores.")
@click.option("--quick", is_flag=True, help="With --lab: in less than a minute, on less.")
@click.option(
    "--page",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With --lab: write the story to FILE (Markdown), pictures and results beside it.",
)
def memory(call: Call, model: str | None, *, lab: bool, quick: bool, page: Path | None) -> object:
    """Show how far back a registered model looks, what its gates do, and whether it may be carried from row to row.

    With --lab: why gates work. How gradients flow back in every recurrent system, which of them learn to add two
    numbers far apart, whose state grows without bound; and what of the usual explanation the numbers confirm.
    """
    if lab == (model is not None) or ((quick or page) and not lab):
        message = "give the NAME of a registered model, or --lab (and with it --quick, --page FILE)"
        raise click.UsageError(message)
    if model is None:
        from pipelines.lab import run_lab

        return run_lab(call.settings.registry(), call.console, page, quick=quick)
    from pipelines.display import show_memory
    from pipelines.remembered import remembered

    found = remembered(call.settings.registry(), model)
    show_memory(found, call.console)
    return found

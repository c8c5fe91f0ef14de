"""Commands that ask a running service: stream."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from pipelines.commands.calling import PROJECT_FILE, Call, command

PICTURES = (".png", ".svg", ".pdf")


def _picture(_context: click.Context, _option: click.Parameter, given: Path | None) -> Path | None:
    """Refuse before rows are pushed what could not be written afterwards."""
    if given and (given.suffix.lower() not in PICTURES or not given.absolute().parent.is_dir()):
        message = f"{given} cannot be drawn to; name a file *{', *'.join(PICTURES)} in a folder that is there"
        raise click.BadParameter(message)
    return given


@command
@click.argument("name")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="File, glob or folder of Parquet to read.")
@click.option("-p", "--project", type=PROJECT_FILE, help="Project file that says how to read it.")
@click.option("--time", metavar="COLUMN", help="Column of the times [default: timestamp or time].")
@click.option("--series", metavar="COLUMN", help="Column of the series' ids [default: series].")
@click.option("--timezone", metavar="ZONE", help="Zone of times without an offset [default: the model's].")
@click.option("--url", help="The service [default: GATECAST_URL, else http://127.0.0.1:8000].")
@click.option("--stream", metavar="ID", help="Name of the stream; of several series, what their names begin with.")
@click.option("--import", "history", is_flag=True, help="Import the rows before the last N (or all) as history first.")
@click.option("--last", type=click.IntRange(1), metavar="N", help="Push the last N rows of each series only.")
@click.option("--batch", type=click.IntRange(1), default=256, show_default=True, help="Most streams in a request.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Rows a second [default: as fast as it goes].")
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_picture,
    help="Draw the first series to FILE.",
)
def stream(  # noqa: PLR0913 - an option each
    call: Call,
    name: str,
    data: Path,
    *,
    project: Path | None,
    time: str | None,
    series: str | None,
    timezone: str | None,
    url: str | None,
    stream: str | None,
    history: bool,
    last: int | None,
    batch: int,
    rate: float | None,
    picture: Path | None,
) -> object:
    """Replay a file into streams of the model NAME of a running service, and watch how they fare.

    A row is pushed, scores the forecast before it, and is answered with the next one. Rows go in the order of their
    times, each series to a stream of its own. Rows that were accepted before are answered as they were then, so the
    same command may be run again. The key is that of the variable GATECAST_KEY; its scopes are forecast and stream.
    """
    if project and (time or series or timezone):
        message = "--project says what --time, --series and --timezone say: give one or the other"
        raise click.UsageError(message)
    from pipelines.feeds import Source
    from pipelines.pushing import Client
    from pipelines.stream import Options, stream_file

    source, options = (
        Source(data, project, time, series, timezone),
        Options(stream, history, last, batch, rate, picture),
    )
    with closing(Client(url or call.settings.url, call.settings.key, call.say)) as client:
        streamed = stream_file(client, name, source, options, call.console)
    if streamed.fault:
        call.put(streamed.summary)
        raise streamed.fault
    return streamed.summary

"""A process that pushes rows to streams and says which the log has acknowledged; run by its path.

    writer.py URL PATH WHO PUSHES [LIMIT]

URL is `sqlite` or that of a PostgreSQL, LIMIT how many bytes a file may have, as on a full disk.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from forecasting.errors import LogUnavailable, Outrun
from forecasting.log.interface import Log
from forecasting.log.opening import open_log
from forecasting.log.records import Stream
from tests.forecasting.log.examples import a_push, a_row, a_stream, number, together

STREAMS = [a_stream(at) for at in range(3)]


def push_all(log: Log, seq: int, who: int) -> None:
    """Push a row to each stream, with the number of whoever does."""
    log.commit(together([_push(stream, seq, who) for stream in STREAMS]))


def _push(stream: Stream, seq: int, who: int):  # noqa: ANN202
    return a_push(stream, seq, observations=[a_row(stream, seq, values=number(who))])


def push_until(log: Log, who: int, pushes: int) -> None:
    """Push as often as told, each time from where the streams stand by then."""
    while pushes:
        found = log.find([STREAMS[0].key])[0]
        seq = 0 if found is None else found.seq + 1
        try:
            push_all(log, seq, who)
        except Outrun:
            continue
        pushes -= 1
        print(seq, flush=True)  # noqa: T201


def main(url: str, path: str, who: str, pushes: str, limit: str = "") -> None:
    """Push; with a limit until the disk is full, then with more room as often as told."""
    log = open_log(None if url == "sqlite" else url, Path(path))
    if limit:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), hard))
        try:
            push_until(log, int(who), 1_000_000)
        except LogUnavailable as error:
            print(error, flush=True)  # noqa: T201
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    push_until(log, int(who), int(pushes))
    log.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

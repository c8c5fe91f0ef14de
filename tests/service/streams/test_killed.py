"""A service that is killed at any instant: what it acknowledged is there, once, and forecasts go on as if it lived."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from random import Random
from threading import Event

import pytest

from forecasting.log.opening import FILE, open_log
from tests.service.streams.clients import LONG, Client
from tests.service.streams.sending import Form, tabled, timed, together, usual
from tests.service.streams.server import go, waiting
from tests.service.streams.versions import MODELS, registry

FORMS: tuple[tuple[Form, int], ...] = ((usual, 1), (usual, 1), (timed, 1), (together, 5), (tabled, 7))
"""What clients push with, and to how many streams."""

LONGEST_SECONDS = 0.4
"""From the first answer to the end of a service."""


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("times", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_what_was_acknowledged_outlives_a_service_that_is_killed(tmp_path: Path, times: int) -> None:
    random, source = Random(times), registry(tmp_path / "models")  # noqa: S311
    settings = {"GATECAST_HOME": str(tmp_path), "GATECAST_SNAPSHOT_ROWS": "16"}
    clients = [
        Client([f"{who}-{number}" for number in range(streams)], form, Random(who))  # noqa: S311
        for who, (form, streams) in enumerate(FORMS)
    ]
    with ExitStack() as stack, ThreadPoolExecutor(len(clients)) as threads:
        process = stack.enter_context(waiting(source.folder, **settings))
        for _ in range(times):
            live, begun, over = go(process), Event(), Event()
            pushing = [threads.submit(client.run, live, begun, over) for client in clients]
            coming = stack.enter_context(waiting(source.folder, **settings))
            assert begun.wait(LONG)
            over.wait(random.uniform(0, LONGEST_SECONDS))
            process.kill()
            for one in pushing:
                one.result()
            process = coming
        live = go(process)
        for client in clients:
            client.finish(live)
    log = open_log(None, tmp_path / FILE)
    for client in clients:
        client.hold(log, MODELS)
    log.close()

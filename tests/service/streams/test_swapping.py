"""Another version comes into production while streams are pushed to, and the one before comes back."""

from __future__ import annotations

import gc
import re
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from threading import Event
from time import monotonic

import pytest

from forecasting.log.opening import FILE, open_log
from service.settings import Settings
from service.streams import upkeep
from tests.forecasting.streams.machine import HOUR, START
from tests.service.streams.clients import LONG, Client, a_row
from tests.service.streams.replicas import Replicas, reload, state
from tests.service.streams.sending import Form, Push, tabled, timed, together, usual
from tests.service.streams.server import go, waiting
from tests.service.streams.versions import MODELS, registry
from tests.service.test_following import until

FORMS: tuple[tuple[Form, int], ...] = ((usual, 1), (timed, 1), (together, 90), (tabled, 90))
"""What clients push with, and to how many streams: of more than follow a version at once."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("turns", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_no_push_fails_as_models_change_and_after_a_while_all_are_answered_by_the_new_one(
    tmp_path: Path, turns: int
) -> None:
    source, over = registry(tmp_path / "models"), Event()
    settings = {
        "GATECAST_HOME": str(tmp_path),
        "GATECAST_POLL_SECONDS": "0.1",
        "GATECAST_SNAPSHOT_ROWS": "16",
        "GATECAST_REPLAY_ROWS": "24",
    }
    clients = [
        Client([f"{who}-{number}" for number in range(streams)], form, Random(who))  # noqa: S311
        for who, (form, streams) in enumerate(FORMS)
    ]
    with waiting(source.folder, **settings) as process, ThreadPoolExecutor(len(clients)) as threads:
        live = go(process)
        running = [threads.submit(client.run, live, Event(), over) for client in clients]
        try:
            _until_all_say(clients, "1", over)
            for turn in range(turns):
                version = "21"[turn % 2]
                source.turn(version)
                _until_all_say(clients, version, over)
        finally:
            over.set()
        assert [one.result() for one in running] == [False] * len(clients)
        counted = live.get("/metrics").body.decode()
    cached = re.search(r"^gatecast_streams_cached (\S+)", counted, re.MULTILINE)
    assert cached
    assert float(cached[1]) == sum(len(client.streams) for client in clients)
    log = open_log(None, tmp_path / FILE)
    for client in clients:
        client.hold(log, MODELS)
    log.close()


def _until_all_say(clients: Sequence[Client], version: str, over: Event) -> None:
    end = monotonic() + LONG
    while any({one.version for one in client.newest} != {version} for client in clients):
        assert monotonic() < end
        over.wait(0.05)


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[Replicas]:
    """Return services where streams follow a version when they are told to."""
    settings = Settings(device="cpu", poll_seconds=3600, home=tmp_path)
    log = open_log(None, tmp_path / FILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upkeep, "PAUSE_SECONDS", 3600)
        replicas = Replicas(settings, registry(tmp_path / "models"), log)
        yield replicas
        replicas.keep(0)
    log.close()


def test_the_old_version_answers_until_the_new_one_has_the_states_and_is_let_go_of_then(replicas: Replicas) -> None:
    client, random = replicas.start(), Random(0)  # noqa: S311

    def versions(hour: int, *names: str) -> list[str]:
        pushes = [Push(name, [START + hour * HOUR], [a_row(random)]) for name in names]
        return [one.version for one in together(client, pushes)]

    held = [f"s{number}" for number in range(100)]
    assert set(versions(0, *held)) == {"1"}
    old = weakref.ref(state(client).models.find("tiny").bundle)
    replicas.source.turn("2")
    reload(client)
    assert versions(1, "s0", "new", "s1") == ["1", "2", "1"]
    keeper = state(client).streams.store.keeper
    assert keeper.migrate(0.0)
    assert versions(2, "s0", "new", "s1") == ["2", "2", "2"]  # they go before those that nobody pushes to
    assert versions(1, "s99") == ["1"]
    while keeper.migrate(1.0):
        pass
    assert set(versions(2, *held[2:])) == {"2"}
    assert keeper.cached == 101
    until(lambda: gc.collect() >= 0 and old() is None)

"""Whatever is asked of services over HTTP, forecasts are those of a cold replay of what was accepted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import rule, run_state_machine_as_test

from forecasting.log.opening import FILE, open_log
from service.settings import Settings
from service.streams import upkeep
from tests.forecasting.streams.machine import MOST_GAPS, NAME, Machine, World
from tests.service.streams.replicas import Replicas
from tests.service.streams.versions import MODELS, registry
from tests.service.streams.web import Web


class WebMachine(Machine):
    """The rules, over HTTP."""

    models = MODELS
    replicas: Replicas
    world: Web

    def begin(self) -> World:
        return Web(self.replicas)

    @rule(name=NAME)
    def read_the_ledger(self, name: str) -> None:
        rows = self.oracles[name].rows
        if not rows:
            return
        ledger = self.world.ledger(name)
        assert [seq for seq, _ in ledger] == [seq for seq, row in enumerate(rows) if row.version]
        for seq, issued in ledger:
            assert issued.version == rows[seq].version
            self._same(name, seq, issued)


@pytest.fixture(params=["sqlite", "postgresql"])
def replicas(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Replicas]:
    """Return services over an empty database of each kind, that do nothing behind the back of a test."""
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    source = registry(tmp_path / "models")
    own: dict[str, Any] = {
        "device": "cpu",
        "poll_seconds": 3600,
        "log_url": url,
        "home": tmp_path,
        "durability": "normal",
    }
    own |= {"replay_rows": 6, "snapshot_rows": 3, "max_gap_rows": MOST_GAPS}
    log = open_log(url, tmp_path / FILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upkeep, "PAUSE_SECONDS", 3600)  # streams follow a version when the machine says so
        replicas = Replicas(Settings(**own), source, log)
        yield replicas
        replicas.keep(0)
    log.close()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("runs", [50, pytest.param(500, marks=pytest.mark.slow)])
def test_streams_are_what_a_cold_replay_says(replicas: Replicas, runs: int) -> None:
    machine = type("Started", (WebMachine,), {"replicas": replicas})
    run_state_machine_as_test(machine, settings=settings(max_examples=runs, stateful_step_count=25, deadline=None))

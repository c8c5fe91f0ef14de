"""Two services, two processes, one PostgreSQL: who pushes through both of them sees one order of rows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from random import Random
from threading import Barrier

import pytest

from forecasting.log.opening import FILE, open_log
from forecasting.log.records import Commit
from service.settings import Settings
from tests.service.streams.clients import Rival, hold
from tests.service.streams.pushing import body, hour, push, stream
from tests.service.streams.replicas import Replicas, state
from tests.service.streams.sending import Form, code_of, tabled, timed, together, usual
from tests.service.streams.server import go, waiting
from tests.service.streams.versions import MODELS, registry

STREAMS = ("one", "two", "three")
FORMS: tuple[tuple[Form, tuple[str, ...]], ...] = (
    (usual, STREAMS[:1]),
    (timed, STREAMS[:2]),
    (together, STREAMS),
    (tabled, STREAMS[::-1]),
)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("hours", [40, pytest.param(1000, marks=pytest.mark.slow)])
def test_pushes_through_two_services_have_one_order(tmp_path: Path, postgres_url: str, hours: int) -> None:
    source = registry(tmp_path / "models")
    settings = {"GATECAST_LOG_URL": postgres_url, "GATECAST_HOME": str(tmp_path), "GATECAST_SNAPSHOT_ROWS": "16"}
    rivals = [Rival(streams, form, Random(who)) for who, (form, streams) in enumerate(FORMS)]  # noqa: S311
    with waiting(source.folder, **settings) as one, waiting(source.folder, **settings) as other:
        services, at_once = [go(one), go(other)], Barrier(len(rivals))
        with ThreadPoolExecutor(len(rivals)) as threads:
            for done in [threads.submit(rival.run, services, hours, at_once) for rival in rivals]:
                done.result()
    log = open_log(postgres_url, tmp_path)
    for name in STREAMS:
        taken = [[rival.taken[name, hour] for rival in rivals if (name, hour) in rival.taken] for hour in range(hours)]
        assert {len(each) for each in taken} == {1}
        rows, answers = zip(*(each[0] for each in taken), strict=True)
        hold(log, MODELS, name, rows, answers)
    log.close()


def test_who_is_outrun_again_and_again_is_told_to_come_again_and_then_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever one service is about to write, the other one corrects a row of the same stream."""
    log = open_log(None, tmp_path / FILE)
    replicas = Replicas(Settings(device="cpu", poll_seconds=3600, home=tmp_path), registry(tmp_path / "models"), log)
    one, other = replicas.two()
    push(one, "s", 0)
    writes = state(one).streams.store.keeper.log
    commit, values = writes.commit, count()

    def commit_too_late(written: Commit) -> None:
        answer = other.put(f"{stream('s')}/observations/{hour(0)}", json={"observation": [next(values), 1000.0]})
        assert answer.status_code == 200
        commit(written)

    with monkeypatch.context() as patch:
        patch.setattr(writes, "commit", commit_too_late)
        refused = one.post(f"{stream('s')}/observations", json=body(1))
    assert (refused.status_code, code_of(refused.json())) == (503, "outrun")
    assert int(refused.headers["Retry-After"]) > 0
    again = push(one, "s", 1)
    assert (again["sequence"], again["replayed"]) == (1, False)
    assert next(values) > 1
    replicas.keep(0)
    log.close()

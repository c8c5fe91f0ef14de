"""Two services, two processes, one PostgreSQL: who pushes through both of them sees one order of rows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from threading import Barrier

import pytest

from forecasting.log.opening import open_log
from tests.service.streams.clients import Rival, hold
from tests.service.streams.sending import Form, tabled, timed, together, usual
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

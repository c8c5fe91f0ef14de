from __future__ import annotations

import numpy as np
import pytest
import torch

from forecasting import streaming
from forecasting.network import Rows
from forecasting.streaming import Job, stream
from tests.forecasting.panels import CELLS, HOURLY, close, forecaster, plain, walk

LENGTHS = (40, 700, 7, 513, 1300)


def jobs() -> list[Job]:
    """Series of different lengths, forecast from different rows; one is not forecast at all."""
    panel = [plain(walk(rows, seed=rows, missing=0.1), 3, 5, HOURLY) for rows in LENGTHS]
    starts = (0, 100, 3, 510, 1200)
    return [
        *(Job(one, range(at, len(one.series))) for one, at in zip(panel, starts, strict=True)),
        Job(panel[0], range(0)),
    ]


@pytest.mark.parametrize("cell", CELLS)
def test_many_series_side_by_side_are_forecast_as_each_alone(cell: str) -> None:
    network = forecaster(cell=cell, calendar=HOURLY.width, members=1)
    for job, together in zip(jobs(), stream(network, jobs()), strict=True):
        (alone,) = stream(network, [job])
        assert together.point.shape == (len(job.at), 2, 2)
        close(together.point, alone.point)
        close(together.median, alone.median)


def test_streaming_is_the_unroll_from_the_first_row() -> None:
    network = forecaster(calendar=HOURLY.width)
    for job, told in zip(jobs(), stream(network, jobs()), strict=True):
        values, calendar = job.one.z(job.first, job.at.stop), job.one.features(job.first, job.at.stop)
        if not len(job.at):
            continue
        rows = Rows(torch.from_numpy(values)[None], torch.from_numpy(calendar)[None])
        whole, _ = network.unroll(rows, network.initial_state(1))
        close(told.point, whole.point[0, job.at.start - job.first :].numpy())
        close(told.median, whole.median[0, job.at.start - job.first :].numpy())


@pytest.mark.parametrize(("start", "first"), [(0, 0), (1000, 0), (1024, 0), (1300, 276)])
def test_the_state_is_brought_up_over_the_rows_before_the_first_origin(start: int, first: int) -> None:
    assert Job(plain(walk(1400), 1, 2), range(start, 1400)).first == first


def test_the_size_of_the_chunks_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    network = forecaster(calendar=HOURLY.width)
    whole = stream(network, jobs())
    monkeypatch.setattr(streaming, "CHUNK", 97)
    monkeypatch.setattr(streaming, "TOGETHER", 2)
    for ours, theirs in zip(stream(network, jobs()), whole, strict=True):
        close(ours.point, theirs.point)


def test_no_jobs_and_empty_jobs_give_no_forecasts() -> None:
    network, one = forecaster(), plain(walk(30), 10, 20)
    assert stream(network, []) == []
    for told in stream(network, [Job(one, range(0)), Job(one, range(29, 20))]):
        assert told.point.shape == told.median.shape == (0, 2, 2)


def test_a_value_behind_an_origin_changes_no_forecast_made_there() -> None:
    network, z = forecaster(), walk(60)
    changed = z.copy()
    changed[40:] += 3
    before, after = (stream(network, [Job(plain(one, 10, 20), range(20, 50))])[0] for one in (z, changed))
    np.testing.assert_array_equal(before.point[:20], after.point[:20])
    assert (before.point[20:] != after.point[20:]).all()

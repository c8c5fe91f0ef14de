from __future__ import annotations

import numpy as np
import pytest
import torch

from forecasting import streaming
from forecasting.network import Rows
from forecasting.streaming import Job, stream
from tests.forecasting.panels import CELLS, HOURLY, close, forecaster, plain, scaled, series, walk

LENGTHS = (40, 700, 7, 513, 1300, 505)
COVARIATES = {"calendar": HOURLY.width, "past": 1, "known": 2}


def jobs() -> list[Job]:
    """Series of different lengths, forecast from different rows; one is not forecast at all."""
    panel = [plain(walk(rows, columns=5, seed=rows, missing=0.1), 3, 5, HOURLY, past=1, known=2) for rows in LENGTHS]
    starts = (0, 100, 3, 510, 1200, 500)
    return [
        *(Job(one, range(at, len(one.series))) for one, at in zip(panel, starts, strict=True)),
        Job(panel[0], range(0)),
    ]


@pytest.mark.parametrize("channels", ["joint", "independent"])
@pytest.mark.parametrize("cell", CELLS)
def test_many_series_side_by_side_are_forecast_as_each_alone(cell: str, channels: str) -> None:
    network = forecaster(cell=cell, channels=channels, members=1, **COVARIATES)
    for job, together in zip(jobs(), stream(network, jobs()), strict=True):
        (alone,) = stream(network, [job])
        assert together.point.shape == (len(job.at), 2, 2)
        close(tuple(together), tuple(alone))


def test_streaming_is_the_unroll_from_the_first_row() -> None:
    network = forecaster(**COVARIATES)
    for job, told in zip(jobs(), stream(network, jobs()), strict=True):
        if not len(job.at):
            continue
        start, stop = job.first, job.at.stop
        parts = (job.one.z(start, stop), job.one.features(start, stop), job.one.known(start, stop + 2))
        whole, _ = network.unroll(Rows(*(torch.from_numpy(one)[None] for one in parts)), network.initial_state(1))
        close(tuple(told), tuple(one[0, job.at.start - start :].numpy() for one in whole))


@pytest.mark.parametrize(("start", "first"), [(0, 0), (1000, 0), (1024, 0), (1300, 276)])
def test_the_state_is_brought_up_over_the_rows_before_the_first_origin(start: int, first: int) -> None:
    assert Job(plain(walk(1400), 1, 2), range(start, 1400)).first == first


@pytest.mark.parametrize(("name", "size"), [("CHUNK", 97), ("MOST_OUTPUTS", 2 * 12 * 61)])
def test_the_size_of_the_chunks_does_not_matter(monkeypatch: pytest.MonkeyPatch, name: str, size: int) -> None:
    network = forecaster(**COVARIATES)
    whole = stream(network, jobs())
    monkeypatch.setattr(streaming, name, size)
    monkeypatch.setattr(streaming, "TOGETHER", 2)
    for ours, theirs in zip(stream(network, jobs()), whole, strict=True):
        close(tuple(ours), tuple(theirs))


def test_no_jobs_and_empty_jobs_give_no_forecasts() -> None:
    network, one = forecaster(), plain(walk(30), 10, 20)
    assert stream(network, []) == []
    (alone,) = stream(network, [Job(one, range(0))])
    assert alone.point.shape == (0, 2, 2)
    for told in stream(network, [Job(one, range(0)), Job(one, range(29, 20))]):
        assert told.point.shape == told.median.shape == told.scale.shape == (0, 2, 2)


def test_a_value_behind_an_origin_changes_no_forecast_made_there() -> None:
    network, z = forecaster(), walk(60)
    changed = z.copy()
    changed[40:] += 3
    before, after = (stream(network, [Job(plain(one, 10, 20), range(20, 50))])[0] for one in (z, changed))
    np.testing.assert_array_equal(before.point[:20], after.point[:20])
    assert (before.point[20:] != after.point[20:]).all()


def test_a_series_is_streamed_with_its_static_covariates() -> None:
    """Two series of equal rows are told apart; a category that training never saw is none at all."""
    z = walk(90)
    kinds = {"a": "mill", "b": "shop", "c": "barn", "d": None, "e": "mill"}
    late = {"c", "d"}  # without a row in training
    panel = scaled(
        *(series(name, z[60:] if name in late else z, 60 * (name in late), kind=kinds[name]) for name in kinds)
    )
    network = forecaster(categories=panel[0].statics.categories, calendar=HOURLY.width)
    assert network.architecture.categories == (3,)
    told = dict(zip(kinds, stream(network, [Job(one, range(5, 30)) for one in panel]), strict=True))
    close(tuple(told["a"]), tuple(told["e"]))
    close(tuple(told["c"]), tuple(told["d"]))
    assert (told["a"].point != told["b"].point).all()

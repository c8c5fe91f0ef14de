from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.scaled import ScaledSeries
from forecasting.sequences import Batch, Sequences, Shape, fitting, gather
from forecasting.streaming import Job, stream
from tests.forecasting.panels import HOURLY, forecaster, plain, scaled, series, walk


def counting(rows: int, train: int, offset: int = 0) -> ScaledSeries:
    """Build a series whose value is its row number plus an offset."""
    return plain(np.arange(rows)[:, None] + offset, train, min(train + 1, rows))


def lessons(sequences: Sequences) -> list[float]:
    """List the targets of one epoch, NaN left out."""
    positions = range(sequences.shape.burn_in, sequences.shape.steps)
    batches = torch.cat([batch.targets(positions).flatten() for batch in sequences])
    return [float(target) for target in batches[~batches.isnan()]]


def test_targets_are_the_rows_that_come_after_each_position() -> None:
    batch = gather([(counting(40, 30), 3), (counting(40, 30), 5)], Shape(batch=2, burn_in=2, length=4, horizon=3))
    assert batch.rows.values.shape == (2, 6, 1)
    for positions in (range(2, 6), range(3, 6, 2), range(5, 6)):
        came = batch.targets(positions)
        assert came.shape == (2, len(positions), 3, 1)
        for i, start in enumerate((3, 5)):
            for place, t in enumerate(positions):
                assert came[i, place, :, 0].tolist() == [start + t + step for step in (1, 2, 3)]


def test_rows_outside_the_training_part_are_missing() -> None:
    batch = gather([(counting(40, 10), -2), (counting(40, 10), 6)], Shape(batch=2, burn_in=2, length=4, horizon=1))
    before, behind = torch.cat([batch.rows.values, batch.following], dim=1)[:, :, 0]
    assert before.isnan().tolist() == [True, True, False, False, False, False, False]
    assert before[2:].tolist() == [0, 1, 2, 3, 4]
    assert behind[:4].tolist() == [6, 7, 8, 9]
    assert behind[4:].isnan().all()


@given(
    lengths=st.lists(st.integers(3, 80), min_size=1, max_size=4),
    burn_in=st.integers(0, 20),
    length=st.integers(2, 30),
    horizon=st.integers(1, 2),
    seed=st.integers(0, 999),
)
@settings(max_examples=30, deadline=None)
def test_no_target_lies_beyond_the_training_part(
    lengths: list[int], burn_in: int, length: int, horizon: int, seed: int
) -> None:
    panel = [counting(train + 20, train, offset=1000 * i) for i, train in enumerate(lengths)]
    sequences = Sequences(panel, Shape(3, burn_in, length, horizon), 4, seed)
    trained = {1000 * i + row for i, train in enumerate(lengths) for row in range(1, train)}
    assert set(lessons(sequences)) <= trained
    for batch in sequences:
        inputs = batch.rows.values[~batch.rows.values.isnan()].tolist()
        assert set(inputs) <= trained | {1000.0 * i for i in range(len(lengths))}


@given(
    lengths=st.lists(st.integers(10, 80), min_size=1, max_size=4),
    burn_in=st.integers(0, 20),
    length=st.integers(4, 30),
    seed=st.integers(0, 999),
)
@settings(max_examples=30, deadline=None)
def test_rows_of_a_batch_follow_each_other_in_one_series(
    lengths: list[int], burn_in: int, length: int, seed: int
) -> None:
    panel = [counting(train + 20, train, offset=1000 * i) for i, train in enumerate(lengths)]
    for batch in Sequences(panel, Shape(3, burn_in, length, 1), 4, seed):
        for rows in torch.cat([batch.rows.values, batch.following], dim=1)[:, :, 0]:
            seen = rows[~rows.isnan()]
            assert (seen.diff() == 1).all()
            assert len(seen) > 1


def test_every_row_is_a_target_about_once_a_pass_in_short_series_too() -> None:
    panel = [counting(900, 800), counting(400, 300, offset=1000), counting(60, 40, offset=2000)]
    sequences = Sequences(panel, Shape(batch=1, burn_in=48, length=20, horizon=1), 1, seed=0)
    epochs = 40
    counts = np.zeros(3000)
    for _ in range(epochs):
        np.add.at(counts, np.array(lessons(sequences), dtype=int), 1)
    trained = np.concatenate([np.arange(20, 800), np.arange(1020, 1300), np.arange(2020, 2040)])
    assert (counts[trained] > 0.6 * epochs).all()
    assert (counts <= 1.1 * epochs).all()
    assert counts[trained].mean() / epochs > 0.9


def test_burn_in_and_length_shrink_where_no_series_has_as_many_rows() -> None:
    assert fitting(Shape(8, 48, 192, 1), 1000, 9000) == Shape(8, 48, 192, 1)
    assert fitting(Shape(8, 48, 192, 1), 100, 9000) == Shape(8, 33, 66, 1)
    assert fitting(Shape(8, 48, 192, 1), 3, 30) == Shape(8, 0, 2, 1)


def test_a_small_panel_has_small_batches() -> None:
    assert fitting(Shape(32, 48, 192, 1), 2000, 2000).batch == 10
    assert fitting(Shape(32, 48, 192, 1), 200, 200).batch == 4


def test_the_linear_road_says_in_training_what_it_says_when_streamed() -> None:
    one, network = plain(walk(300, columns=5), 200, 250, past=1, known=2), forecaster(1, lags=24, past=1, known=2)
    network.spread.zero_()
    shape, start = Shape(1, 2, 40, 2, prior=24), 100
    batch = gather([(one, start)], shape)
    members, _ = network.unroll_members(batch.rows, network.primed_state(batch.prior))
    (told,) = stream(network, [Job(one, range(start, start + shape.steps))])
    np.testing.assert_allclose(members[0][0, :, 0], told.point, atol=1e-5)
    np.testing.assert_allclose(members[0][0, :, 1], told.median, atol=1e-5)
    np.testing.assert_allclose(members[0][0, :, 2].exp(), told.scale, atol=1e-5)
    cold, _ = network.unroll_members(batch.rows, network.initial_state(1))
    assert not np.allclose(cold[0][0, :, 0], told.point, atol=1e-2)


def taken(seed: int, epochs: int = 2) -> list[Batch]:
    panel = [plain(walk(200, missing=0.1), 150, 170, HOURLY), plain(walk(90, seed=1), 60, 70, HOURLY)]
    sequences = Sequences(panel, Shape(4, 8, 16, 2), 5, seed)
    return [batch for _ in range(epochs) for batch in sequences]


def same(ours: Batch, theirs: Batch) -> bool:
    return torch.equal(ours.rows.values.nan_to_num(), theirs.rows.values.nan_to_num())


def test_the_same_seed_gives_the_same_batches_and_another_seed_others() -> None:
    assert all(same(*pair) for pair in zip(taken(0), taken(0), strict=True))
    assert not all(same(*pair) for pair in zip(taken(0), taken(1), strict=True))


def test_another_epoch_cuts_elsewhere() -> None:
    batches = taken(0)
    assert not any(same(*pair) for pair in zip(batches[:5], batches[5:], strict=True))


def test_an_epoch_is_a_pass_or_the_least_number_of_batches() -> None:
    panel = [counting(1000, 800)]
    assert len(Sequences(panel, Shape(4, 8, 20, 1), 3, 0)) == 10
    assert len(Sequences(panel, Shape(4, 8, 20, 1), 30, 0)) == len(lessons_of(panel)) == 30


def lessons_of(panel: list[ScaledSeries]) -> list[Batch]:
    return list(Sequences(panel, Shape(4, 8, 20, 1), 30, 0))


def test_an_epoch_over_a_million_rows_copies_a_batch_at_a_time() -> None:
    one = plain(np.zeros((1_000_000, 2), dtype=np.float32), 900_000, 950_000, HOURLY)
    tracemalloc.start()
    try:
        for _ in Sequences([one], Shape(32, 48, 768, 1), 1, 0):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 64 * 2**20


def test_known_covariates_reach_as_far_as_the_targets_and_targets_alone_are_lessons() -> None:
    z = np.arange(40)[:, None] + np.array([0.0, 100.0, 200.0])  # a target, a past covariate, a known one
    one = plain(z, 30, 31, past=1, known=1)
    batch = gather([(one, 20)], Shape(batch=1, burn_in=2, length=4, horizon=3, prior=5))
    assert batch.prior[0].tolist() == [[row, 100.0 + row] for row in range(15, 20)]
    assert batch.rows.values[0].tolist() == [[row, 100.0 + row] for row in range(20, 26)]
    assert batch.rows.known[0, :, 0].tolist() == [200.0 + row for row in range(20, 29)]
    assert batch.following[0].tolist() == [[row] for row in range(26, 29)]


@pytest.mark.parametrize("start", [-4, 25])
def test_known_covariates_outside_the_training_part_are_missing(start: int) -> None:
    one = plain(np.tile(np.arange(40.0)[:, None], 2), 30, 31, known=1)
    rows = gather([(one, start)], Shape(batch=1, burn_in=2, length=4, horizon=3)).rows.known[0, :, 0]
    for place, row in enumerate(rows, start):
        assert float(row) == place if 0 <= place < 30 else row.isnan()


def with_statics() -> list[ScaledSeries]:
    draw = [series(name, walk(60, seed=i), kind=name, size=float(i)) for i, name in enumerate("xyz")]
    return list(scaled(*draw))


def test_each_sequence_has_the_static_covariates_of_its_series() -> None:
    panel = with_statics()
    batch = gather([(panel[2], 0), (panel[0], 3)], Shape(batch=2, burn_in=2, length=4, horizon=1))
    assert batch.static.codes.tolist() == [[3], [1]]
    assert torch.equal(batch.static.numbers, torch.from_numpy(np.stack([panel[i].static.numbers for i in (2, 0)])))


def test_now_and_then_the_static_covariates_of_a_sequence_are_forgotten_all_together() -> None:
    taken_from = Sequences(with_statics(), Shape(8, 2, 8, 1), 200, seed=0)
    static = [batch.static for batch in taken_from]
    codes, masks = (
        torch.cat(parts) for parts in ([one.codes for one in static], [one.numbers[:, 1] for one in static])
    )
    assert torch.equal(codes[:, 0] > 0, masks > 0)
    assert 0.07 < (codes == 0).float().mean() < 0.13

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.scaling import Scale, Scaler, fit_scaler
from forecasting.series import cut
from tests.forecasting.panels import panel, series, walk

NAN = np.nan


def fitted(*values: np.ndarray) -> Scaler:
    return fit_scaler(panel(*(series(f"s{i}", one) for i, one in enumerate(values))))


@given(
    st.floats(-1e6, 1e6, width=32),
    st.floats(0.0009765625, 1e3, width=32),
    st.integers(0, 999),
    st.sampled_from([0.0, 0.3]),
)
@settings(max_examples=30, deadline=None)
def test_training_rows_have_mean_zero_and_deviation_one(mean: float, std: float, seed: int, missing: float) -> None:
    values = walk(200, seed=seed, missing=missing) * std + mean
    units = fitted(values).units("s0")
    ideal = (values - values[~np.isnan(values).any(axis=1)].mean()) / std
    z = (values.astype(np.float64) - units.mean.astype(np.float64)) / units.std
    resolution = np.spacing(np.float32(abs(mean) + 10 * std)) / std
    assert np.isfinite(ideal).any()
    np.testing.assert_allclose(np.nanmean(z, axis=0), 0, atol=1e-4 + 2 * resolution)
    np.testing.assert_allclose(np.nanstd(z, axis=0), 1, atol=1e-3 + 2 * resolution)


@given(st.integers(0, 999))
@settings(max_examples=20, deadline=None)
def test_scaling_there_and_back_gives_the_values(seed: int) -> None:
    values = walk(50, seed=seed, missing=0.2) * 7 + 30
    units = fitted(values).units("s0")
    np.testing.assert_allclose(units.from_z(units.to_z(values)), values, rtol=1e-5, atol=1e-4)


@given(st.integers(0, 99), st.floats(-1e6, 1e6, width=32))
@settings(max_examples=20, deadline=None)
def test_rows_behind_the_training_part_change_no_statistic(seed: int, value: float) -> None:
    before = walk(100, seed=seed)
    after = before.copy()
    after[60:] = value
    scalers = []
    for values in (before, after):
        whole = panel(series("a", values), series("b", values * 2, late=10))
        scalers.append(fit_scaler(cut(whole, (60, 20, 20)).train(whole)))
    assert scalers[0].overall == scalers[1].overall
    assert scalers[0].series["a"] == scalers[1].series["a"]


def test_each_series_has_its_own_scale_and_all_together_have_one() -> None:
    low, high = np.arange(40.0).reshape(20, 2), np.arange(40.0).reshape(20, 2) + 1000
    scaler = fitted(low, high)
    assert scaler.series["s0"].mean == (19.0, 20.0)
    assert scaler.series["s1"].mean == (1019.0, 1020.0)
    assert scaler.overall.mean == (519.0, 520.0)
    assert scaler.overall.std == pytest.approx([np.concatenate([low, high])[:, 0].std()] * 2)


def test_a_series_that_was_not_in_training_takes_the_scale_of_all_together() -> None:
    scaler = fitted(walk(50), walk(50, seed=1) + 5)
    assert not scaler.knows("elsewhere")
    assert scaler.knows("s0")
    for series_id in ("elsewhere", None):
        np.testing.assert_array_equal(scaler.units(series_id).mean, np.float32(scaler.overall.mean))


@pytest.mark.parametrize("constant", [0.0, 0.1, -273.15, 1e6])
def test_a_column_that_never_moves_takes_the_spread_of_the_panel(constant: float) -> None:
    still, moving = walk(50), walk(50, seed=1)
    still[:, 0] = constant
    scaler = fitted(still, moving)
    assert scaler.series["s0"].mean[0] == np.float32(constant)
    assert scaler.series["s0"].std[0] == scaler.overall.std[0] > 0


def test_a_column_that_moves_nowhere_has_deviation_one() -> None:
    values = walk(50)
    values[:, 0] = 3.0
    assert fitted(values).overall.std[0] == fitted(values).series["s0"].std[0] == 1.0


def test_a_column_never_seen_in_a_series_takes_the_mean_of_the_panel() -> None:
    unseen, seen = walk(50), walk(50, seed=1)
    unseen[:, 0] = NAN
    scaler = fitted(unseen, seen)
    assert scaler.series["s0"].mean[0] == scaler.overall.mean[0]
    assert scaler.series["s0"].std[0] == scaler.overall.std[0]


def test_a_series_without_an_observed_training_row_is_not_known() -> None:
    scaler = fitted(walk(50), np.full((20, 2), NAN), np.zeros((0, 2)))
    assert set(scaler.series) == {"s0"}


def test_a_cell_outside_the_limits_becomes_missing() -> None:
    units = fitted(walk(100)).units("s0")
    z = units.to_z(np.float32([[0.0, 1e6], [NAN, -1e6]]))
    np.testing.assert_array_equal(np.isnan(z), [[False, True], [True, True]])


def test_a_spike_in_training_rows_does_not_stretch_the_scale() -> None:
    values = walk(2000)
    spiked = values.copy()
    spiked[100, 0] = 1e7
    assert fitted(spiked).overall.std[0] == pytest.approx(fitted(values).overall.std[0], rel=0.01)


numbers = st.floats(allow_nan=False, allow_infinity=False)
limits = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False, width=32))


@given(st.tuples(numbers, numbers), st.tuples(limits, limits), st.text())
@settings(max_examples=50, deadline=None)
def test_a_scaler_survives_json_to_the_bit(
    pair: tuple[float, float], edges: tuple[float | None, float | None], name: str
) -> None:
    scale = Scale(mean=pair, std=pair, lower=edges, upper=edges)
    scaler = Scaler(series={name: scale}, overall=scale)
    assert msgspec.json.decode(msgspec.json.encode(scaler), type=Scaler) == scaler


def test_arrays_after_json_are_the_same_to_the_bit() -> None:
    scaler = fitted(walk(100, missing=0.1))
    again = msgspec.json.decode(msgspec.json.encode(scaler), type=Scaler)
    for ours, theirs in zip(scaler.units("s0"), again.units("s0"), strict=True):
        assert ours.tobytes() == theirs.tobytes()

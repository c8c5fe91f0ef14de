from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.scaling import Scale, Scaler, fit_scaler
from forecasting.series import cut
from forecasting.transforms import PLAIN, Transform
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


def kinds(width: int = 2, **nature: Any) -> tuple[Transform, ...]:
    return (Transform(**nature), *[PLAIN] * (width - 1))


NATURES = st.builds(
    Transform,
    log1p=st.booleans(),
    integer=st.booleans(),
    bounds=st.sampled_from([(None, None), (0.0, None), (0.1, 99.7), (0.5, 9.5), (None, 1e4), (0.0, 1e12)]),
)


@given(NATURES, st.integers(0, 999), st.sampled_from([0.01, 1.0, 1e4, 1e12, 1e30]))
@settings(max_examples=60, deadline=None)
def test_an_answer_is_finite_and_respects_the_nature_of_its_column(nature: Transform, seed: int, size: float) -> None:
    values = np.abs(walk(60, columns=1, seed=seed)) * size
    units = fit_scaler(panel(series("a", values)), (nature,)).units("a")
    said = units.from_z(np.linspace(-1e4, 1e4, 101, dtype=np.float32)[:, None], 1.5)
    low, high = nature.limits
    assert said.dtype == np.float32
    assert np.isfinite(said).all()
    assert low is None or float(said.min()) >= low
    assert high is None or float(said.max()) <= high
    assert not nature.integer or (said == np.rint(said)).all()


@given(NATURES, st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_what_is_possible_goes_there_and_back(nature: Transform, seed: int) -> None:
    values = np.abs(walk(60, columns=1, seed=seed, missing=0.1)) * 20
    low, high = nature.limits
    values = np.clip(np.rint(values) if nature.integer else values, low, high)
    units = fit_scaler(panel(series("a", values)), (nature,)).units("a")
    back = units.from_z(units.to_z(values.astype(np.float32)))
    np.testing.assert_allclose(back, values.astype(np.float32), rtol=1e-4, atol=1e-4)


@given(NATURES, st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_an_answer_never_falls_where_its_z_rises(nature: Transform, seed: int) -> None:
    values = np.abs(walk(60, columns=1, seed=seed))
    units = fit_scaler(panel(series("a", values)), (nature,)).units("a")
    assert (np.diff(units.from_z(np.linspace(-30, 30, 301, dtype=np.float32)[:, None]), axis=0) >= 0).all()


def test_a_column_learnt_as_a_logarithm_is_scaled_behind_it() -> None:
    values = np.expm1(np.abs(walk(300)) * 2)
    scale = fit_scaler(panel(series("a", values)), kinds(log1p=True)).overall
    seen = values.astype(np.float64)
    assert scale.mean == pytest.approx((np.log1p(seen[:, 0]).mean(), seen[:, 1].mean()))
    assert scale.std == pytest.approx((np.log1p(seen[:, 0]).std(), seen[:, 1].std()))
    assert scale.spread == pytest.approx((seen[:, 0].std(), seen[:, 1].std()))


@given(st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_a_smear_moves_the_logarithm_and_nothing_else(seed: int) -> None:
    values = np.abs(walk(80, seed=seed)) * 5
    units = fit_scaler(panel(series("a", values)), kinds(log1p=True)).units("a")
    z = units.to_z(values)
    plain, smeared = units.from_z(z), units.from_z(z, 0.25)
    np.testing.assert_allclose(np.log1p(smeared[:, 0]), np.log1p(plain[:, 0]) + 0.25, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(smeared[:, 1], plain[:, 1])


def test_a_smear_may_differ_by_step_and_column() -> None:
    units = fit_scaler(panel(series("a", np.abs(walk(80)))), kinds(log1p=True)).units("a")
    z, smear = np.zeros((4, 3, 2), dtype=np.float32), np.zeros((3, 2), dtype=np.float32)
    smear[2, 0] = 0.5
    said = units.from_z(z, smear)
    assert (said[:, 2, 0] > said[:, 1, 0]).all()
    np.testing.assert_array_equal(said[:, 1], said[:, 0])


def test_what_is_impossible_becomes_missing_and_the_bound_itself_does_not() -> None:
    values = np.abs(walk(100)) / 10
    units = fit_scaler(panel(series("a", values)), kinds(bounds=(0.0, 0.1))).units("a")
    z = units.to_z(np.array([[-0.01, 0], [0.11, 0], [0.1, 0], [0, 0]], dtype=np.float32))
    assert np.isnan(z[:, 0]).tolist() == [True, True, False, False]


def test_whole_numbers_stay_inside_bounds_that_are_none() -> None:
    units = fit_scaler(panel(series("a", np.arange(1.0, 10)[:, None])), kinds(1, integer=True, bounds=(0.5, 9.5)))
    said = units.units("a").from_z(np.array([[-99], [99]], dtype=np.float32))
    assert said.ravel().tolist() == [1, 9]


def test_a_column_never_seen_in_training_takes_only_what_is_possible() -> None:
    values = walk(60)
    values[:, 0] = NAN
    scaler = fit_scaler(panel(series("a", values)), kinds(log1p=True))
    for name in ("a", "elsewhere"):
        z = scaler.units(name).to_z(np.array([[-5, 0], [3, 0]], dtype=np.float32))
        assert np.isnan(z[:, 0]).tolist() == [True, False]


def test_a_constant_logarithm_has_no_spread_of_its_own() -> None:
    values = walk(1000)
    values[:, 0] = 0.3
    assert fit_scaler(panel(series("a", values)), kinds(log1p=True)).overall.std[0] == 1.0


def test_one_scale_may_be_for_all_series() -> None:
    parts = series("a", walk(50)), series("b", walk(50, seed=1) + 100), series("c", np.full((50, 2), NAN))
    scaler = fit_scaler(panel(*parts), by_series=False)
    assert scaler.series == {}
    assert [scaler.knows(name) for name in ("a", "b", "c", "d", None)] == [True, True, False, False, False]
    assert scaler.units("a") is scaler.units("b")
    assert scaler.overall == fit_scaler(panel(*parts)).overall


def test_a_rare_event_known_in_advance_is_never_implausible() -> None:
    values = np.zeros((2000, 2), dtype=np.float32)
    values[:, 0] = walk(2000, columns=1)[:, 0]
    values[:, 1] = np.arange(2000) % 7
    values[5, 1] = 1e6
    known, past = (
        fit_scaler(panel(series("a", values), known=known, past=past)).overall for known, past in ((1, 0), (0, 1))
    )
    assert (known.lower[1], known.upper[1]) == (None, None)
    assert past.upper[1] == 6 + 10 * 6


def test_a_series_with_nothing_but_covariates_in_training_is_not_known() -> None:
    values = walk(50)
    values[:, 0] = NAN
    scaler = fit_scaler(panel(series("a", walk(50, seed=1)), series("b", values), known=1))
    assert scaler.ids == ("a",)


numbers = st.floats(allow_nan=False, allow_infinity=False)
limits = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False, width=32))


@given(st.tuples(numbers, numbers), st.tuples(limits, limits), st.text(), st.tuples(NATURES, NATURES))
@settings(max_examples=50, deadline=None)
def test_a_scaler_survives_json_to_the_bit(
    pair: tuple[float, float],
    edges: tuple[float | None, float | None],
    name: str,
    natures: tuple[Transform, Transform],
) -> None:
    scale = Scale(mean=pair, std=pair, spread=pair, lower=edges, upper=edges)
    scaler = Scaler(series={name: scale}, overall=scale, transforms=natures, ids=(name,))
    assert msgspec.json.decode(msgspec.json.encode(scaler), type=Scaler) == scaler


def test_arrays_after_json_are_the_same_to_the_bit() -> None:
    scaler = fitted(walk(100, missing=0.1))
    again = msgspec.json.decode(msgspec.json.encode(scaler), type=Scaler)
    for ours, theirs in zip(scaler.units("s0"), again.units("s0"), strict=True):
        assert np.asarray(ours).tobytes() == np.asarray(theirs).tobytes()

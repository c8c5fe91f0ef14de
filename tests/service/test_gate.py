"""The gate: what is not whole, not finite, or not what it was, is not served; whatever its digests say."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from safetensors.torch import load_file

from forecasting.bundle import Bundle, Spec, save_bundle
from forecasting.calendar import Calendar
from forecasting.columns import Columns
from forecasting.errors import BundleError, CorruptBundle, NotReproduced
from forecasting.prediction import forecast
from service.contract import changes_between
from service.gate import open_model
from service.models import ServedModel, ServedRef
from service.problems import OutOfMemory, SchemaChanged
from tests.bundles import ALL_COLUMNS, make_bundle, make_rich_bundle, recorded, rich_window, window
from tests.forecasting.spoiling import reweighted, rewritten

REF = ServedRef("tiny", "1", "production", "r1")


def opened(folder: Path, **kwargs: Any) -> ServedModel:
    return open_model(folder, REF, "cpu", **kwargs)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Save a bundle with covariates of every kind, and with what it says of a window."""
    save_bundle(recorded(make_rich_bundle(), rich_window()), tmp_path / "bundle")
    return tmp_path / "bundle"


def test_what_passes_answers_as_the_bundle_does(folder: Path) -> None:
    model = opened(folder)
    asked = rich_window(seed=3)
    expected, found = forecast(make_rich_bundle(), asked), forecast(model.bundle, asked, engine=model.engine)
    assert found.point == pytest.approx(expected.point, rel=1e-4)
    assert model.replaced is None


@given(where=st.floats(0, 1, exclude_max=True), mask=st.integers(1, 255), data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_byte_that_is_flipped_anywhere_is_refused(folder: Path, where: float, mask: int, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(folder.iterdir())))
    whole = path.read_bytes()
    content = bytearray(whole)
    content[int(where * len(content))] ^= mask
    path.write_bytes(content)
    try:
        if path.name != "manifest.json" or not same_json(whole, bytes(content)):  # white space says nothing
            with pytest.raises(BundleError):
                opened(folder)
    finally:
        path.write_bytes(whole)


def same_json(one: bytes, other: bytes) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False


@pytest.mark.parametrize("name", ["scaler.json", "weights.safetensors", "manifest.json", "golden.json"])
def test_half_a_file_is_refused(name: str, folder: Path) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(CorruptBundle):
        opened(folder)


class Mischief:
    """What leaves a file behind when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.trace}",)


@pytest.mark.parametrize("name", ["model.pkl", "weights.safetensors", "data.json"])
def test_a_pickle_does_not_run(name: str, folder: Path, tmp_path: Path) -> None:
    rewritten(folder, name, pickle.dumps(Mischief(tmp_path / "trace")))
    if name == "data.json":  # named, and nothing that this version reads
        opened(folder)
    else:
        with pytest.raises(CorruptBundle):
            opened(folder)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_no_number_is_refused_though_its_digest_is_right(value: float, folder: Path) -> None:
    weights = load_file(folder / "weights.safetensors")
    for name, weight in weights.items():
        spoilt = weight.clone()
        spoilt.view(-1)[-1] = value
        reweighted(folder, name, spoilt)
        with pytest.raises(CorruptBundle, match="not a finite number"):
            opened(folder)
        reweighted(folder, name, weight)


def test_one_weight_that_was_changed_is_refused_though_its_digest_is_right(folder: Path) -> None:
    bias = load_file(folder / "weights.safetensors")["linear.bias"]
    reweighted(folder, "linear.bias", bias + 0.01 * torch.arange(len(bias)))
    with pytest.raises(NotReproduced):
        opened(folder)


def test_what_was_recorded_on_the_network_itself_is_what_its_engine_says(tmp_path: Path) -> None:
    for name, bundle in {
        "plain": recorded(make_bundle(), window(200, missing=0.3)),
        "rich": make_rich_bundle(),
    }.items():
        save_bundle(bundle, tmp_path / name)
        assert opened(tmp_path / name).engine.name == "onnxruntime on cpu"


def test_a_device_without_room_is_told_and_takes_nothing_with_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> Bundle:
        raise torch.OutOfMemoryError

    monkeypatch.setattr("service.gate.load_bundle", full)
    with pytest.raises(OutOfMemory, match="tiny version 1 does not fit into the memory of cpu"):
        opened(folder)


SPEC = make_rich_bundle().spec
CHANGES: dict[str, tuple[Callable[[Spec], Spec], str]] = {
    "order": (
        lambda spec: replace(spec, columns=Columns(("b", "a"), *_roles(ALL_COLUMNS)[1:])),
        "the targets columns [a, b] became [b, a]",
    ),
    "a past covariate less": (
        lambda spec: replace(spec, columns=Columns(("a", "b"), (), *_roles(ALL_COLUMNS)[2:])),
        "the past columns [rain] became []",
    ),
    "a known covariate": (
        lambda spec: replace(spec, columns=replace(ALL_COLUMNS, known=("price",))),
        "the known columns [price, holiday] became [price]",
    ),
    "statics": (
        lambda spec: replace(spec, columns=replace(ALL_COLUMNS, static=())),
        "the static columns [size, region] became []",
    ),
    "frequency": (lambda spec: replace(spec, calendar=Calendar(freq="30min")), "the frequency h became 30min"),
    "time zone": (
        lambda spec: replace(spec, calendar=Calendar(freq="h", timezone="Europe/Berlin")),
        "the time zone UTC became Europe/Berlin",
    ),
    "times": (lambda spec: replace(spec, calendar=Calendar(freq="YS")), "that times are needed True became False"),
    "panel": (lambda spec: replace(spec, panel=False), "that there are several series True became False"),
    "units": (lambda spec: replace(spec, units={"a": "degC"}), "the unit of a 'degF' became 'degC'"),
    "horizon": (
        lambda spec: replace(spec, architecture=replace(spec.architecture, horizon=1)),
        "the horizon 2 became 1",
    ),
    "missing": (lambda spec: replace(spec, missing=False), "missing values are no longer accepted"),
}


def _roles(columns: Columns) -> tuple[tuple[str, ...], ...]:
    return columns.targets, columns.past, columns.known, columns.static


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_client_relied_on_and_is_gone_is_told(change: str) -> None:
    make, said = CHANGES[change]
    assert said in list(changes_between(SPEC, make(SPEC)))


def test_a_longer_horizon_or_a_new_unit_takes_nothing_from_a_client() -> None:
    longer = replace(
        SPEC, architecture=replace(SPEC.architecture, horizon=9), lookback=99, units={"b": "kW", "a": "degF"}
    )
    assert list(changes_between(SPEC, longer)) == []
    assert list(changes_between(replace(SPEC, missing=False), SPEC)) == []


def test_another_contract_is_refused_or_remembered_until_the_next(tmp_path: Path) -> None:
    other, again = make_bundle(columns=Columns(("x", "y"))), make_bundle(columns=Columns(("x", "y")), lookback=9)
    for name, bundle in {"first": make_bundle(), "other": other, "again": again}.items():
        save_bundle(bundle, tmp_path / name)
    first = opened(tmp_path / "first")
    with pytest.raises(SchemaChanged, match=r"the targets columns \[a, b\] became \[x, y\]"):
        opened(tmp_path / "other", before=first)
    second = opened(tmp_path / "other", before=first, may_change=True)
    third = opened(tmp_path / "again", before=second)
    assert second.replaced == third.replaced == first.bundle.spec
    assert dataclasses.replace(third, replaced=None).replaced is None

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from safetensors.torch import load_file, save_file

from forecasting.bundle import FORMAT, MANIFEST, Bundle, Golden, load_bundle, save_bundle
from forecasting.errors import BundleError, CorruptBundle, IncompatibleBundle
from forecasting.network import Rows
from tests.forecasting.panels import CELLS, forecaster

FILES = ("spec.json", "weights.safetensors", "scaler.json", "scorecard.json", "golden.json", MANIFEST)


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """Return a copy of the tiny bundle that a test may spoil."""
    return Path(copytree(tiny_folder, tmp_path / "copy"))


def rewritten(folder: Path, name: str, content: bytes) -> None:
    """Replace a file and its digest, as somebody would who means it."""
    (folder / name).write_bytes(content)
    manifest = json.loads((folder / MANIFEST).read_bytes())
    manifest[name] = hashlib.sha256(content).hexdigest()
    (folder / MANIFEST).write_text(json.dumps(manifest))


def respecified(folder: Path, **changes: Any) -> None:
    spec = json.loads((folder / "spec.json").read_bytes())
    spec["architecture"] |= {key: value for key, value in changes.items() if key in spec["architecture"]}
    spec |= {key: value for key, value in changes.items() if key in spec}
    rewritten(folder, "spec.json", json.dumps(spec).encode())


def reweighted(folder: Path, name: str, weight: torch.Tensor) -> None:
    weights = load_file(folder / "weights.safetensors")
    save_file(weights | {name: weight}, folder / "weights.safetensors")
    rewritten(folder, "weights.safetensors", (folder / "weights.safetensors").read_bytes())


def refused(folder: Path, kind: type[BundleError] = CorruptBundle) -> str:
    with pytest.raises(BundleError) as caught:
        load_bundle(folder)
    assert type(caught.value) is kind
    return str(caught.value)


@pytest.mark.parametrize("cell", CELLS)
def test_a_bundle_comes_back_equal_to_the_bit(cell: str, tiny_bundle: Bundle, tmp_path: Path) -> None:
    made = forecaster(cell=cell, calendar=tiny_bundle.spec.calendar.width)
    golden = Golden(series="north", values=((1.5, None),), times=(7,), point=((0.1, 0.2),), median=((0.3, 0.4),))
    saved = Bundle(replace(tiny_bundle.spec, architecture=made.architecture), made, tiny_bundle.scaler, None, (golden,))
    save_bundle(saved, tmp_path / "new" / "bundle")
    opened = load_bundle(tmp_path / "new" / "bundle")
    assert (opened.spec, opened.scaler, opened.scorecard, opened.golden) == (
        saved.spec, saved.scaler, saved.scorecard, saved.golden,
    )  # fmt: skip
    ours, theirs = made.state_dict(), opened.forecaster.state_dict()
    assert list(ours) == list(theirs)
    assert all(ours[name].numpy().tobytes() == theirs[name].numpy().tobytes() for name in ours)
    rows = Rows(torch.randn(1, 9, 2), torch.randn(1, 9, tiny_bundle.spec.calendar.width))
    for a, b in zip(
        made.unroll(rows, made.initial_state(1))[0],
        opened.forecaster.unroll(rows, opened.forecaster.initial_state(1))[0],
        strict=True,
    ):
        assert torch.equal(a, b)


def test_an_opened_forecaster_is_in_evaluation_mode_and_learns_no_more(tiny_folder: Path) -> None:
    opened = load_bundle(tiny_folder).forecaster
    assert not opened.training
    assert not any(weight.requires_grad for weight in opened.parameters())


def test_saving_twice_writes_the_same_bytes(tiny_bundle: Bundle, tiny_folder: Path, tmp_path: Path) -> None:
    save_bundle(tiny_bundle, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    assert all((tmp_path / name).read_bytes() == (tiny_folder / name).read_bytes() for name in FILES)


def test_nothing_in_a_bundle_is_a_pickle(tiny_folder: Path) -> None:
    for path in tiny_folder.iterdir():
        content = path.read_bytes()
        if path.suffix == ".json":
            json.loads(content)
        else:
            assert path.suffix == ".safetensors"
            header = int.from_bytes(content[:8], "little")
            json.loads(content[8 : 8 + header])


@pytest.mark.parametrize("name", FILES)
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_changed_bit_in_any_file_is_noticed(name: str, folder: Path, where: float, bit: int) -> None:
    content = bytearray((folder / name).read_bytes())
    whole = bytes(content)
    content[int(where * len(content))] ^= 1 << bit
    (folder / name).write_bytes(content)
    try:
        if name != MANIFEST:
            sentence = (
                f"{name} in {folder} is not the file that was registered (its sha256 differs from the manifest's)"
            )
            assert refused(folder) == sentence
        elif json_or_none(bytes(content)) != json.loads(whole):  # white space may change
            refused(folder)
    finally:
        (folder / name).write_bytes(whole)


def json_or_none(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_said(name: str, folder: Path) -> None:
    (folder / name).unlink()
    assert refused(folder) == f"{folder} is no whole bundle: {name} cannot be read (No such file or directory)"


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    message = f"{tmp_path / 'x'} is no whole bundle: {MANIFEST} cannot be read (No such file or directory)"
    assert refused(tmp_path / "x") == message


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"spec.json": 1}', b"\xff\xfe"])
def test_another_manifest_is_refused(content: bytes, folder: Path) -> None:
    (folder / MANIFEST).write_bytes(content)
    assert refused(folder).startswith("manifest.json of the bundle cannot be read: ")


def test_a_manifest_that_leaves_out_a_file_is_refused(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_bytes())
    del manifest["scaler.json"]
    (folder / MANIFEST).write_text(json.dumps(manifest))
    message = f"manifest.json of {folder} does not name scaler.json; the bundle is not whole: register it again"
    assert refused(folder) == message


@pytest.mark.parametrize("found", [0, FORMAT + 1, "1", None])
def test_another_format_is_incompatible(found: Any, folder: Path) -> None:
    respecified(folder, format=found)
    message = f"the bundle has format {found}; this version reads format {FORMAT}: train it again or upgrade"
    assert refused(folder, IncompatibleBundle) == message


def test_a_cell_of_another_version_is_incompatible(folder: Path) -> None:
    respecified(folder, cell="xlstm")
    message = "the bundle has the cell 'xlstm'; this version reads lstm, gru, rnn: upgrade"
    assert refused(folder, IncompatibleBundle) == message


@pytest.mark.parametrize("changes", [{"hidden": 9}, {"hidden": -1}, {"columns": 3}, {"cell": "gru"}, {"members": 1}])
def test_weights_of_another_architecture_do_not_fit(changes: dict[str, Any], folder: Path) -> None:
    respecified(folder, **changes)
    assert refused(folder).startswith("weights.safetensors does not fit the architecture of spec.json: ")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_no_number_is_refused(value: float, folder: Path) -> None:
    reweighted(folder, "linear.bias", torch.tensor([0.0, value, 0.0, 0.0]))
    message = "linear.bias in weights.safetensors holds what is not a finite number; train the model again"
    assert refused(folder) == message


def test_a_weight_too_many_does_not_fit(folder: Path) -> None:
    reweighted(folder, "extra", torch.zeros(1))
    assert 'Unexpected key(s) in state_dict: "extra"' in refused(folder)


@pytest.mark.parametrize("content", [b"", b"\x08\x00\x00\x00\x00\x00\x00\x00{}", b"\x80\x04K\x01."])
def test_weights_that_are_no_safetensors_do_not_fit(content: bytes, folder: Path) -> None:
    rewritten(folder, "weights.safetensors", content)
    assert refused(folder).startswith("weights.safetensors does not fit the architecture of spec.json: ")


@pytest.mark.parametrize("name", ["spec.json", "scaler.json", "scorecard.json", "golden.json"])
@pytest.mark.parametrize("content", [b"", b"7", b'{"format": 1}', b"NaN", b"\xff"])
def test_json_of_another_shape_is_refused(name: str, content: bytes, folder: Path) -> None:
    rewritten(folder, name, content)
    assert refused(folder).startswith(f"{name} of the bundle cannot be read: ")


def test_a_scale_that_is_no_number_is_refused(folder: Path) -> None:
    scaler = json.loads((folder / "scaler.json").read_bytes())
    scaler["overall"]["std"][0] = None
    rewritten(folder, "scaler.json", json.dumps(scaler).encode())
    message = "scaler.json of the bundle cannot be read: Expected `float`, got `null` - at `$.overall.std[0]`"
    assert refused(folder) == message

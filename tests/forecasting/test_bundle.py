from __future__ import annotations

import dataclasses
import json
import os
import pickle
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from forecasting.bundle import FORMAT, Bundle, Golden, load_bundle, save_bundle
from forecasting.card import Card, CardColumn, CardData, CardScore
from forecasting.cells import SYSTEMS
from forecasting.errors import AlteredBundle, CorruptBundle, IncompatibleBundle
from forecasting.network import Forecaster
from forecasting.prediction import forecast, predict_z
from forecasting.remembering import Constants, Gate, LayerGates, Memory, Reach
from forecasting.sealed import MANIFEST
from forecasting.statics import Statics
from forecasting.steadiness import Streaming
from tests.bundles import codes, rich_window, window
from tests.forecasting.panels import CELLS
from tests.forecasting.spoiling import forgotten, refused, respecified, reweighted, rewritten

REQUIRED = ("spec.json", "weights.safetensors", "scaler.json")
UNKNOWN = {
    "statics.json": Statics(), "calibration.json": None, "scorecard.json": None, "streaming.json": None,
    "memory.json": None, "golden.json": (), "card.json": None,
}  # fmt: skip
FILES = (*REQUIRED, *UNKNOWN, MANIFEST)


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """Return a copy of the tiny bundle that a test may spoil."""
    return Path(copytree(tiny_folder, tmp_path / "copy"))


CARD = Card(
    data=CardData(
        source="x.csv", series=1, rows=9, freq="h", timezone="UTC", start="a", valid="b", test="c", end="d",
        scaling="series", static=("size",),
    ),
    columns=(
        CardColumn(
            name="a", role="target", unit=None, log1p=True, integer=False, possible=(0.0, None), plausible=(0.0, 9.0),
            mean=1.0, std=2.0, missing=0.5,
        ),
    ),
    forecaster="3 x lstm", linear="none", trusted=0.5, levels=(90,),
    scores=(CardScore(score="mse_z", model=0.1, baselines={"var": None}),), limits=("few rows",),
)  # fmt: skip
GOLDEN = Golden(
    series="north", values=((1.5, None),), ahead=((), ()), times=(7,), point=((0.1, 0.2),), median=((0.3, 0.4),),
    scale=((0.5, 0.6),),
)  # fmt: skip
REACH = Reach(half=1, most=2, all_but=2, above=2, curve=(0.5, 0.25, 0.001))
GATE = Gate(mean=0.5, low=0.1, high=0.2, tenths=(0.1,) * 10)
MEMORY = Memory(
    windows=16, history=3, forecast=REACH, linear=REACH, recurrent=REACH,
    layers=(LayerGates(keep=GATE, constants=Constants(tenth=1.0, median=1.5, ninetieth=2.0, longest=3.5)),),
)  # fmt: skip
STREAMING = Streaming(
    window=6,
    origins=90,
    carried=700,
    ratio=1.004,
    settling=2,
    curve=((1, 0.5), (2, 0.004)),
    growth=((100, 0.5), (500, 0.6)),
    alone=1.2,
)


def _without_statics(bundle: Bundle) -> Bundle:
    architecture = replace(bundle.spec.architecture, statics=0, categories=())
    columns = replace(bundle.spec.columns, static=())
    spec = replace(bundle.spec, architecture=architecture, columns=columns)
    return dataclasses.replace(bundle, spec=spec, forecaster=Forecaster(architecture))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("channels", ["joint", "independent"])
def test_a_bundle_comes_back_equal_to_the_bit(cell: str, channels: str, rich_bundle: Bundle, tmp_path: Path) -> None:
    architecture = replace(rich_bundle.spec.architecture, cell=cell, channels=channels)
    made = Forecaster(architecture).eval()
    spec = replace(rich_bundle.spec, architecture=architecture)
    saved = dataclasses.replace(
        rich_bundle, spec=spec, forecaster=made, streaming=STREAMING, memory=MEMORY, golden=(GOLDEN,), card=CARD
    )
    save_bundle(saved, tmp_path / "new" / "bundle")
    opened = load_bundle(tmp_path / "new" / "bundle")
    for block in ("spec", "scaler", "statics", "calibration", "scorecard", "streaming", "memory", "golden", "card"):
        assert getattr(opened, block) == getattr(saved, block)
    ours, theirs = made.state_dict(), opened.forecaster.state_dict()
    assert list(ours) == list(theirs)
    assert all(ours[name].numpy().tobytes() == theirs[name].numpy().tobytes() for name in ours)
    asked = rich_window()
    for a, b in zip(predict_z(saved, asked), predict_z(opened, asked), strict=True):
        assert np.array_equal(a, b)


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
            assert refused(folder, AlteredBundle) == sentence
        elif json_or_none(bytes(content)) != json.loads(whole):  # white space may change
            with pytest.raises(CorruptBundle):
                load_bundle(folder)
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


@pytest.mark.parametrize("name", REQUIRED)
def test_a_manifest_that_leaves_out_a_file_no_model_can_do_without_is_refused(name: str, folder: Path) -> None:
    forgotten(folder, name)
    message = f"manifest.json of {folder} does not name {name}; the bundle is not whole: register it again"
    assert refused(folder) == message


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_a_bundle_need_not_have_is_unknown_where_the_manifest_leaves_it_out(
    name: str, rich_bundle: Bundle, tmp_path: Path
) -> None:
    whole = dataclasses.replace(rich_bundle, golden=(GOLDEN,), card=CARD) if name != "statics.json" else None
    save_bundle(whole or _without_statics(rich_bundle), tmp_path)
    forgotten(tmp_path, name)
    (tmp_path / name).unlink()
    assert getattr(load_bundle(tmp_path), name.removesuffix(".json")) == UNKNOWN[name]


def test_a_bundle_of_three_files_forecasts_without_intervals(tiny_bundle: Bundle, folder: Path) -> None:
    for name in UNKNOWN:
        forgotten(folder, name)
        (folder / name).unlink()
    bare, whole = forecast(load_bundle(folder), window()), forecast(tiny_bundle, window())
    assert np.array_equal(bare.median, whole.median)
    assert (dict(bare.intervals), list(whole.intervals)) == ({}, [90])
    assert codes(bare) == codes(whole)


@pytest.mark.parametrize("name", ["../spec.json", "a/b.json", "/etc/hostname", "a\0b", ""])
def test_a_manifest_that_names_what_is_no_file_of_a_bundle_is_refused(name: str, folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_bytes())
    (folder / MANIFEST).write_text(json.dumps(manifest | {name: ""}))
    message = f"manifest.json of {folder} names {name!r}, which is no file of a bundle; register it again"
    assert refused(folder) == message


def test_a_file_of_a_later_version_is_checked_and_passed_over(folder: Path) -> None:
    rewritten(folder, "drift.json", b"{}")
    assert load_bundle(folder).spec.name == "tiny"
    (folder / "drift.json").write_bytes(b"[]")
    assert refused(folder, AlteredBundle).startswith("drift.json in ")


class Mischief:
    """What leaves a file behind when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.trace}",)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("name", ["model.pkl", "weights.pt", "spec.json.bak", ".hidden"])
def test_a_file_that_is_neither_json_nor_safetensors_is_refused_and_never_opened(
    name: str, named: bool, folder: Path, tmp_path: Path
) -> None:
    content = pickle.dumps(Mischief(tmp_path / "trace"))
    (folder / name).write_bytes(content)
    if named:
        rewritten(folder, name, content)
    said = f"names {name!r}, which is no file of a bundle" if named else f"holds {name!r}, which is no file that its"
    assert said in refused(folder)
    assert not (tmp_path / "trace").exists()


def test_a_pickle_in_place_of_the_weights_is_refused_and_does_not_run(folder: Path, tmp_path: Path) -> None:
    rewritten(folder, "weights.safetensors", pickle.dumps(Mischief(tmp_path / "trace")))
    assert refused(folder).startswith("weights.safetensors does not fit")
    assert not (tmp_path / "trace").exists()


def test_a_file_that_the_manifest_leaves_out_is_refused(folder: Path) -> None:
    (folder / "more.json").write_bytes(b"{}")
    message = f"{folder} holds 'more.json', which is no file that its manifest.json names; it was not opened"
    assert refused(folder) == message


def test_a_pipe_in_place_of_a_file_keeps_nobody_waiting(folder: Path) -> None:
    (folder / "card.json").unlink()
    os.mkfifo(folder / "card.json")
    assert "holds 'card.json'" in refused(folder)


def test_json_nested_too_deep_is_refused(folder: Path) -> None:
    rewritten(folder, "spec.json", b'{"a":' * 5000 + b"1" + b"}" * 5000)
    assert refused(folder).startswith("spec.json of the bundle cannot be read: ")


@pytest.mark.parametrize("found", [0, FORMAT + 1, "1", None])
def test_another_format_is_incompatible(found: Any, folder: Path) -> None:
    respecified(folder, {"format": found})
    message = f"the bundle has format {found}; this version reads format {FORMAT}: train it again or upgrade"
    assert refused(folder, IncompatibleBundle) == message


def test_a_cell_of_another_version_is_incompatible(folder: Path) -> None:
    respecified(folder, {}, cell="xlstm")
    message = f"the bundle has the cell 'xlstm'; this version reads {', '.join(SYSTEMS)}: upgrade"
    assert refused(folder, IncompatibleBundle) == message


@pytest.mark.parametrize("changes", [{"hidden": 9}, {"hidden": -1}, {"targets": 3}, {"cell": "gru"}, {"members": 1}])
def test_weights_of_another_architecture_do_not_fit(changes: dict[str, Any], folder: Path) -> None:
    respecified(folder, {}, **changes)
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


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".json") and name != MANIFEST])
@pytest.mark.parametrize("content", [b"", b"7", b"NaN", b"\xff"])
def test_json_of_another_shape_is_refused(name: str, content: bytes, folder: Path) -> None:
    rewritten(folder, name, content)
    assert refused(folder).startswith(f"{name} of the bundle cannot be read: ")


STRANGER = json.dumps({"format": FORMAT, "colour": "green"}).encode()


@pytest.mark.parametrize(
    "name",
    ["spec.json", "scaler.json", "calibration.json", "scorecard.json", "streaming.json", "memory.json", "card.json"],
)
def test_an_object_without_the_keys_that_are_needed_is_refused(name: str, folder: Path) -> None:
    rewritten(folder, name, STRANGER)
    assert "Object missing required field" in refused(folder)


def test_no_key_of_the_statics_is_needed_by_a_model_that_has_none(folder: Path) -> None:
    rewritten(folder, "statics.json", STRANGER)
    assert load_bundle(folder).statics == Statics()


def test_keys_of_a_later_version_are_passed_over(tiny_bundle: Bundle, folder: Path) -> None:
    respecified(folder, {"colour": "green"})
    assert load_bundle(folder).spec == tiny_bundle.spec


def test_a_scale_that_is_no_number_is_refused(folder: Path) -> None:
    scaler = json.loads((folder / "scaler.json").read_bytes())
    scaler["overall"]["std"][0] = None
    rewritten(folder, "scaler.json", json.dumps(scaler).encode())
    message = "scaler.json of the bundle cannot be read: Expected `float`, got `null` - at `$.overall.std[0]`"
    assert refused(folder) == message

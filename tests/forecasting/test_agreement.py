"""Bundles whose files are whole and do not belong together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from forecasting.bundle import Bundle, load_bundle, save_bundle
from forecasting.columns import Columns
from forecasting.remembering import LayerGates, Memory, Reach
from forecasting.scaling import Scale
from forecasting.statics import Category, Number, Statics
from tests.bundles import make_bundle, make_rich_bundle
from tests.forecasting.spoiling import forgotten, refused, respecified

ADVICE = "its parts are of different models: register it again"
SIZE, REGION = Number(name="size", mean=5.0, std=2.0), Category(name="region", known=("coast", "hill"))


def put(path: str, *value: Any) -> Callable[[Bundle], Bundle]:
    """Return what replaces a value in a bundle; without a value, what leaves out the last of a tuple."""

    def change(thing: Any, names: list[str]) -> Any:
        if not names:
            return value[0] if value else thing[:-1]
        if isinstance(thing, dict):
            return {**thing, names[0]: change(thing[names[0]], names[1:])}
        swap = replace if isinstance(thing, Bundle) else msgspec.structs.replace
        return swap(thing, **{names[0]: change(getattr(thing, names[0]), names[1:])})

    return lambda bundle: change(bundle, path.split("."))  # type: ignore[no-any-return]


def probabilities(bundle: Bundle) -> int:
    assert bundle.calibration is not None
    return len(bundle.calibration.probabilities)


def said_of(bundle: Bundle, folder: Path) -> str:
    save_bundle(bundle, folder)
    return refused(folder)


@pytest.mark.parametrize("bundle", [make_bundle(), make_rich_bundle(), make_rich_bundle(calibration=None)])
def test_the_parts_of_a_model_fit_each_other(bundle: Bundle, tmp_path: Path) -> None:
    save_bundle(bundle, tmp_path)
    assert load_bundle(tmp_path).spec == bundle.spec


@pytest.mark.parametrize(
    ("roles", "found"),
    [
        ((("a",), ("b", "rain"), ("price", "holiday")), "1 targets where its architecture has 2"),
        ((("a", "b"), (), ("rain", "price", "holiday")), "2 targets and past covariates where its architecture has 3"),
        ((("a", "b"), ("rain",), ("price",)), "1 known covariates where its architecture has 2"),
    ],
)
def test_columns_are_as_many_as_the_architecture_has(
    roles: tuple[tuple[str, ...], ...], found: str, rich_bundle: Bundle, tmp_path: Path
) -> None:
    columns = Columns(*roles, static=("size", "region"))
    message = said_of(put("spec.columns", columns)(rich_bundle), tmp_path)
    assert message == f"spec.json has {found}; {ADVICE}"


def test_the_calendar_is_as_wide_as_the_architecture_has_it(rich_bundle: Bundle, tmp_path: Path) -> None:
    message = said_of(put("spec.calendar.yearly", True)(rich_bundle), tmp_path)
    assert message == f"spec.json has 18 calendar features where its architecture has 14; {ADVICE}"


@pytest.mark.parametrize("freq", ["", "hourly", "0h", "9999999YS"])
def test_a_calendar_of_no_frequency_is_refused(freq: str, rich_bundle: Bundle, tmp_path: Path) -> None:
    message = said_of(put("spec.calendar.freq", freq)(rich_bundle), tmp_path)
    assert message.startswith(f"spec.json of the bundle cannot be read: its calendar has the frequency {freq!r}, ")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (put("statics", Statics()), "0 static columns where spec.json has 2"),
        (put("statics.columns"), "1 static columns where spec.json has 2"),
        (put("statics.columns", (SIZE, SIZE)), "4 static numbers and masks where the architecture in spec.json has 2"),
        (put("statics.columns", (REGION,) * 2), "0 static numbers and masks where the architecture in spec.json has 2"),
        (
            put("statics.columns", (SIZE, Category(name="region", known=("coast",)))),
            "2 codes of category 1 where the architecture in spec.json has 3",
        ),
    ],
)
def test_statics_are_as_wide_as_the_architecture_has_them(
    change: Callable[[Bundle], Bundle], found: str, rich_bundle: Bundle, tmp_path: Path
) -> None:
    assert said_of(change(rich_bundle), tmp_path) == f"statics.json has {found}; {ADVICE}"


def test_categories_are_as_many_as_the_architecture_has(rich_bundle: Bundle, tmp_path: Path) -> None:
    three = put("spec.columns.static", ("size", "region", "kind"))(rich_bundle)
    message = said_of(put("statics.columns", (SIZE, REGION, REGION))(three), tmp_path)
    wanted = "2 static categories where the architecture in spec.json has 1"
    assert message == f"statics.json has {wanted}; {ADVICE}"


def test_a_model_with_statics_does_not_open_without_them(rich_bundle: Bundle, tmp_path: Path) -> None:
    save_bundle(rich_bundle, tmp_path)
    forgotten(tmp_path, "statics.json")
    (tmp_path / "statics.json").unlink()
    assert refused(tmp_path) == f"statics.json has 0 static columns where spec.json has 2; {ADVICE}"


@pytest.mark.parametrize("part", Scale.__struct_fields__)
@pytest.mark.parametrize("place", ["overall", "series.south"])
def test_every_scale_is_as_wide_as_a_row(part: str, place: str, rich_bundle: Bundle, tmp_path: Path) -> None:
    message = said_of(put(f"scaler.{place}.{part}")(rich_bundle), tmp_path)
    whose = {"overall": "all series together", "series.south": "south"}[place]
    assert message == f"scaler.json has 4 numbers for {part} of {whose} where a row in spec.json has 5; {ADVICE}"


def test_transforms_are_as_many_as_a_row_has_columns(rich_bundle: Bundle, tmp_path: Path) -> None:
    message = said_of(put("scaler.transforms")(rich_bundle), tmp_path)
    assert message == f"scaler.json has 4 transforms where a row in spec.json has 5; {ADVICE}"


@pytest.mark.parametrize("part", ["multipliers", "cells", "smear"])
@pytest.mark.parametrize(
    ("cells", "found"),
    [(((1, 1),) * 3, "3 x 2"), (((1,),) * 2, "2 x 1"), ((), "0"), (((1, 1), (1,)), "2")],
    ids=["a step more", "a target less", "nothing", "ragged"],
)
def test_a_calibration_has_every_step_and_target(
    part: str, cells: tuple[Any, ...], found: str, rich_bundle: Bundle, tmp_path: Path
) -> None:
    number = probabilities(rich_bundle)
    change, before = (put(f"calibration.{part}", cells), "")
    if part == "multipliers":
        change, before = (put(f"calibration.{part}", (cells,) * number), f"{number} x ")
    message = said_of(change(rich_bundle), tmp_path)
    wanted = f"{before}{found} numbers in {part} where the architecture in spec.json has {before}2 x 2"
    assert message == f"calibration.json has {wanted}; {ADVICE}"


def test_a_calibration_has_every_probability(rich_bundle: Bundle, tmp_path: Path) -> None:
    message = said_of(put("calibration.probabilities")(rich_bundle), tmp_path)
    number = probabilities(rich_bundle)
    wanted = f"{number} x 2 x 2 numbers in multipliers where the architecture in spec.json has {number - 1} x 2 x 2"
    assert message == f"calibration.json has {wanted}; {ADVICE}"


def test_a_horizon_that_the_weights_fit_is_the_one_of_the_calibration(rich_bundle: Bundle, tmp_path: Path) -> None:
    longer = make_rich_bundle(horizon=3, calibration=rich_bundle.calibration)
    assert " x 2 x 2 numbers in multipliers where the architecture in spec.json has " in said_of(longer, tmp_path)
    respecified(tmp_path, {}, horizon=2)
    assert refused(tmp_path).startswith("weights.safetensors does not fit the architecture of spec.json: ")


@pytest.mark.parametrize("layers", [0, 2])
def test_a_memory_is_of_as_many_layers_as_the_cells(layers: int, tmp_path: Path) -> None:
    nothing = Reach(half=0, most=0, all_but=0, above=0, curve=(0.0,))
    parts = {"forecast": nothing, "linear": nothing, "recurrent": nothing}
    memory = Memory(windows=1, history=1, layers=(LayerGates(),) * layers, **parts)
    said = said_of(replace(make_bundle(), memory=memory), tmp_path)
    assert said.startswith(f"memory.json has {layers} layers where the architecture in spec.json has 1")
    assert said.endswith(ADVICE)

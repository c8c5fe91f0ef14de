"""What a bundle said when it was written, it says when it is opened; or it is not served."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from msgspec.structs import replace

from forecasting.bundle import Bundle, Golden
from forecasting.engines import EagerEngine, ZForecast, engine_for
from forecasting.errors import CorruptBundle, NotReproduced
from forecasting.golden import refuse_unlike
from forecasting.prediction import Window, predict_z
from tests.bundles import make_bundle, make_rich_bundle, recorded, rich_window, window

MAKERS: dict[str, Callable[[], Bundle]] = {
    "plain": lambda: recorded(make_bundle(), window(missing=0.2), window(seed=1, series="south")),
    "rich": lambda: recorded(make_rich_bundle(), rich_window()),
}


@pytest.fixture(params=list(MAKERS))
def bundle(request: pytest.FixtureRequest) -> Bundle:
    return MAKERS[request.param]()


def with_golden(bundle: Bundle, **changes: Any) -> Bundle:
    first, *others = bundle.golden
    return dataclasses.replace(bundle, golden=(replace(first, **changes), *others))


def replay(bundle: Bundle) -> None:
    refuse_unlike(bundle, partial(predict_z, bundle))


def test_every_engine_says_what_was_recorded(bundle: Bundle) -> None:
    for engine in (EagerEngine(bundle.forecaster), engine_for(bundle.forecaster)):
        refuse_unlike(bundle, partial(predict_z, bundle, engine=engine))


def test_where_nothing_was_recorded_nothing_is_refused() -> None:
    refuse_unlike(make_bundle(), lambda _: pytest.fail("there is nothing to replay"))


@pytest.mark.parametrize("name", ["linear.bias", "noise", "members.0.head.bias"])
def test_a_changed_weight_is_noticed(name: str, bundle: Bundle) -> None:
    with torch.no_grad():
        bundle.forecaster.state_dict()[name].add_(0.1)
    with pytest.raises(NotReproduced, match="of golden window 0 is not what was recorded: off by up to"):
        replay(bundle)


@pytest.mark.parametrize("part", ["point", "median", "scale"])
@pytest.mark.parametrize(("change", "taken"), [(5e-5, True), (1e-3, False), (np.nan, False), (np.inf, False)])
def test_point_median_and_scale_are_held_to_a_ten_thousandth(
    part: str, change: float, taken: bool, bundle: Bundle
) -> None:
    def predict(asked: Window) -> ZForecast:
        said = predict_z(bundle, asked)
        return said._replace(**{part: getattr(said, part) + np.float32(change)})

    if taken:
        refuse_unlike(bundle, predict)
    else:
        with pytest.raises(NotReproduced, match=f"{part} of golden window 0"):
            refuse_unlike(bundle, predict)


def test_another_number_of_steps_is_noticed(bundle: Bundle) -> None:
    def predict(asked: Window) -> ZForecast:
        return ZForecast(*(part[:1] for part in predict_z(bundle, asked)))

    with pytest.raises(NotReproduced, match=r"shape \(1, 2\) for \(2, 2\)"):
        refuse_unlike(bundle, predict)


@pytest.mark.parametrize(
    "changes",
    [
        {"values": ()},
        {"values": ((1.0,),), "times": (0,)},
        {"times": ()},
        {"point": ((1.0, 1.0),)},
        {"median": ((1.0, 1.0), (1.0,))},
        {"scale": ((1e300, 1.0), (1.0, 1.0))},
        {"values": ((1e30, 1e30),), "times": (0,)},
    ],
)
def test_a_golden_window_that_does_not_fit_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(CorruptBundle, match="golden"):
        replay(with_golden(MAKERS["plain"](), **changes))


def test_a_golden_window_is_kept_as_it_was_given() -> None:
    golden = MAKERS["plain"]().golden[0]
    assert isinstance(golden, Golden)
    assert any(cell is None for row in golden.values for cell in row)

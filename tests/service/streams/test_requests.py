"""Reading pushes: the usual ones are read by a shorter way, which leads to the same rows."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.columns import Columns
from forecasting.errors import WindowRejected
from forecasting.log.memory import MemoryLog
from forecasting.log.records import Version
from forecasting.streams.keeper import Keeper, Policy
from forecasting.streams.pushes import Pushes
from forecasting.streams.streamed import Streamed
from service.models import PRODUCTION, ServedModel, ServedRef
from service.schemas import Limits
from service.streams.answers import Writer
from service.streams.requests import Reader
from service.streams.schemas import PushAnswer
from tests.bundles import make_bundle
from tests.service.streams.pushing import body, hour

LIMITS = Limits(
    max_body_bytes=10_000, max_rows=50, max_windows=3, max_queue=9, deadline_seconds=1.0, receive_seconds=1.0
)
READER = Reader(Streamed(Version("tiny", "1", "r1"), make_bundle()), LIMITS, strict=False)
CELL = st.one_of(
    st.none(), st.integers(-(10**6), 10**6), st.floats(allow_nan=False, allow_infinity=False, width=32), st.just(1e39)
)
ROWS = st.lists(st.lists(CELL, min_size=1, max_size=3), min_size=1, max_size=2)


def read(told: dict[str, Any]) -> Pushes | str:
    """Read a push, or say what is wrong."""
    try:
        return READER.push("me", "one", orjson.dumps(told)).pushes
    except WindowRejected as error:
        return f"{error.pointer}: {error}"


@given(rows=ROWS, number=st.integers(0, 9))
def test_the_shorter_way_leads_to_the_same_rows(rows: list[list[float | None]], number: int) -> None:
    told = {"observations": rows, "last_timestamp": hour(number)}
    quick, slow = read(told), read(told | {"levels": [90]})
    if isinstance(slow, str) or isinstance(quick, str):
        assert quick == slow
    else:
        for part in ("starts", "times", "values"):
            np.testing.assert_array_equal(getattr(quick, part), getattr(slow, part))
        assert list(quick.names) == list(slow.names) == ["one"]


@given(rows=st.lists(st.lists(CELL, min_size=2, max_size=2), min_size=1, max_size=4))
def test_so_it_does_for_many(rows: list[list[float | None]]) -> None:
    asked = [{"stream": f"s{place}", **body(observations=[row])} for place, row in enumerate(rows)]
    found = []
    for told in (asked, [{**one, "levels": [90]} for one in asked]):
        try:
            question = READER.observe("me", orjson.dumps({"streams": told}), 9)
        except WindowRejected as error:
            found.append(f"{error.pointer}: {error}")
        else:
            pushes = question.pushes
            found.append((list(pushes.names), pushes.times.tolist(), np.nan_to_num(pushes.values, nan=-1e9).tolist()))
            assert [spot.pointer for spot in question.spots] == [f"/streams/{place}" for place in range(len(rows))]
    assert found[0] == found[1]


@pytest.mark.parametrize("key", ["observations", "last_timestamp"])
def test_a_key_that_stands_twice_is_refused(key: str) -> None:
    text = orjson.dumps(body())
    again = orjson.dumps({key: body()[key]})
    with pytest.raises(WindowRejected, match="twice"):
        READER.push("me", "one", text[:-1] + b"," + again[1:])


def test_columns_of_any_name_are_answered(make_bundle: Any) -> None:
    names = ('100 % "of\\it"', "größe %b")
    bundle = make_bundle(columns=Columns(names))
    model = ServedModel(ServedRef("tiny", "1", PRODUCTION, "r1"), bundle)
    reader, writer, keeper = Reader(model.streamed, LIMITS, strict=False), Writer(model), Keeper(MemoryLog(), Policy())
    for number, row in enumerate(([9.5, 1010.0], [9.0, None])):
        told = body(number, observations=[row])
        question = reader.push("me", "one", orjson.dumps(told))
        outcomes = keeper.push(model.streamed, question.pushes, 0)
        answer = msgspec.json.decode(writer.push(outcomes, 0, "one", question.wishes[0]), type=PushAnswer)
        assert tuple(answer.forecast[0].point) == names
    assert answer.score
    assert tuple(answer.score.columns) == names
    assert answer.score.columns[names[1]] is None


@pytest.mark.parametrize("changes", [{"calibration": None}, {"horizon": 1}, {"horizon": 5}])
def test_models_of_every_shape_are_answered(make_bundle: Any, changes: dict[str, Any]) -> None:
    model = ServedModel(ServedRef("tiny", "1", PRODUCTION, "r1"), make_bundle(**changes))
    reader, writer, keeper = Reader(model.streamed, LIMITS, strict=False), Writer(model), Keeper(MemoryLog(), Policy())
    for number in range(3):
        question = reader.push("me", "one", orjson.dumps(body(number)))
        outcomes = keeper.push(model.streamed, question.pushes, 0)
        answer = msgspec.json.decode(writer.push(outcomes, 0, "one", question.wishes[0]), type=PushAnswer)
        assert len(answer.forecast) == model.bundle.spec.horizon
        for place, step in enumerate(answer.forecast):
            assert list(step.point.values()) == [float(str(one)) for one in outcomes.point[0, place]]
            assert list(step.median.values()) == [float(str(one)) for one in outcomes.median[0, place]]
            assert set(step.intervals) == (set() if "calibration" in changes else {"90"})

"""Many streams in an Arrow table: answered as those in JSON, and never trusted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from forecasting.errors import GatecastError
from service.streams.arrow import read_table
from tests.bundles import make_bundle
from tests.service.streams.pushing import ARROW, MODEL, body, hour, stream
from tests.service.streams.tables import UTC, observe, read, table, written

SPEC = make_bundle().spec
BOUNDS = (1000, 100_000)


def in_json(client: TestClient, names: list[str], first: int) -> list[dict[str, Any]]:
    pushes = [
        {"stream": name, **body(first, observations=[one])}
        for name, one in zip(names, _rows(names, first), strict=True)
    ]
    found: list[dict[str, Any]] = client.post(f"{MODEL}/streams:observe", json={"streams": pushes}).json()["outcomes"]
    return found


def _rows(names: list[str], first: int) -> list[list[float]]:
    return [[row["a"], row["b"]] for row in table(names, first).select(["a", "b"]).to_pylist()]


def test_a_table_is_answered_as_the_same_rows_in_json(streams: TestClient) -> None:
    for first in range(3):
        told = in_json(streams, ["j1", "j2"], first)
        answer = observe(streams, written(table(["t1", "t2"], first)))
        assert answer.headers["content-type"] == ARROW
        lines = read(answer.content).to_pylist()
        assert [line["stream"] for line in lines] == ["t1", "t1", "t2", "t2"]
        for line in lines:
            one = told[int(line["stream"][1]) - 1]
            step = one["forecast"][line["step"] - 1]
            assert (line["status"], line["detail"], line["sequence"], line["replayed"]) == (200, None, first, False)
            assert (line["scored"], line["drift"]) == (one["scored"], one["drift"])
            assert line["skill"] == (None if one["skill"] is None else pytest.approx(one["skill"], rel=1e-5))
            for column in ("a", "b"):
                low, high = step["intervals"]["90"][column]
                for name, value in ((column, step["point"][column]), (f"{column}-median", step["median"][column])):
                    assert np.float32(line[name]) == np.float32(value)
                assert (np.float32(line[f"{column}-lo-90"]), np.float32(line[f"{column}-hi-90"])) == (
                    np.float32(low),
                    np.float32(high),
                )


def test_the_answer_is_of_the_other_kind_where_that_is_asked_for(streams: TestClient) -> None:
    told = observe(streams, written(table(["k1"])), accept="application/json").json()
    asked = {"streams": [{"stream": "k1", **body()}]}
    line = read(streams.post(f"{MODEL}/streams:observe", json=asked, headers={"accept": ARROW}).content).to_pylist()[0]
    assert told["outcomes"][0]["replayed"] is False
    assert line["replayed"] is True
    assert np.float32(line["a"]) == np.float32(told["outcomes"][0]["forecast"][0]["point"]["a"])


def test_rows_of_a_stream_may_stand_anywhere_in_their_order(streams: TestClient) -> None:
    mixed = pa.concat_tables([table(["m1", "m2"], 0), table(["m2", "m1"], 1), table(["m1"], 2)])
    lines = read(observe(streams, written(mixed), query="?horizon=1").content).to_pylist()
    assert [(line["stream"], line["sequence"], line["accepted"]) for line in lines] == [("m1", 2, 3), ("m2", 1, 2)]


def test_each_stream_has_an_outcome_of_its_own(streams: TestClient) -> None:
    observe(streams, written(table(["o1"], 5)))
    first, *_, last = read(observe(streams, written(table(["o1", "o2"], 3))).content).to_pylist()
    assert (first["status"], first["step"], first["a"], first["sequence"]) == (409, None, None, None)
    assert hour(5) in first["detail"]
    assert (first["problem"], last["problem"]) == ("late", None)
    assert (last["stream"], last["status"]) == ("o2", 200)


def test_levels_and_history_are_asked_for_in_the_address(streams: TestClient) -> None:
    history = read(observe(streams, written(table(["h1"])), query="?history=true").content).to_pylist()
    assert [(line["status"], line["step"], line["a"]) for line in history] == [(200, None, None)]
    names = read(observe(streams, written(table(["h1"], 1)), query="?levels=80&levels=95").content).column_names
    assert {"a-lo-80", "a-hi-95"} <= set(names)
    assert "a-lo-90" not in names


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view()])
def test_texts_may_be_of_any_plain_kind(streams: TestClient, kind: pa.DataType) -> None:
    assert (
        observe(streams, written(table(["x"], stream=pa.array([f"kind-{kind}".replace("_", "-")], kind)))).status_code
        == 200
    )


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_may_be_of_any_unit_and_zone(streams: TestClient, unit: str) -> None:
    kind = pa.timestamp(unit, tz="America/New_York")
    moved = table([f"unit-{unit}"])
    moved = moved.set_column(1, "timestamp", moved["timestamp"].cast(kind))
    observe(streams, written(moved))
    assert streams.get(stream(f"unit-{unit}")).json()["timestamp"] == hour(0)


def test_numbers_may_be_of_any_kind(streams: TestClient) -> None:
    wide = table(["wide"], a=pa.array([9], pa.int16()), b=pa.array([1010.0], pa.float64()))
    assert observe(streams, written(wide)).status_code == 200


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_a_table_may_be_compressed(streams: TestClient, codec: str) -> None:
    assert observe(streams, written(table([f"packed-{codec}"]), compression=codec)).status_code == 200


RICH = "/v1/models/rich"
NOTHING = {name: pa.array([0.0]) for name in ("rain", "price", "holiday")}


def rich(first: int, kept: int) -> pa.Table:
    """Return hours of one stream, the first `kept` of which came; of the others the known covariates are known."""
    hours = [table(["shop"], first + hour, **NOTHING) for hour in range(kept + 2)]
    ahead = [one.set_column(c, one.column_names[c], pa.nulls(1, pa.float32())) for one in hours[kept:] for c in (2,)]
    ahead = [
        one.set_column(3, "b", pa.nulls(1, pa.float32())).set_column(4, "rain", pa.nulls(1, pa.float64()))
        for one in ahead
    ]
    return pa.concat_tables([*hours[:kept], *ahead])


def test_the_last_rows_hold_what_is_known_of_the_steps_to_come(streams: TestClient) -> None:
    lines = read(observe(streams, written(rich(0, 2)), RICH).content).to_pylist()
    assert [(line["status"], line["sequence"], line["step"]) for line in lines] == [(200, 1, 1), (200, 1, 2)]
    lacking = observe(streams, written(rich(2, 2).slice(0, 3)), RICH)
    assert (lacking.status_code, lacking.json()["type"]) == (422, "urn:gatecast:problem:window-rejected")
    late = rich(2, 2)
    late = late.set_column(
        1, "timestamp", pa.concat_arrays([late["timestamp"].combine_chunks()[:3], pa.array([hour(99)]).cast(UTC)])
    )
    assert observe(streams, written(late), RICH).status_code == 422


WRONG = {
    "no rows": table([]),
    "no stream": table(["w"], stream=None),
    "no time": table(["w"], timestamp=None),
    "a column too few": table(["w"], b=None),
    "a column not known": table(["w"], c=pa.array([1.0])),
    "a column twice": pa.table([*table(["w"]).columns, pa.array([1.0])], names=["stream", "timestamp", "a", "b", "a"]),
    "a stream that is null": table(["w", "w2"], stream=pa.array(["w", None])),
    "a time that is null": table(["w"], timestamp=pa.array([None], UTC)),
    "a stream of numbers": table(["w"], stream=pa.array([1])),
    "a stream of bytes": table(["w"], stream=pa.array([b"w"])),
    "a stream of categories": table(["w"], stream=pa.array(["w"]).dictionary_encode()),
    "a name with a space": table(["w w"]),
    "a name without letters": table([""]),
    "a name too long": table(["w" * 129]),
    "a name with a line end": table(["w\n"]),
    "times without a zone": table(["w"], timestamp=pa.array([0], pa.timestamp("us"))),
    "times that are numbers": table(["w"], timestamp=pa.array([0])),
    "times that are texts": table(["w"], timestamp=pa.array([hour(0)])),
    "dates": table(["w"], timestamp=pa.array([0], pa.date32())),
    "a time out of reach": table(["w"], timestamp=pa.array([2**62], UTC)),
    "a time long ago": table(["w"], timestamp=pa.array([-(2**62)], pa.timestamp("s", tz="UTC"))),
    "texts for numbers": table(["w"], a=pa.array(["1.0"])),
    "truths for numbers": table(["w"], a=pa.array([True])),
    "lists for numbers": table(["w"], a=pa.array([[1.0]])),
    "nothing for numbers": table(["w"], a=pa.nulls(1)),
    "decimals": table(["w"], a=pa.array([1]).cast(pa.decimal128(30, 2))),
    "infinity": table(["w"], a=pa.array([np.inf])),
    "1e39": table(["w"], a=pa.array([1e39])),
    "times that go back": pa.concat_tables([table(["w"], 1), table(["w"], 0)]),
    "a time twice": pa.concat_tables([table(["w"], 1), table(["w"], 1)]),
    "too many rows": table(["w"] * 51),
    "a series that is a number": table(["w"], series=pa.array([1])),
}


@pytest.mark.parametrize("name", list(WRONG))
def test_a_table_that_is_wrong_is_refused_as_a_whole(start: Any, name: str) -> None:
    with start(max_pushes=50) as client:
        answer = observe(client, written(WRONG[name]))
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:gatecast:problem:window-rejected")
        assert len(answer.content) <= 1000
        assert client.get(f"{MODEL}/streams").json()["streams"] == []


def test_what_would_be_inflated_too_far_is_refused_before_it_is(start: Any) -> None:
    large = table(["w"] * 2000, a=pa.array(np.zeros(2000)), b=pa.array(np.zeros(2000)))
    packed = written(large, 2000, compression="zstd")
    with start(max_bulk_bytes=30_000) as client:
        assert len(packed) < 30_000 < len(written(large, 2000))
        answer = observe(client, packed)
        assert (answer.status_code, answer.json()["type"]) == (413, "urn:gatecast:problem:body-too-large")


GOOD = {"plain": written(table(["x", "y"])), "packed": written(table(["x", "y"]), compression="lz4")}


@pytest.mark.parametrize("kind", list(GOOD))
@settings(max_examples=150)
@given(data=st.data())
def test_no_bytes_do_harm(kind: str, data: st.DataObject) -> None:
    raw = bytearray(GOOD[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, raw[place] ^ 1, raw[place] ^ 0x40]))
    raw = raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw
    try:
        pushes = read_table(SPEC, bytes(raw), "me", history=False, bounds=BOUNDS)
    except GatecastError:
        return
    assert 1 <= len(pushes.times) <= 2
    assert not np.isinf(pushes.values).any()

"""From a file to requests: nothing is lost, doubled or put in another order, whatever the file is like."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.columns import Columns
from forecasting.errors import DataError, NoSuchSource
from pipelines.feeds import Feed, Source, fitting, histories, pushes, read_feeds, write
from pipelines.pushing import Described, Identity, KnownSeries, Limits, StaticColumn

HOUR = 3_600_000_000_000
PLAIN = Columns(("x", "y"))


def described(columns: Columns = PLAIN, **changes: Any) -> Described:
    own: dict[str, Any] = {"static": [], "units": {}, "freq": "h", "timezone": "UTC", "horizon": 2, "series": None}
    limits = Limits(max_body_bytes=1_000_000, max_rows=10_000)
    return Described(model=Identity(name="tiny", version="1"), columns=columns, **{**own, "limits": limits, **changes})


def written(folder: Path, **columns: list[Any]) -> Path:
    path = folder / "rows.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


def hours(*given: int) -> list[str]:
    return [f"2024-01-01T{hour:02}:00:00Z" for hour in given]


def feed(name: str, start: int, rows: int, begin: int) -> Feed:
    times = HOUR * np.arange(start, start + rows)
    return Feed(name, None, {}, times, np.zeros((rows, 1), np.float32), np.arange(rows), min(begin, rows))


feeds = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 12), st.integers(0, 12)), min_size=1, max_size=5).map(
    lambda drawn: [feed(f"s{place}", *one) for place, one in enumerate(drawn)]
)


@given(feeds, st.integers(1, 4), st.integers(1, 7))
def test_each_row_travels_once_as_history_or_as_a_push(drawn: list[Feed], batch: int, most: int) -> None:
    requests = [*histories(drawn, most), *pushes(drawn, batch)]
    for one in drawn:
        sent = [row for request in requests for piece in request.pieces if piece.feed is one for row in piece.rows]
        assert sent == list(one.rows)


@given(feeds, st.integers(1, 4))
def test_pushes_go_in_the_order_of_their_times_a_row_a_stream(drawn: list[Feed], batch: int) -> None:
    times = []
    for request in pushes(drawn, batch):
        assert 1 <= len(request.pieces) <= batch
        assert len({piece.feed.stream for piece in request.pieces}) == len(request.pieces) == request.rows
        (time,) = {int(piece.feed.times[piece.rows[0]]) for piece in request.pieces}
        times.append(time)
    assert times == sorted(times)


@given(feeds, st.integers(1, 7))
def test_requests_of_history_are_full_but_for_the_last(drawn: list[Feed], most: int) -> None:
    sizes = [request.rows for request in histories(drawn, most)]
    assert all(size == most for size in sizes[:-1])
    assert all(0 < size <= most for size in sizes[-1:])


def test_what_never_came_is_left_to_the_service_and_what_is_missing_is_null(tmp_path: Path) -> None:
    data = written(tmp_path, time=hours(1, 2, 4), x=[1.5, None, 3.1], y=[0.1, 7, None])
    (one,), findings = read_feeds(Source(data), described(), None, None)
    bodies = [json.loads(write(request, described(), ())[1]) for request in pushes([one], 8)]
    assert bodies == [
        {"observations": [[1.5, 0.1]], "last_timestamp": "2024-01-01T01:00:00Z"},
        {"observations": [[None, 7.0]], "last_timestamp": "2024-01-01T02:00:00Z"},
        {"observations": [[3.1, None]], "last_timestamp": "2024-01-01T04:00:00Z"},
    ]
    assert [finding.code for finding in findings if finding.action == "repaired"] == ["gap"]


def test_one_stream_has_a_path_of_its_own_and_several_share_one(tmp_path: Path) -> None:
    data = written(tmp_path, time=hours(1, 1, 2), site=["b a", "c", "c"], x=[1, 2, 3], y=[4, 5, 6])
    panel = described(series=KnownSeries(count=2))
    found, _ = read_feeds(Source(data, series="site"), panel, "eu-", None)
    (together, alone) = pushes(found, 8)
    path, body = write(together, panel, {"eu-c"})
    assert path == "/v1/models/tiny/streams:observe"
    assert [(one["stream"], one.get("series")) for one in json.loads(body)["streams"]] == [
        ("eu-b~20a", "b a"),
        ("eu-c", None),
    ]
    assert write(alone, panel, ())[0] == "/v1/models/tiny/streams/eu-c/observations"


def test_history_says_so_and_the_last_rows_are_pushed(tmp_path: Path) -> None:
    data = written(tmp_path, time=hours(*range(5)), x=[0, 1, 2, 3, 4], y=[0, 0, 0, 0, 0])
    found, _ = read_feeds(Source(data), described(), "kitchen", 2)
    (history,) = histories(found, 100)
    path, body = write(history, described(), ())
    assert path == "/v1/models/tiny/streams/kitchen/observations"
    assert json.loads(body) == {
        "observations": [[0, 0], [1, 0], [2, 0]],
        "timestamps": hours(0, 1, 2),
        "history": True,
    }
    assert [int(request.pieces[0].rows[0]) for request in pushes(found, 1)] == [3, 4]


def test_known_covariates_of_the_steps_to_come_go_along_as_far_as_the_file_has_them(tmp_path: Path) -> None:
    model = described(Columns(("x",), (), ("price",)))
    data = written(tmp_path, timestamp=hours(0, 1, 2, 3), x=[1, 2, 3, 4], price=[10, 11, 12, 13])
    found, _ = read_feeds(Source(data), model, None, None)
    bodies = [json.loads(write(request, model, ())[1]) for request in pushes(found, 1)]
    assert [one["known_future"] for one in bodies] == [[[11], [12]], [[12], [13]], [[13]]]
    assert [one.get("horizon") for one in bodies] == [None, None, 1]
    assert all("known_future" not in json.loads(write(one, model, ())[1]) for one in histories(found, 9))


def test_static_values_are_told_of_a_stream_that_may_be_new(tmp_path: Path) -> None:
    columns = Columns(("x",), static=("size", "kind"))
    static = [StaticColumn(name="size", kind="number"), StaticColumn(name="kind", kind="category")]
    model = described(columns, static=static, series=KnownSeries(count=1))
    data = written(tmp_path, time=hours(0, 1), series=["a", "a"], x=[1, 2], size=[4.5, 4.5], kind=["1", "1"])
    found, _ = read_feeds(Source(data), model, None, None)
    (first, second) = pushes(found, 1)
    assert json.loads(write(first, model, ())[1])["static"] == {"size": 4.5, "kind": "1"}
    assert "static" not in json.loads(write(second, model, {"a"})[1])


def test_a_column_that_cannot_be_told_is_asked_for(tmp_path: Path) -> None:
    data = written(tmp_path, begin=hours(0), end=hours(1), x=[1], y=[2])
    with pytest.raises(DataError, match=r"which column holds the times\? name it with --time: one of begin, end"):
        read_feeds(Source(data), described(), None, None)
    found, _ = read_feeds(Source(data, time="end"), described(), None, None)
    assert found[0].times[0] == pd.Timestamp(hours(1)[0]).value


def test_one_series_of_many_may_come_in_a_file_of_its_own(tmp_path: Path) -> None:
    panel = described(series=KnownSeries(count=2))
    data = written(tmp_path, time=hours(0), x=[1], y=[2])
    with pytest.raises(DataError, match="which column holds the ids"):
        read_feeds(Source(data), panel, None, None)
    (one,), _ = read_feeds(Source(data), panel, "north", None)
    assert (one.stream, one.series) == ("north", None)


def test_a_project_of_another_model_is_refused(tmp_path: Path) -> None:
    project = tmp_path / "gatecast.toml"
    project.write_text('name = "tiny"\n[data]\nsource = "rows.csv"\ntime = "time"\ntargets = ["y", "x"]\n')
    data = written(tmp_path, time=hours(0), x=[1], y=[2])
    with pytest.raises(DataError, match="a row of the project is y, x; of the model in production it is x, y"):
        read_feeds(Source(data, project), described(), None, None)


def test_times_without_an_offset_are_those_of_the_model(tmp_path: Path) -> None:
    data = written(tmp_path, time=["2024-01-01 01:00"], x=[1], y=[2])
    (berlin,), _ = read_feeds(Source(data), described(timezone="Europe/Berlin"), None, None)
    (delhi,), _ = read_feeds(Source(data, timezone="Asia/Kolkata"), described(), None, None)
    assert (berlin.times[0] - delhi.times[0]) / HOUR == 4.5


def test_a_file_without_rows_or_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoSuchSource):
        read_feeds(Source(tmp_path / "none.csv"), described(), None, None)
    data = written(tmp_path, time=hours(0), x=[None], y=[None])
    with pytest.raises(DataError, match="no row with a value of x, y"):
        read_feeds(Source(data), described(), None, None)
    long = written(tmp_path, time=hours(0), series=["s" * 129], x=[1], y=[2])
    with pytest.raises(DataError, match="a stream's name of 129 characters; at most 128"):
        read_feeds(Source(long), described(series=KnownSeries(count=1)), None, None)


@given(st.integers(1, 400), st.integers(1, 60), st.integers(0, 40), st.integers(2_000, 200_000))
def test_no_request_is_larger_than_the_service_takes(targets: int, horizon: int, known: int, room: int) -> None:
    columns = Columns(tuple(f"t{one}" for one in range(targets)), (), tuple(f"k{one}" for one in range(known)))
    limits = Limits(max_body_bytes=room, max_rows=500)
    model = described(columns, horizon=horizon, limits=limits)
    streams, rows = fitting(model, 300)
    values = np.full((600, len(columns.row)), -1.2345678e-20, np.float32)
    wide = [
        Feed(f"{place:0128}", "s" * 128, {}, HOUR * np.arange(600), values, np.arange(600), 500) for place in range(3)
    ]
    for request in [next(histories(wide[:1], rows)), next(pushes(wide, streams))]:
        assert request.rows <= 500
        small = request.rows == 1
        assert small or len(write(request, model, ())[1]) <= room


def test_batches_follow_each_other_as_time_does() -> None:
    both = [feed("a", 0, 3, 0), feed("b", 1, 3, 0)]
    waves = [[piece.feed.stream for piece in request.pieces] for request in pushes(both, 8)]
    assert waves == [["a"], ["a", "b"], ["a", "b"], ["b"]]
    starts = [int(request.pieces[0].feed.times[request.pieces[0].rows[0]]) for request in pushes(both, 8)]
    assert all(late - early == HOUR for early, late in pairwise(starts))

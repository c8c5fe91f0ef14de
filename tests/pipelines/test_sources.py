"""Rows that were pushed to streams, as data to learn from."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecasting.calendar import nanoseconds
from forecasting.errors import DataRejected, NoSuchSource, ProjectError, UnreadableSource
from forecasting.keys import ANONYMOUS
from forecasting.log.opening import FILE, open_log
from forecasting.log.records import Advance, Commit, Key, Kind, Observation, Stream
from forecasting.project import Project, load_project
from forecasting.streams.streamed import contract_of
from pipelines.settings import Settings
from pipelines.sources import read_rows
from tests.pipelines.command import gatecast, waves, write_project, write_rows

HOURS = pd.date_range("2024-01-01", periods=600, freq="h", tz="UTC")
ALL = np.column_stack(waves()).astype(np.float32)


def push(
    settings: Settings,
    project: Project,
    rows: Mapping[int, np.ndarray],
    stream: str = "one",
    *,
    contract: str = "",
    static: str = "{}",
) -> None:
    """Log rows of a stream, by the hour that they are of."""
    data, number = project.data, secrets.randbits(63)
    contract = contract or contract_of(data.columns, data.freq, data.timezone)
    new = Stream(number, Key(data.principal or ANONYMOUS, project.name, stream), None, static, contract, 1)
    observations = _observations(number, rows, len(data.columns.row))
    last = observations[-1]
    with closing(open_log(settings.log_url, settings.home / FILE)) as log:
        log.commit(Commit([new], [Advance(number, -1, 0, last.seq, last.time, b"", "", 0)], observations, [], [], []))


def _observations(stream: int, rows: Mapping[int, np.ndarray], width: int) -> list[Observation]:
    """Return a row for each hour from the first to the last, a filler where none is given."""
    blank, times = np.full(width, np.nan, np.float32), nanoseconds(HOURS).tolist()
    kinds = {True: int(Kind.PUSHED), False: int(Kind.FILLER)}
    return [
        Observation(
            stream, seq, times[hour], np.asarray(rows.get(hour, blank), "<f4").tobytes(), 1, kinds[hour in rows]
        )
        for seq, hour in enumerate(range(min(rows), max(rows) + 1))
    ]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def learning(folder: Path, **data: object) -> Project:
    return load_project(write_project(folder, source="log", **data))


def hours(first: int, stop: int, rows: np.ndarray = ALL) -> dict[int, np.ndarray]:
    return {hour: rows[hour] for hour in range(first, stop)}


def test_what_was_pushed_is_learnt_from(tmp_path: Path, settings: Settings) -> None:
    project = learning(tmp_path)
    push(settings, project, hours(0, 600))
    panel, report = read_rows(project, settings)
    (one,) = panel
    assert np.array_equal(one.values, ALL)
    assert one.index.equals(HOURS.as_unit(one.index.unit))
    assert (report.source, report.rows, len(report.digest)) == ("the observation log", 600, 64)


def test_a_history_goes_before_and_of_a_time_that_both_have_the_pushed_row_counts(
    tmp_path: Path, settings: Settings
) -> None:
    write_rows(tmp_path / "history.csv", list(ALL[:400].T))
    project = learning(tmp_path, history="history.csv")
    push(settings, project, hours(390, 600, ALL + 1))
    panel, report = read_rows(project, settings)
    (one,) = panel
    assert np.array_equal(one.values, np.concatenate([ALL[:390], (ALL + 1)[390:]]))
    assert report.source == f"the observation log joined to {tmp_path / 'history.csv'}"


def test_a_step_without_a_row_is_missing_also_between_history_and_stream(tmp_path: Path, settings: Settings) -> None:
    write_rows(tmp_path / "history.csv", list(ALL[:400].T))
    project = learning(tmp_path, history="history.csv")
    rows = hours(410, 600)
    del rows[500]
    push(settings, project, rows)
    (one,), report = read_rows(project, settings)
    assert np.flatnonzero(np.isnan(one.values).all(axis=1)).tolist() == [*range(400, 410), 500]
    assert "gap" in {finding.code for finding in report.findings}


def test_the_digest_follows_what_was_pushed(tmp_path: Path, settings: Settings) -> None:
    project = learning(tmp_path)
    push(settings, project, hours(0, 599))
    _, before = read_rows(project, settings)
    _, again = read_rows(project, settings)
    other = Settings(home=tmp_path / "other")
    push(other, project, hours(0, 600))
    _, after = read_rows(project, other)
    assert before.digest == again.digest != after.digest


def test_streams_are_the_series_of_a_panel_whose_history_tells_their_static_values(
    tmp_path: Path, settings: Settings
) -> None:
    table = pd.DataFrame({"time": HOURS[:300].strftime("%Y-%m-%dT%H:%M:%SZ"), "x": ALL[:300, 0], "y": ALL[:300, 1]})
    table = pd.concat([table.assign(site=site, height=height) for site, height in (("a", 1.5), ("b", 2.5))])
    table.to_csv(tmp_path / "history.csv", index=False)
    project = learning(tmp_path, history="history.csv", series="site", static=["height"])
    push(settings, project, hours(300, 600), "a")
    push(settings, project, hours(300, 600), "c", static='{"height": 4.0}')
    panel, _ = read_rows(project, settings)
    assert {one.id: (len(one), one.static["height"]) for one in panel} == {
        "a": (600, 1.5),
        "b": (300, 2.5),
        "c": (300, 4),
    }


def test_a_project_of_one_series_learns_from_one_stream(tmp_path: Path, settings: Settings) -> None:
    project = learning(tmp_path)
    push(settings, project, hours(0, 600))
    push(settings, project, hours(0, 600, ALL + 5), "two")
    with pytest.raises(UnreadableSource, match=r"2 streams of tiny, such as 'one', and no data.series .* data.stream$"):
        read_rows(project, settings)
    (one,), _ = read_rows(learning(tmp_path, stream="two"), settings)
    assert np.array_equal(one.values, ALL + 5)


def test_what_others_pushed_is_not_looked_at(tmp_path: Path, settings: Settings) -> None:
    push(settings, learning(tmp_path), hours(0, 600))
    with pytest.raises(NoSuchSource, match=r"^no row was pushed to a stream of tiny by eve, says the log; push some"):
        read_rows(learning(tmp_path, principal="eve"), settings)


def test_rows_of_another_schema_are_refused(tmp_path: Path, settings: Settings) -> None:
    project = learning(tmp_path)
    push(settings, project, hours(0, 600), contract="other")
    with pytest.raises(UnreadableSource, match=r"^rows of stream 'one' of tiny have other columns, or another step"):
        read_rows(project, settings)


def test_where_there_is_no_log_nothing_is_made(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(NoSuchSource, match=r"streams\.db, which is not there; push some .* GATECAST_LOG_URL"):
        read_rows(learning(tmp_path), settings)
    assert not settings.home.exists()


def test_a_log_without_rows_leaves_the_history(tmp_path: Path, settings: Settings) -> None:
    write_rows(tmp_path / "history.csv", list(ALL.T))
    (one,), _ = read_rows(learning(tmp_path, history="history.csv"), settings)
    assert np.array_equal(one.values, ALL)


def test_a_refusal_of_the_history_is_one(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "history.csv").write_text("time,x\n2024-01-01T00:00:00Z,1\n", encoding="utf-8")
    with pytest.raises(DataRejected, match="no column 'y'"):
        read_rows(learning(tmp_path, history="history.csv"), settings)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            {"source": "data.csv", "history": "old.csv"},
            "data.history goes with data.source = 'log', and that is 'data.csv'",
        ),
        ({"source": "log", "history": "log"}, "data.history is 'log'; expected a file"),
        (
            {"source": "log", "history": "sqlite:///a.db"},
            "data.history is the address sqlite:///a.db; say with data.query",
        ),
        ({"source": "log", "query": "SELECT 1"}, "data.query asks a database, and data.history is ''"),
        ({"source": "log", "stream": "a", "series": "x2"}, "data.stream names one stream, and data.series"),
    ],
)
def test_keys_that_contradict_each_other_are_refused(tmp_path: Path, data: dict[str, object], said: str) -> None:
    with pytest.raises(ProjectError) as caught:
        load_project(write_project(tmp_path, **data))
    assert said in str(caught.value)


def test_a_password_in_the_history_is_not_shown(tmp_path: Path) -> None:
    url = "postgresql://reader:secret@db.example/plant"
    project = load_project(write_project(tmp_path, source="log", history=url, query="SELECT 1"))
    assert project.public().data.history == "postgresql://reader:***@db.example/plant"


def test_the_log_may_be_in_postgresql_and_a_model_is_trained_from_it(tmp_path: Path, postgres_url: str) -> None:
    settings = Settings(home=tmp_path / "home", log_url=postgres_url)
    project = learning(tmp_path)
    push(settings, project, hours(0, 600))
    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("GATECAST_LOG_URL", postgres_url)
        said = gatecast(settings.home, "train", tmp_path / "tiny.toml", "--json")
    assert said.code == 0, said.err
    assert said.json["version"] == "1"

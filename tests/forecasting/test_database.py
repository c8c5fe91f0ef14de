from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import sqlalchemy

from forecasting.errors import DataRejected, GatecastError, NoSuchSource, UnreadableSource
from forecasting.reading import database, read_panel, tables
from tests.forecasting.csv_files import cells, clean, project, write
from tests.postgres import Server
from tests.postgres import database as empty_database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from forecasting.project import Project

COUNT = 40
TIMES = pd.date_range("2013-01-01", periods=COUNT, freq="h", tz="UTC")
XS, YS = [float(at * 7 % 11) for at in range(COUNT)], [float(at * 5 % 13) for at in range(COUNT)]
ROWS = "SELECT * FROM rows"


def values(of: Project) -> list[list[float]]:
    return cells(read_panel(of)[0]).tolist()


def refusal(of: Project) -> str:
    with pytest.raises(GatecastError) as caught:
        read_panel(of)
    return str(caught.value)


def sqlite(folder: Path, rows: list[tuple[object, ...]] | None = None, name: str = "plant.db") -> Path:
    path = folder / name
    texts = [time.isoformat() for time in TIMES]
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE rows (time TEXT, x, y)")
    connection.executemany("INSERT INTO rows VALUES (?, ?, ?)", rows or list(zip(texts, XS, YS, strict=True)))
    connection.commit()
    connection.close()
    return path


def asked(folder: Path, query: str = ROWS, source: str = "sqlite:///plant.db", **data: object) -> Project:
    return project(folder, source=source, query=query, **data)


def test_a_select_reads_like_a_file(tmp_path: Path) -> None:
    write(tmp_path, clean())
    sqlite(tmp_path)
    ours, report = read_panel(asked(tmp_path))
    theirs, _ = read_panel(project(tmp_path))
    assert ours.series[0].index.equals(theirs.series[0].index)
    np.testing.assert_array_equal(cells(ours), cells(theirs))
    assert (report.findings, report.rows, report.source) == ((), COUNT, "sqlite:///plant.db")


def test_a_sqlite_file_counts_from_the_folder_of_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    path = sqlite(tmp_path)
    assert values(asked(tmp_path)) == values(asked(tmp_path / "gone", source=f"sqlite:///{path}"))


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(NoSuchSource, match=f"there is no database {tmp_path}/plant.db; a relative data.source counts"):
        read_panel(asked(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("chunk", [1, 7, 39, 40, 1000])
def test_the_size_of_the_chunks_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    sqlite(tmp_path, [(time.isoformat(), x if x > 3 else None, y) for time, x, y in zip(TIMES, XS, YS, strict=True)])
    whole, before = read_panel(asked(tmp_path))
    monkeypatch.setattr(database, "_CHUNK", chunk)
    cut, after = read_panel(asked(tmp_path))
    np.testing.assert_array_equal(cells(cut), cells(whole))
    assert after == before


def test_the_digest_is_over_the_cells_and_not_over_their_order(tmp_path: Path) -> None:
    sqlite(tmp_path)
    queries = (ROWS, f"{ROWS} ORDER BY time DESC", "SELECT y, x, time, 7 AS rest FROM rows ORDER BY x")
    digests = {read_panel(asked(tmp_path, query))[1].digest for query in queries}
    assert len(digests) == 1
    assert len(digests.pop()) == 64
    other = read_panel(asked(tmp_path, "SELECT time, x, CASE x WHEN 7 THEN y + 1 ELSE y END AS y FROM rows"))[1].digest
    assert other not in digests


def test_signs_in_a_query_are_not_parameters(tmp_path: Path) -> None:
    sqlite(tmp_path)
    assert len(values(asked(tmp_path, f"{ROWS} WHERE time LIKE '%T%' AND time <> ' :x' -- 100%"))) == COUNT


def test_a_fault_in_an_answer_is_told_by_its_row(tmp_path: Path) -> None:
    rows = [(time.isoformat(), "abc" if at == 30 else 1, 2) for at, time in enumerate(TIMES)]
    sqlite(tmp_path, rows)
    assert refusal(asked(tmp_path)).endswith("(first: row 31: 'abc')")


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELEC 1", 'data.query failed at sqlite:///plant.db: near "SELEC": syntax error; correct it'),
        ("SELECT * FROM gone", "data.query failed at sqlite:///plant.db: no such table: gone; correct it"),
        (f"{ROWS} WHERE 0", "data.query selects no row at sqlite:///plant.db; give it rows, or correct its conditions"),
        ("PRAGMA user_version = 1", "data.query failed at sqlite:///plant.db: attempt to write a readonly database"),
        ("DELETE FROM rows", "data.query failed at sqlite:///plant.db: attempt to write a readonly database"),
        ("ATTACH ':memory:' AS other", "data.query gives no rows back from sqlite:///plant.db; expected a SELECT"),
    ],
)
def test_a_query_that_cannot_be_used_is_refused(tmp_path: Path, query: str, reason: str) -> None:
    before = sqlite(tmp_path).read_bytes()
    with pytest.raises(UnreadableSource) as caught:
        read_panel(asked(tmp_path, query))
    assert str(caught.value).startswith(reason)
    assert (tmp_path / "plant.db").read_bytes() == before


def test_an_answer_that_names_a_column_twice_is_refused(tmp_path: Path) -> None:
    sqlite(tmp_path)
    assert "duplicate-column: the header names 'x' 2 times" in refusal(asked(tmp_path, "SELECT *, y AS x FROM rows"))


def test_an_answer_without_a_column_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    sqlite(tmp_path)
    assert "did you mean 'x1'" in refusal(asked(tmp_path, "SELECT time, x AS x1, y FROM rows"))


def test_an_answer_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite(tmp_path)
    monkeypatch.setattr(tables, "MOST_ROWS", 50_000)
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS time, x, x AS y FROM n"
    assert refusal(asked(tmp_path, endless)).startswith("the answer to data.query has more than 50,000 rows")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    write(tmp_path, clean(), "plant.db")
    assert "file is not a database" in refusal(asked(tmp_path))


@pytest.mark.parametrize(
    ("source", "kind", "reason"),
    [
        ("s3://bucket/rows.csv", UnreadableSource, "data.source is s3://bucket/rows.csv; s3 is no database that SQLAl"),
        (
            "oracle+cx_oracle://me:geheim@h/d",
            UnreadableSource,
            "oracle+cx_oracle://me:***@h/d is reached with the Python",
        ),
        ("postgresql://me:geh@eim@h:port/d", UnreadableSource, "data.source is postgresql://***, which is no address"),
        ("postgresql://me:geheim@127.0.0.1:9/d", NoSuchSource, "postgresql://me:***@127.0.0.1:9/d cannot be reached: "),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_its_password(
    tmp_path: Path, source: str, kind: type[Exception], reason: str
) -> None:
    with pytest.raises(kind) as caught:
        read_panel(asked(tmp_path, source=source))
    assert str(caught.value).startswith(reason)
    assert "geh" not in str(caught.value)
    assert "eim" not in str(caught.value)


def test_cells_that_contradict_the_project_are_told_of_a_database_too(tmp_path: Path) -> None:
    sqlite(tmp_path)
    with pytest.raises(DataRejected) as caught:
        read_panel(asked(tmp_path, transform={"x": {"bounds": [0, 5]}}))
    assert caught.value.report.source == "sqlite:///plant.db"


# What follows asks a real PostgreSQL, which starts in a second and is gone with the tests.


@pytest.fixture(scope="module")
def postgres(postgres_server: Server) -> Iterator[str]:
    """Return the address of a database with a table of rows, kept in a zone with a change of clocks."""
    with empty_database(postgres_server.get_uri()) as url:
        engine = sqlalchemy.create_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql(f"ALTER DATABASE {engine.url.database} SET timezone TO 'Europe/Berlin'")
            connection.exec_driver_sql(
                "CREATE TABLE rows AS SELECT time, time AT TIME ZONE 'UTC' AS naive, CAST(time AS text) AS written, "
                "CAST(mod(n * 7, 11) AS numeric(9, 2)) AS x, CAST(mod(n * 5, 13) AS smallint) AS y, "
                "mod(n, 2) = 0 AS flag, 7 AS id, '{}'::jsonb AS rest FROM (SELECT n, "
                "timestamptz '2013-03-30 06:00Z' + n * interval '1 hour' "
                "AS time FROM generate_series(0, 39) AS n) AS made"
            )
        engine.dispose()
        yield url


@pytest.mark.parametrize("time", ["time", "naive", "written"])
def test_times_with_and_without_a_zone_are_the_same_moments(tmp_path: Path, postgres: str, time: str) -> None:
    of = asked(tmp_path, source=postgres, time=time, series="id", past=["flag"])
    panel, report = read_panel(of)
    assert panel.series[0].index.equals(pd.date_range("2013-03-30 06:00", periods=COUNT, freq="h", tz="UTC"))
    assert cells(panel).tolist() == [[x, y, float(at % 2 == 0)] for at, (x, y) in enumerate(zip(XS, YS, strict=True))]
    assert (panel.series[0].id, report.findings) == ("7", ())


def test_rows_are_streamed_through_a_cursor_of_the_server(
    tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_CHUNK", 7)
    counting = "WITH r AS (SELECT * FROM rows) SELECT time, x, y * (SELECT count(*) FROM pg_cursors) AS y FROM r;"
    assert values(asked(tmp_path, counting, source=postgres)) == [list(pair) for pair in zip(XS, YS, strict=True)]


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELECT * FROM gone", 'relation "gone" does not exist'),
        ("SELECT 1; DROP TABLE rows", ""),
        ("DELETE FROM rows RETURNING *", ""),
        ("SELECT time, x, 1 / (n - n) AS y FROM rows, generate_series(1, 9) AS n", "division by zero"),
    ],
)
def test_what_the_server_refuses_is_told_and_nothing_is_changed(
    tmp_path: Path, postgres: str, query: str, reason: str
) -> None:
    with pytest.raises(UnreadableSource, match=f"data.query failed at postgresql://.*{reason}"):
        read_panel(asked(tmp_path, query, source=postgres))
    assert len(values(asked(tmp_path, source=postgres))) == COUNT


def test_a_database_that_the_server_does_not_have_is_told(tmp_path: Path, postgres: str) -> None:
    other = sqlalchemy.make_url(postgres).set(database="gone", password="geheim")  # noqa: S106 - to be hidden
    said = refusal(asked(tmp_path, source=other.render_as_string(hide_password=False)))
    assert "cannot be reached: " in said
    assert 'database "gone" does not exist' in said
    assert "geheim" not in said

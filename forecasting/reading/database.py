"""From a SELECT at a database to a table of raw cells, or a named refusal; nothing is ever written there.

Rows come in chunks and are kept in columns, so that what the driver makes of them never lies in memory all at once. No
message holds a password.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pandas as pd

from forecasting.addresses import cause_of, without_password
from forecasting.errors import NoSuchSource, UnreadableSource
from forecasting.reading.tables import Table, refuse_too_many

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine import URL

    from forecasting.reading.tables import Wanted

_CHUNK = 10_000
_CONNECT_SECONDS = 10
_READ_ONLY = {
    "sqlite": "PRAGMA query_only = ON",
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
}


def read_query(source: str, query: str, folder: Path, wanted: Wanted) -> Table:
    """Read the wanted columns of what a query selects; a row's number is its place in the answer, from 1.

    `source` is a SQLAlchemy URL; the file of a relative sqlite one counts from `folder`. The digest is over the cells,
    in the order of the columns that are wanted as text, so that rows in another order are the same data.

    Raises:
        NoSuchSource: there is no such database, or it does not answer.
        UnreadableSource: it is no address, its driver is not installed, or the query fails or selects nothing.
    """
    url = _parsed(source, folder)
    shown = without_password(source)
    engine = _engine(url, shown)
    try:
        with _connected(engine, shown) as connection, _named_faults(engine, shown):
            header, frame = _select(connection, query, wanted, shown)
    finally:
        engine.dispose()
    return Table(shown, _digest(frame, [name for name in wanted.as_text if name in frame]), header, frame)


def _parsed(source: str, folder: Path) -> URL:
    from sqlalchemy.engine import make_url  # noqa: PLC0415 - it takes 0.2 s to import, and files do without
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    try:
        url = make_url(source)
    except (ArgumentError, ValueError):
        message = (
            f"data.source is {without_password(source)}, which is no address of a database; "
            "expected one such as postgresql+psycopg://user@host/name (in a password write @ as %40 and : as %3A)"
        )
        raise UnreadableSource(message) from None
    return _in_folder(url, folder) if url.get_backend_name() == "sqlite" else url


def _in_folder(url: URL, folder: Path) -> URL:
    """Find the file of a sqlite database; opening one that is not there would make an empty one."""
    name = url.database
    if not name or name == ":memory:" or name.startswith("file:"):
        return url
    path = folder / name
    if not path.is_file():
        message = f"there is no database {path}; a relative data.source counts from the folder of the project file"
        raise NoSuchSource(message)
    return url.set(database=str(path))


def _engine(url: URL, shown: str) -> Engine:
    from sqlalchemy import create_engine  # noqa: PLC0415 - see above
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError  # noqa: PLC0415
    from sqlalchemy.pool import NullPool  # noqa: PLC0415

    bounded = url.get_backend_name() in {"postgresql", "mysql", "mariadb"} and "connect_timeout" not in url.query
    arguments = {"connect_timeout": _CONNECT_SECONDS} if bounded else {}
    try:
        return create_engine(url, poolclass=NullPool, connect_args=arguments)
    except NoSuchModuleError:
        message = f"data.source is {shown}; {url.drivername} is no database that SQLAlchemy knows here: correct it, or "
        raise UnreadableSource(message + "install what it is named for") from None
    except ModuleNotFoundError as error:
        message = f"{shown} is reached with the Python package {error.name!r}, which is not here; pip install it"
        raise UnreadableSource(message) from None
    except (ArgumentError, TypeError) as error:
        message = f"data.source is {shown}, which SQLAlchemy does not take: {cause_of(error, url.password)}; correct it"
        raise UnreadableSource(message) from None


@contextmanager
def _connected(engine: Engine, shown: str) -> Iterator[Connection]:
    """Connect, for reading only as far as the database knows how to."""
    try:
        connection = engine.connect()
    except Exception as error:  # noqa: BLE001 - drivers share no base class for what goes wrong here
        cause = cause_of(error, engine.url.password)
        message = f"{shown} cannot be reached: {cause}; check the address and that its server runs"
        raise NoSuchSource(message) from None
    with connection:
        if statement := _READ_ONLY.get(engine.dialect.name):
            connection.exec_driver_sql(statement)
            connection.commit()
        yield connection


@contextmanager
def _named_faults(engine: Engine, shown: str) -> Iterator[None]:
    """Turn what SQLAlchemy and its drivers raise on a query into `UnreadableSource`."""
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - see above

    try:
        yield
    except SQLAlchemyError as error:
        message = f"data.query failed at {shown}: {cause_of(error, engine.url.password)}; correct it"
        raise UnreadableSource(message) from None


def _select(connection: Connection, query: str, wanted: Wanted, shown: str) -> tuple[tuple[str, ...], pd.DataFrame]:
    # the query goes to the driver as it stands: to SQLAlchemy a colon in it, to the driver a % would be a parameter
    options = {"stream_results": True, "max_row_buffer": _CHUNK, "no_parameters": True}
    result = connection.exec_driver_sql(query, execution_options=options)
    if not result.returns_rows:
        message = f"data.query gives no rows back from {shown}; expected a SELECT"
        raise UnreadableSource(message)
    header = tuple(str(name) for name in result.keys())  # noqa: SIM118 - no mapping
    names = [name.strip() for name in header]
    places = {name: names.index(name) for name in wanted.columns if name in names}
    frames, count = [], 0
    for rows in result.partitions(_CHUNK):
        count += len(rows)
        refuse_too_many("the answer to data.query", count)
        frames.append(_frame(rows, places, wanted))
    if not frames:
        message = f"data.query selects no row at {shown}; give it rows, or correct its conditions"
        raise UnreadableSource(message)
    frame = pd.concat(frames, ignore_index=True)
    return header, frame.set_axis(pd.RangeIndex(1, count + 1, name="row"))


def _frame(rows: Sequence[Any], places: dict[str, int], wanted: Wanted) -> pd.DataFrame:
    columns = {name: _cells([row[at] for row in rows], name in wanted.as_text) for name, at in places.items()}
    return pd.DataFrame(columns, index=pd.RangeIndex(len(rows)))


def _cells(values: list[Any], as_text: bool) -> pd.Series:
    """Return one column of a chunk as pandas takes it, text where asked for (but for times)."""
    if as_text:
        values = [one if one is None or isinstance(one, (str, date)) else str(one) for one in values]
    elif any(isinstance(one, Decimal) for one in values):
        values = [float(one) if isinstance(one, Decimal) else one for one in values]
    if all(one is None for one in values):
        return pd.Series(np.nan, index=pd.RangeIndex(len(values)))
    return pd.Series(values)


def _digest(frame: pd.DataFrame, keys: list[str]) -> str:
    try:
        ordered = frame.sort_values(keys, kind="stable") if keys else frame
    except TypeError:  # cells of several kinds in one column
        ordered = frame.loc[frame[keys].astype("str").sort_values(keys, kind="stable").index]
    digest = hashlib.sha256()
    for name in sorted(map(str, frame)):
        digest.update(msgspec.json.encode(name))
        for part in _content(ordered[name]):
            digest.update(part)
    return digest.hexdigest()


def _content(cells: pd.Series) -> Iterator[bytes]:
    """Return cells as bytes that do not depend on how the chunks were cut."""
    if pd.api.types.is_numeric_dtype(cells):
        numbers = cells.to_numpy("<f8", na_value=np.nan)
        yield np.where(np.isnan(numbers), np.nan, numbers).tobytes()
        return
    if isinstance(cells.dtype, (pd.DatetimeTZDtype, np.dtypes.DateTime64DType)):
        yield pd.DatetimeIndex(cells).as_unit("us").asi8.astype("<i8").tobytes()
        return
    codes, words = pd.factorize(cells.astype("str"))
    yield codes.astype("<i8").tobytes()
    yield msgspec.json.encode(list(words))
